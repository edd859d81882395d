"""`dim_ordering`: whether the channels stand before the space ("th") or after it ("tf").

All convolutions and poolings are computed with the channels last: the one order that every
backend has.
"""

from __future__ import annotations

from typing import Any, TypeAlias

from keras import ops

from normscope.errors import SpecError

Tensor: TypeAlias = Any

ORDERINGS = ("tf", "th")

_default = "tf"


def image_dim_ordering() -> str:
    """What `dim_ordering="default"` means: "tf" unless `set_image_dim_ordering` said otherwise.

    Example:
        >>> image_dim_ordering()
        'tf'
    """
    return _default


def set_image_dim_ordering(dim_ordering: str) -> None:
    """Choose what `dim_ordering="default"` means for the layers that are made from now on.

    Keras 1 read it from its configuration file; old code sets it at its start. An argument of the
    layer says the same where it is seen.

    Args:
        dim_ordering: "tf" (channels last) or "th" (channels first).

    Raises:
        SpecError: it is neither.

    Example:
        >>> set_image_dim_ordering("th")
        >>> resolve_ordering("default")
        'th'
        >>> set_image_dim_ordering("tf")
    """
    global _default
    _default = resolve_ordering(dim_ordering)


def resolve_ordering(dim_ordering: str) -> str:
    """The ordering that an argument means: "default" is resolved.

    Raises:
        SpecError: it is none of these.
    """
    if dim_ordering == "default":
        return _default
    if dim_ordering not in ORDERINGS:
        raise SpecError(f"dim_ordering is 'tf', 'th' or 'default', not {dim_ordering!r}")
    return dim_ordering


def channel_axis(dim_ordering: str) -> int:
    """Where the channels stand.

    >>> channel_axis("th"), channel_axis("tf")
    (1, -1)
    """
    return 1 if dim_ordering == "th" else -1


def space_axes(dim_ordering: str, rank: int) -> tuple[int, ...]:
    """The axes of the space.

    >>> space_axes("th", 2), space_axes("tf", 2)
    ((2, 3), (1, 2))
    """
    first = 2 if dim_ordering == "th" else 1
    return tuple(range(first, first + rank))


def channels_last(x: Tensor, dim_ordering: str) -> Tensor:
    """The input with its channels last."""
    return ops.moveaxis(x, 1, -1) if dim_ordering == "th" else x


def from_channels_last(y: Tensor, dim_ordering: str) -> Tensor:
    """The opposite of `channels_last`."""
    return ops.moveaxis(y, -1, 1) if dim_ordering == "th" else y


def kernel_channels_last(kernel: Tensor, dim_ordering: str) -> Tensor:
    """A kernel (out, in, space...) or (space..., in, out) as the latter."""
    if dim_ordering == "tf":
        return kernel
    return ops.transpose(kernel, (*range(2, len(kernel.shape)), 1, 0))

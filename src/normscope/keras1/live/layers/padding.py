"""Zero padding, cropping and upsampling of Keras 1.2.2.

Keras 1 did not write the `dim_ordering` of these layers into a file; here it is in the config.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, TypeAlias

import keras
from keras import ops

from normscope.errors import SpecError
from normscope.keras1.live.layers.base import Keras1Layer, Tensor, registered
from normscope.keras1.live.layers.ordering import resolve_ordering, space_axes

Ends: TypeAlias = tuple[int, int]
"""What happens before and after an axis."""


class _Resizing(Keras1Layer):
    """Base: changes the sizes of the space."""

    def __init__(self, rank: int, dim_ordering: str, **common: Any) -> None:
        super().__init__(**common)
        self.dim_ordering = resolve_ordering(dim_ordering)
        self.space = space_axes(self.dim_ordering, rank)
        self.input_spec = keras.layers.InputSpec(ndim=rank + 2)


class _ZeroPadding(_Resizing):
    """Base: zeros around the space."""

    def __init__(self, ends: Sequence[Ends], dim_ordering: str = "tf", **common: Any) -> None:
        super().__init__(len(ends), dim_ordering, **common)
        self.ends = tuple(ends)

    def call(self, x: Tensor) -> Tensor:
        """The output."""
        widths = [(0, 0)] * len(x.shape)
        for axis, ends in zip(self.space, self.ends, strict=True):
            widths[axis] = ends
        return ops.pad(x, widths)


@registered
class ZeroPadding1D(_ZeroPadding):
    """Zeros before and after a sequence.

    Args:
        padding: how many on both sides, or (before, after), or a dict of `left_pad`, `right_pad`.
        **common: see `Keras1Layer`.

    Example:
        >>> ZeroPadding1D((1, 2))(ops.ones((1, 4, 3))).shape[1]
        7
    """

    settings: ClassVar[tuple[str, ...]] = ("padding",)

    def __init__(self, padding: int | Sequence[int] | Mapping[str, int] = 1, **common: Any) -> None:
        if isinstance(padding, int):
            ends = (padding, padding)
        elif isinstance(padding, Mapping):
            ends = _named_ends(padding, ("left_pad", "right_pad"))
        else:
            ends = _ends("padding", padding)
        super().__init__([ends], **common)
        self.padding = padding


@registered
class ZeroPadding2D(_ZeroPadding):
    """Zeros around images.

    Args:
        padding: (rows, cols) on both sides, or (top, bottom, left, right), or a dict of `top_pad`,
            `bottom_pad`, `left_pad`, `right_pad`.
        dim_ordering: "th", "tf" or "default".
        **common: see `Keras1Layer`.
    """

    settings: ClassVar[tuple[str, ...]] = ("padding", "dim_ordering")

    def __init__(
        self,
        padding: Sequence[int] | Mapping[str, int] = (1, 1),
        dim_ordering: str = "default",
        **common: Any,
    ) -> None:
        if isinstance(padding, Mapping):
            names = ("top_pad", "bottom_pad", "left_pad", "right_pad")
            sizes: tuple[int, ...] = _named_ends(padding, names)
        else:
            sizes = tuple(padding)
        if len(sizes) == 2:
            sizes = (sizes[0], sizes[0], sizes[1], sizes[1])
        if len(sizes) != 4:
            raise SpecError(
                f"padding is (rows, cols) or (top, bottom, left, right), not {padding!r}"
            )
        super().__init__([(sizes[0], sizes[1]), (sizes[2], sizes[3])], dim_ordering, **common)
        self.padding = padding


@registered
class ZeroPadding3D(_ZeroPadding):
    """Zeros around volumes; `padding` is one number for both sides of each axis."""

    settings: ClassVar[tuple[str, ...]] = ("padding", "dim_ordering")

    def __init__(
        self,
        padding: Sequence[int] = (1, 1, 1),
        dim_ordering: str = "default",
        **common: Any,
    ) -> None:
        if len(padding) != 3:
            raise SpecError(f"padding has 3 numbers, not {padding!r}")
        super().__init__([(size, size) for size in padding], dim_ordering, **common)
        self.padding = tuple(padding)


class _Cropping(_Resizing):
    """Base: cuts off the ends of the space."""

    def __init__(self, ends: Sequence[Ends], dim_ordering: str = "tf", **common: Any) -> None:
        super().__init__(len(ends), dim_ordering, **common)
        self.ends = tuple(ends)

    def call(self, x: Tensor) -> Tensor:
        """The output."""
        window = [slice(None)] * len(x.shape)
        for axis, (before, after) in zip(self.space, self.ends, strict=True):
            window[axis] = slice(before, -after if after else None)
        return x[tuple(window)]


@registered
class Cropping1D(_Cropping):
    """Cuts (before, after) off a sequence."""

    settings: ClassVar[tuple[str, ...]] = ("cropping",)

    def __init__(self, cropping: Sequence[int] = (1, 1), **common: Any) -> None:
        super().__init__([_ends("cropping", cropping)], **common)
        self.cropping = tuple(cropping)


class _SpaceCropping(_Cropping):
    """Base: cuts ((before, after), ...) off the axes of images or volumes."""

    settings: ClassVar[tuple[str, ...]] = ("cropping", "dim_ordering")
    rank: ClassVar[int]

    def __init__(
        self, cropping: Sequence[Sequence[int]], dim_ordering: str = "default", **common: Any
    ) -> None:
        if len(cropping) != self.rank:
            raise SpecError(f"cropping has {self.rank} pairs (before, after), not {cropping!r}")
        ends = [_ends("cropping", pair) for pair in cropping]
        super().__init__(ends, dim_ordering, **common)
        self.cropping = tuple(ends)


@registered
class Cropping2D(_SpaceCropping):
    """Cuts ((top, bottom), (left, right)) off images."""

    rank: ClassVar[int] = 2

    def __init__(
        self,
        cropping: Sequence[Sequence[int]] = ((0, 0), (0, 0)),
        dim_ordering: str = "default",
        **common: Any,
    ) -> None:
        super().__init__(cropping, dim_ordering, **common)


@registered
class Cropping3D(_SpaceCropping):
    """Cuts ((before, after), ...) off the three axes of volumes."""

    rank: ClassVar[int] = 3

    def __init__(
        self,
        cropping: Sequence[Sequence[int]] = ((1, 1), (1, 1), (1, 1)),
        dim_ordering: str = "default",
        **common: Any,
    ) -> None:
        super().__init__(cropping, dim_ordering, **common)


class _UpSampling(_Resizing):
    """Base: repeats each entry of the space."""

    def __init__(self, times: Sequence[int], dim_ordering: str = "tf", **common: Any) -> None:
        super().__init__(len(times), dim_ordering, **common)
        self.times = tuple(times)

    def call(self, x: Tensor) -> Tensor:
        """The output."""
        for axis, times in zip(self.space, self.times, strict=True):
            x = ops.repeat(x, times, axis=axis)
        return x


@registered
class UpSampling1D(_UpSampling):
    """Repeats each step `length` times."""

    settings: ClassVar[tuple[str, ...]] = ("length",)

    def __init__(self, length: int = 2, **common: Any) -> None:
        super().__init__((length,), **common)
        self.length = length


class _SpaceUpSampling(_UpSampling):
    """Base: repeats each position of images or volumes."""

    settings: ClassVar[tuple[str, ...]] = ("size", "dim_ordering")
    rank: ClassVar[int]

    def __init__(self, size: Sequence[int], dim_ordering: str = "default", **common: Any) -> None:
        if len(size) != self.rank:
            raise SpecError(f"size has {self.rank} numbers, not {size!r}")
        super().__init__(size, dim_ordering, **common)
        self.size = tuple(size)


@registered
class UpSampling2D(_SpaceUpSampling):
    """Repeats rows and columns of images."""

    rank: ClassVar[int] = 2

    def __init__(
        self, size: Sequence[int] = (2, 2), dim_ordering: str = "default", **common: Any
    ) -> None:
        super().__init__(size, dim_ordering, **common)


@registered
class UpSampling3D(_SpaceUpSampling):
    """Repeats along the three axes of volumes."""

    rank: ClassVar[int] = 3

    def __init__(
        self, size: Sequence[int] = (2, 2, 2), dim_ordering: str = "default", **common: Any
    ) -> None:
        super().__init__(size, dim_ordering, **common)


def _ends(name: str, pair: Sequence[int]) -> Ends:
    if len(pair) != 2:
        raise SpecError(f"{name} is a pair (before, after), not {pair!r}")
    return pair[0], pair[1]


def _named_ends(padding: Mapping[str, int], names: Sequence[str]) -> tuple[Any, ...]:
    for name in padding:
        if name not in names:
            raise SpecError(f"padding has no {name!r}; it has {', '.join(names)}")
    return tuple(padding.get(name, 0) for name in names)

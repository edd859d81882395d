"""Shapes, axes and places."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from keras import ops

from normscope.keras1.live.layers.base import Tensor
from normscope.keras1.live.layers.ordering import resolve_ordering, space_axes

__all__ = [
    "arange",
    "asymmetric_spatial_2d_padding",
    "asymmetric_temporal_padding",
    "batch_flatten",
    "concatenate",
    "expand_dims",
    "flatten",
    "gather",
    "one_hot",
    "pack",
    "permute_dimensions",
    "repeat",
    "repeat_elements",
    "reshape",
    "resize_images",
    "resize_volumes",
    "reverse",
    "spatial_2d_padding",
    "spatial_3d_padding",
    "squeeze",
    "stack",
    "temporal_padding",
    "tile",
]


def concatenate(tensors: Sequence[Tensor], axis: int = -1) -> Tensor:
    """Tensors, one after the other along an axis."""
    return ops.concatenate(list(tensors), axis=axis)


def reshape(x: Tensor, shape: Sequence[Any]) -> Tensor:
    """Another shape."""
    return ops.reshape(x, tuple(shape))


def permute_dimensions(x: Tensor, pattern: Sequence[int]) -> Tensor:
    """The axes in another order."""
    return ops.transpose(x, tuple(pattern))


def repeat_elements(x: Tensor, rep: int, axis: int) -> Tensor:
    """Each element `rep` times along an axis."""
    return ops.repeat(x, rep, axis=axis)


def repeat(x: Tensor, n: int) -> Tensor:
    """(batch, features) n times: (batch, n, features).

    >>> repeat(ops.ones((2, 3)), 4).shape[1]
    4
    """
    return ops.repeat(ops.expand_dims(x, 1), n, axis=1)


def tile(x: Tensor, n: int | Sequence[int]) -> Tensor:
    """x, n times along each axis."""
    return ops.tile(x, n)


def flatten(x: Tensor) -> Tensor:
    """All values along one axis."""
    return ops.reshape(x, (-1,))


def batch_flatten(x: Tensor) -> Tensor:
    """All values of a sample along one axis: (batch, values)."""
    return ops.reshape(x, (ops.shape(x)[0], -1))


def expand_dims(x: Tensor, dim: int = -1) -> Tensor:
    """One more axis of size 1."""
    return ops.expand_dims(x, dim)


def squeeze(x: Tensor, axis: int) -> Tensor:
    """An axis of size 1 less."""
    return ops.squeeze(x, axis)


def stack(x: Sequence[Tensor]) -> Tensor:
    """Tensors along a new first axis."""
    return ops.stack(list(x))


pack = stack


def arange(start: int, stop: int | None = None, step: int = 1, dtype: str = "int32") -> Tensor:
    """The numbers from start up to stop."""
    if stop is None:
        start, stop = 0, start
    return ops.arange(start, stop, step, dtype=dtype)


def gather(reference: Tensor, indices: Tensor) -> Tensor:
    """The items of these indices along axis 0."""
    return ops.take(reference, ops.cast(indices, "int32"), axis=0)


def one_hot(indices: Tensor, nb_classes: int) -> Tensor:
    """Rows with a 1 at each index."""
    return ops.one_hot(ops.cast(indices, "int32"), nb_classes)


def reverse(x: Tensor, axes: int | Sequence[int]) -> Tensor:
    """X backwards along some axes."""
    return ops.flip(x, axis=(axes,) if isinstance(axes, int) else tuple(axes))


def temporal_padding(x: Tensor, padding: int = 1) -> Tensor:
    """Zeros before and after the axis 1."""
    return asymmetric_temporal_padding(x, padding, padding)


def asymmetric_temporal_padding(x: Tensor, left_pad: int = 1, right_pad: int = 1) -> Tensor:
    """Zeros before and after the axis 1, as many as said for each end."""
    return ops.pad(x, ((0, 0), (left_pad, right_pad), (0, 0)))


def spatial_2d_padding(
    x: Tensor, padding: Sequence[int] = (1, 1), dim_ordering: str = "default"
) -> Tensor:
    """Zeros around images: rows and columns at each end."""
    rows, columns = padding
    return _padded(x, ((rows, rows), (columns, columns)), dim_ordering)


def asymmetric_spatial_2d_padding(
    x: Tensor,
    top_pad: int = 1,
    bottom_pad: int = 1,
    left_pad: int = 1,
    right_pad: int = 1,
    dim_ordering: str = "default",
) -> Tensor:
    """Zeros around images, as many as said for each end."""
    return _padded(x, ((top_pad, bottom_pad), (left_pad, right_pad)), dim_ordering)


def spatial_3d_padding(
    x: Tensor, padding: Sequence[int] = (1, 1, 1), dim_ordering: str = "default"
) -> Tensor:
    """Zeros around volumes: as many at both ends of each axis."""
    return _padded(x, tuple((size, size) for size in padding), dim_ordering)


def _padded(x: Tensor, ends: Sequence[tuple[int, int]], dim_ordering: str) -> Tensor:
    widths = [(0, 0)] * len(x.shape)
    for axis, pair in zip(_space(dim_ordering, len(ends)), ends, strict=True):
        widths[axis] = pair
    return ops.pad(x, tuple(widths))


def resize_images(
    X: Tensor,  # noqa: N803  # the name that Keras 1 gave it
    height_factor: int,
    width_factor: int,
    dim_ordering: str = "default",
) -> Tensor:
    """Images whose pixels are repeated along both axes."""
    return _repeated(X, (height_factor, width_factor), dim_ordering)


def resize_volumes(
    X: Tensor,  # noqa: N803  # the name that Keras 1 gave it
    depth_factor: int,
    height_factor: int,
    width_factor: int,
    dim_ordering: str = "default",
) -> Tensor:
    """Volumes whose elements are repeated along all three axes."""
    return _repeated(X, (depth_factor, height_factor, width_factor), dim_ordering)


def _repeated(x: Tensor, factors: Sequence[int], dim_ordering: str) -> Tensor:
    for axis, factor in zip(_space(dim_ordering, len(factors)), factors, strict=True):
        x = ops.repeat(x, factor, axis=axis)
    return x


def _space(dim_ordering: str, rank: int) -> tuple[int, ...]:
    return space_axes(resolve_ordering(dim_ordering), rank)

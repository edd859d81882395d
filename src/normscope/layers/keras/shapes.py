"""Groups of axes taken apart and put together, and parameters laid along them, in `keras.ops`."""

from __future__ import annotations

import math
from typing import Any

from keras import ops

from normscope.errors import ShapeError
from normscope.notation.axis import AtomicAxis
from normscope.notation.layout import Layout
from normscope.notation.shape import product

Tensor = Any
"""A tensor of the backend in use; keras has no type for it."""


def statistics_dtype(dtype: Any) -> str:
    """The dtype in which statistics of such values are computed.

    >>> statistics_dtype("bfloat16"), statistics_dtype("float64")
    ('float32', 'float64')
    """
    return "float64" if "float64" in str(dtype) else "float32"


# --- measure --------------------------------------------------------------------------------------


def placed(parameter: Tensor, layout: Layout, axes: tuple[int, ...], x: Tensor) -> Tensor:
    """A parameter along some axes, shaped to broadcast against the split input `x`."""
    place = layout.place(axes)
    parameter = ops.cast(parameter, x.dtype)
    if place.order != tuple(range(len(axes))):
        parameter = ops.transpose(ops.reshape(parameter, place.shape), place.order)
    return ops.reshape(parameter, place.broadcast)


def per_set(values: Tensor, layout: Layout, x: Tensor) -> Tensor:
    """One value per statistics set, shaped to broadcast against the split input `x`."""
    sizes = ops.shape(x)
    shape = [1 if axis.shared else sizes[i] for i, axis in enumerate(layout.axes)]
    return ops.reshape(ops.cast(values, x.dtype), shape)


def split(x: Tensor, layout: Layout) -> Tensor:
    """`x` in the dtype of the statistics, with every group of axes taken apart."""
    x = ops.convert_to_tensor(x)
    x = ops.cast(x, statistics_dtype(x.dtype))
    return ops.reshape(x, _split_sizes(x, layout)) if _is_split(layout) else x


def join(y: Tensor, layout: Layout) -> Tensor:
    """The opposite of `split`."""
    if not _is_split(layout):
        return y
    sizes = ops.shape(y)
    return ops.reshape(
        y,
        [
            math.prod(sizes[i] for i, axis in enumerate(layout.axes) if axis.dim == dim)
            for dim in range(len(layout.shape))
        ],
    )


def _is_split(layout: Layout) -> bool:
    return [axis.dim for axis in layout.axes] != list(range(len(layout.shape)))


def _split_sizes(x: Tensor, layout: Layout) -> list[Any]:
    """The lengths of the atomic axes, where they are not known before the run: tensors."""
    own = ops.shape(x)
    return [
        axis.size if axis.size is not None else own[axis.dim] // _others(layout, axis)
        for axis in layout.axes
    ]


def _others(layout: Layout, axis: AtomicAxis) -> int:
    """The product of the axes that make up one axis of the array together with `axis`."""
    others = product(part.size for part in layout.parts(axis.dim) if part is not axis)
    if others is None:
        raise ShapeError(
            f'pattern "{layout.pattern}" does not tell how axis {axis.dim} is split, and its '
            "length is not known before the run",
            layout.pattern.text,
            layout.shape,
            f"give all but one of the sizes, for example {axis.name}=2",
        )
    return others


def split_mask(mask: Tensor, x: Tensor, layout: Layout) -> Tensor | None:
    """The mask, shaped to broadcast against the split input `x`; None if it lies outside the sets.

    Raises:
        ShapeError: it does not have the leading axes of the input.
    """
    mask = ops.convert_to_tensor(mask, "bool")
    rank = len(mask.shape)
    for length, wanted in zip(mask.shape, layout.shape, strict=False):
        if rank > len(layout.shape) or (None not in (length, wanted) and length != wanted):
            raise ShapeError(
                f"a mask has the leading axes of the input, {layout.shape}; this one has the "
                f"shape {tuple(mask.shape)}",
                layout.pattern.text,
                layout.shape,
            )
    if not any(axis.shared and axis.dim < rank for axis in layout.axes):
        return None
    sizes = ops.shape(x)
    return ops.reshape(
        mask, [sizes[i] if axis.dim < rank else 1 for i, axis in enumerate(layout.axes)]
    )

"""Groups of axes taken apart and put together, and parameters laid along them."""

from __future__ import annotations

import math
from typing import Any

from normscope.errors import ShapeError
from normscope.layers.common.operations import Operations, Tensor
from normscope.notation.axis import AtomicAxis
from normscope.notation.layout import Layout
from normscope.notation.shape import product


def placed(
    ops: Operations, parameter: Tensor, layout: Layout, axes: tuple[int, ...], dtype: Any
) -> Tensor:
    """A parameter along some axes, shaped to broadcast against the split input."""
    place = layout.place(axes)
    parameter = ops.cast(parameter, dtype)
    if place.order != tuple(range(len(axes))):
        parameter = ops.transpose(ops.reshape(parameter, place.shape), place.order)
    return ops.reshape(parameter, place.broadcast)


def per_set(ops: Operations, values: Tensor, layout: Layout, x: Tensor) -> Tensor:
    """One value per statistics set, shaped to broadcast against the split input `x`."""
    sizes = ops.shape(x)
    shape = [1 if axis.shared else sizes[i] for i, axis in enumerate(layout.axes)]
    return ops.reshape(ops.cast(values, x.dtype), shape)


def split(ops: Operations, x: Tensor, layout: Layout) -> Tensor:
    """`x` in the dtype of the statistics, with every group of axes taken apart."""
    x = ops.cast(x, ops.statistics_dtype(x))
    return ops.reshape(x, split_sizes(ops, x, layout)) if is_split(layout) else x


def join(ops: Operations, y: Tensor, layout: Layout) -> Tensor:
    """The opposite of `split`, in shape."""
    if not is_split(layout):
        return y
    sizes = ops.shape(y)
    return ops.reshape(
        y,
        [
            math.prod(sizes[i] for i, axis in enumerate(layout.axes) if axis.dim == dim)
            for dim in range(len(layout.shape))
        ],
    )


def is_split(layout: Layout) -> bool:
    """Whether the pattern takes an axis of the input apart, or has one of length 1 more."""
    return [axis.dim for axis in layout.axes] != list(range(len(layout.shape)))


def split_sizes(ops: Operations, x: Tensor, layout: Layout) -> list[Any]:
    """The lengths of the atomic axes; tensors where they are not known before the run."""
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

"""Inputs and masks of the Keras layers, taken apart as a layout says."""

from __future__ import annotations

from keras import ops

from normscope.errors import ShapeError
from normscope.layers.common import shapes
from normscope.layers.common.operations import Operations, Tensor
from normscope.layers.keras import operations
from normscope.notation.layout import Layout

KERAS: Operations = operations


def split(x: Tensor, layout: Layout) -> Tensor:
    """`x` in the dtype of the statistics, with every group of axes taken apart."""
    return shapes.split(KERAS, ops.convert_to_tensor(x), layout)


def join(y: Tensor, layout: Layout) -> Tensor:
    """The opposite of `split`."""
    return shapes.join(KERAS, y, layout)


def split_mask(mask: Tensor | None, x: Tensor, layout: Layout) -> Tensor | None:
    """The mask, shaped to broadcast against the split input `x`; None if it lies outside the sets.

    Raises:
        ShapeError: it does not have the leading axes of the input.
    """
    if mask is None:
        return None
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

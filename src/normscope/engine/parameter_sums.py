"""Sums as kernels leave them -> the gradients of parameters: added, and in the order of axes."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from normscope.notation.layout import Layout

Axes = tuple[int, ...]
Floats = NDArray[np.float64]


def added(parts: Floats) -> Floats:
    """The sum of the parts of a sum; of a single one there is no copy."""
    return parts[0] if len(parts) == 1 else np.asarray(np.add.reduce(parts, axis=0))


def in_order(layout: Layout, axes: Axes, lying: Axes, sums: Floats) -> list[Floats]:
    """Rows of sums that lie along some axes: those along `axes`, in that order."""
    sizes = layout.known_sizes
    shape = [sizes[i] for i in axes]
    if axes == lying:
        return [row.reshape(shape) for row in sums]
    long = [i for i in lying if sizes[i] > 1]  # NumPy has room for one more than these
    sums = sums.reshape(len(sums), *(sizes[i] for i in long))
    others = tuple(n for n, i in enumerate(long, 1) if i not in axes)
    left = [i for i in long if i in axes]
    order = [left.index(i) + 1 for i in axes if i in left]
    ordered = (sums.sum(others) if others else sums).transpose(0, *order)
    return [row.reshape(shape) for row in ordered]

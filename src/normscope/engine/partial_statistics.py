"""Partial statistics of an array: what can be merged with those of other parts of the same sets."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from normscope.engine import by_definition
from normscope.engine.operands import readable
from normscope.engine.prepared import formula_of, measure_number, prepare
from normscope.engine.validation import check_array, check_mask, in_floats
from normscope.kernels.contract import (
    PARTIAL_ROWS_WITH_RESTS,
    is_sum_of_squares,
    takes_ddof,
)
from normscope.kernels.library import kernels_built
from normscope.notation.layout import Layout
from normscope.notation.spec import Measure, NormSpec

Floats = NDArray[np.float64]


def partial_statistics_of(x: NDArray[Any], spec: NormSpec, mask: ArrayLike | None = None) -> Floats:
    """Measure every statistics set of an array: (5, sets), in layout order.

    The rows are those of partial statistics in `normscope.kernels.contract`; rests other than 0
    are those of float64 input.

    Raises:
        ShapeError: x does not meet the pattern.
        DtypeError: x is not an array of real numbers.
    """
    check_array("x", x)
    layout = spec.layout(x.shape)
    counted = None if mask is None else check_mask(mask, x.shape, layout.pattern.text)
    return measured(x, spec, layout, counted)


def measured(
    x: NDArray[Any], spec: NormSpec, layout: Layout, counted: NDArray[np.bool_] | None
) -> Floats:
    """Measure every set of an array that meets the pattern, as `partial_statistics_of`."""
    if not kernels_built():
        return by_definition.partial_statistics(spec, layout, in_floats(x), counted)
    x = readable(in_floats(x), None)
    masked = None if counted is None else counted.strides
    call = prepare(spec, layout, x.dtype, (x.strides, x.strides, None, masked))
    found = np.zeros((PARTIAL_ROWS_WITH_RESTS, call.plan.num_sets))
    if not x.size:
        return found
    from normscope.engine import forward

    partials, order = forward.measured(call, x, counted)
    found[: len(partials), order] = partials
    return found


def merged(spec: NormSpec, one: Floats, other: Floats) -> Floats:
    """The partial statistics of two disjoint parts of the same sets together."""
    if not kernels_built():
        return by_definition.merged(spec, one, other)
    from normscope.engine.merging import merge_chunks

    formula = formula_of(spec, np.dtype(np.float64))
    return merge_chunks(np.stack([one, other]), formula, even=False)


def measure_of(spec: NormSpec, count: Floats, root: Floats) -> Floats:
    """v, from count and root."""
    if spec.measure is Measure.NONE:
        return np.ones_like(root)
    measure = measure_number(spec)
    v = root * root
    with np.errstate(divide="ignore", invalid="ignore"):
        if takes_ddof(measure):
            v = v * (count / np.maximum(count - spec.ddof, 0))
        elif is_sum_of_squares(measure):
            v = v * count
    return np.asarray(v)

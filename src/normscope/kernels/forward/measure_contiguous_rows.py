"""Measure a group of statistics sets that are one run of memory each, divisions overlapping.

The scratch memory has one row of `GROUP` numbers for each thing that is known of the sets.
"""

from __future__ import annotations

from typing import Any

from normscope.kernels.contract import (
    CENTER,
    EPS,
    EPS_OUTSIDE,
    FLOOR,
    MEASURE,
    SIZE,
    UNIT_UP_TO,
    Arrays,
)
from normscope.kernels.forward import float64_statistics, vectorized_divisors
from normscope.kernels.forward.measure_rows import chunk_statistics
from normscope.kernels.forward.nest import offsets
from normscope.kernels.forward.partial_statistics import Scaling, pivot_at
from normscope.kernels.forward.runs import shifted_sums, value
from normscope.kernels.forward.scaling import scaling_of
from normscope.kernels.machine.compiling import exact, part
from normscope.kernels.machine.double_double import pair
from normscope.kernels.machine.instructions import use_widest_vectors
from normscope.kernels.machine.memory import is_float64, keep, recall
from normscope.kernels.measures import is_around_mean

GROUP = 8
"""Sets that are summed before the first of them is written."""

(
    SUM, SUM_REST, SQUARE, SQUARE_REST, PIVOT, MEAN, MEAN_REST, ROOT, ROOT_REST,
    V, D, CENTRE, CENTRE_REST, RSTD, RSTD_REST, UNIT,
) = range(0, 16 * GROUP, GROUP)  # fmt: skip
"""Where the rows begin. Only sets of float64 input have rests, and other units than 1."""

SCRATCH = UNIT + GROUP


@part
def _measure_ordinary_group(
    arrays: Arrays, nest: Any, num_kept: int, start: int, count: int, formula: Any, work: Any
) -> None:
    """Measure the sets from `start` on, of any input but float64."""
    size, measure = nest[num_kept, SIZE], formula[MEASURE]
    n = float(size)
    rows = work.ctypes.data
    for g in range(count):
        at = offsets(nest, 0, num_kept, start + g)
        pivot = 0.0
        if is_around_mean(measure):
            pivot = pivot_at(value(arrays.x, at.x, arrays.residual, at.residual, arrays.tag))
        s, q = shifted_sums(arrays, at, None, size, 1.0, pivot)
        keep(rows, PIVOT + g, pivot)
        keep(rows, SUM + g, s)
        keep(rows, SQUARE + g, q)
    means, roots = rows + 8 * MEAN, rows + 8 * ROOT
    vectorized_divisors.means_and_roots(
        GROUP, n, rows + 8 * SUM, rows + 8 * SQUARE, rows + 8 * PIVOT, means, roots, measure
    )
    vectorized_divisors.centres_and_rstds(
        GROUP, n, means, roots, rows + 8 * CENTRE, rows + 8 * RSTD, formula
    )


@exact
def _means_and_roots(n: float, rows: int, measure: float) -> Any:
    """Mean, root and their rests of each set of float64 input; how many sets are not ordinary."""
    use_widest_vectors()
    odd = 0
    for g in range(GROUP):
        s, s_rest = recall(rows, SUM + g), recall(rows, SUM_REST + g)
        q, q_rest = recall(rows, SQUARE + g), recall(rows, SQUARE_REST + g)
        mean, root, mean_rest, root_rest, valid = float64_statistics.ordinary_statistics(
            n, s, s_rest, q, q_rest, measure
        )
        keep(rows, MEAN + g, mean)
        keep(rows, MEAN_REST + g, mean_rest)
        keep(rows, ROOT + g, root)
        keep(rows, ROOT_REST + g, root_rest)
        odd += 0 if valid else 1
    return odd


@exact
def _divisors(n: float, rows: int, formula: Any) -> Any:
    """What the output of each set of float64 input needs; how many sets are not ordinary."""
    use_widest_vectors()
    share, share_rest = float64_statistics.share_of(n, formula)
    eps, outside, floor = formula[EPS], formula[EPS_OUTSIDE], formula[FLOOR]
    center, unit_up_to = formula[CENTER], formula[UNIT_UP_TO]
    odd = 0
    for g in range(GROUP):
        v, d, rstd, rstd_rest, valid = float64_statistics.ordinary_divisor(
            recall(rows, ROOT + g), recall(rows, ROOT_REST + g), share, share_rest,
            eps, outside, floor, unit_up_to,
        )  # fmt: skip
        mean, mean_rest = recall(rows, MEAN + g), recall(rows, MEAN_REST + g)
        keep(rows, V + g, v)
        keep(rows, D + g, d)
        keep(rows, CENTRE + g, mean if center != 0.0 else 0.0)
        keep(rows, CENTRE_REST + g, mean_rest if center != 0.0 else 0.0)
        keep(rows, RSTD + g, rstd)
        keep(rows, RSTD_REST + g, rstd_rest)
        odd += 0 if valid else 1
    return odd


@part
def _measure_float64_group(
    arrays: Arrays, nest: Any, num_kept: int, start: int, count: int, formula: Any, work: Any,
    lanes: Any,
) -> None:  # fmt: skip
    """Measure the sets from `start` on, of float64 input."""
    size, measure = nest[num_kept, SIZE], formula[MEASURE]
    n = float(size)
    rows = work.ctypes.data
    for g in range(count):
        own = lanes.ctypes.data + 8 * float64_statistics.SUMS * g
        float64_statistics.clear(own)
        at = offsets(nest, 0, num_kept, start + g)
        float64_statistics.add_run(arrays, at, None, size, 1.0, 0.0, own)
    float64_statistics.totals(lanes.ctypes.data, count)
    for g in range(count):
        first = float64_statistics.SUMS * g
        s, s_rest = pair(lanes[first], lanes[first + float64_statistics.LANES])
        q, q_rest = pair(
            lanes[first + 2 * float64_statistics.LANES], lanes[first + 3 * float64_statistics.LANES]
        )
        keep(rows, SUM + g, s)
        keep(rows, SUM_REST + g, s_rest)
        keep(rows, SQUARE + g, q)
        keep(rows, SQUARE_REST + g, q_rest)
    odd = _means_and_roots(n, rows, measure) + _divisors(n, rows, formula)
    for g in range(count):
        keep(rows, UNIT + g, 1.0)
    for g in range(count if odd > 0 else 0):
        at = offsets(nest, 0, num_kept, start + g)
        partial = chunk_statistics(arrays, at, nest, num_kept, 0, size, formula, lanes)
        v, d, d_rest = float64_statistics.variance_and_divisor(partial, formula)
        keep(rows, MEAN + g, partial.mean)
        keep(rows, V + g, v)
        keep(rows, D + g, d)
        scaling = scaling_of(partial.mean, partial.mean_rest, d, d_rest, formula, True)
        keep(rows, UNIT + g, scaling.unit)
        keep(rows, CENTRE + g, scaling.centre)
        keep(rows, CENTRE_REST + g, scaling.centre_rest)
        keep(rows, RSTD + g, scaling.factor)
        keep(rows, RSTD_REST + g, scaling.factor_rest)


@part
def measure_group(
    arrays: Arrays, nest: Any, num_kept: int, start: int, count: int, formula: Any, work: Any,
    lanes: Any,
) -> None:  # fmt: skip
    """Measure `count` sets from `start` on. `lanes`: see `float64_statistics.lanes_for`."""
    if lanes is None:
        _measure_ordinary_group(arrays, nest, num_kept, start, count, formula, work)
    else:
        _measure_float64_group(arrays, nest, num_kept, start, count, formula, work, lanes)


@part
def scaling_at(work: Any, g: int, tag: Any) -> Scaling:
    """What the output of set `g` of the group needs."""
    unit, centre_rest, rstd_rest = 1.0, 0.0, 0.0
    if is_float64(tag):
        unit, centre_rest, rstd_rest = work[UNIT + g], work[CENTRE_REST + g], work[RSTD_REST + g]
    return Scaling(unit, work[CENTRE + g], centre_rest, work[RSTD + g], rstd_rest)

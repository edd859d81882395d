"""Plan + arrays -> kernels: measure statistics sets, and write the normalized output."""

from __future__ import annotations

from functools import cache, partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from normscope.engine import threads
from normscope.engine.plan import WRITTEN, Plan
from normscope.kernels.contract import Arrays
from normscope.notation.spec import Measure, NormSpec

Floats = NDArray[np.float64]

NO_STATISTICS = np.empty((4, 0))
COUNT, MEAN, VAR, DIVISOR = range(4)
"""Rows of an array of statistics, which has one column per set.

float64 input has two more where it is measured and written in two steps: what float64 cannot hold
of mean and divisor.
"""

WIDE, UNIT_UP_TO = 7, 8
"""Places in the numbers of a formula: whether the input is float64, and what divisors become 1."""


def formula(spec: NormSpec, dtype: str) -> Floats:
    """The numbers of a spec, as `normscope.kernels.formula` wants them.

    Where nothing is divided the variance is measured all the same, in the pass that takes the mean.
    """
    measured = Measure.VARIANCE if spec.measure is Measure.NONE else spec.measure
    return np.array(
        [
            list(Measure).index(measured),
            spec.center,
            spec.ddof,
            spec.eps,
            spec.eps_outside,
            spec.floor,
            spec.scale_shift,
            dtype == "float64",
            _unit_up_to(spec),
        ],
        np.float64,
    )


def _unit_up_to(spec: NormSpec) -> float:
    """The largest divisor in whose place 1 stands."""
    if spec.measure is Measure.NONE:
        return np.inf
    if spec.unit_below is None:
        return -1.0
    return float(np.nextafter(spec.unit_below, 0.0))  # of 0 it is 0


def empty_statistics(plan: Plan, numbers: Floats) -> Floats:
    """An array for the statistics of a call."""
    return np.empty((4 if plan.whole or not numbers[WIDE] else 6, plan.num_sets))


def normalize(plan: Plan, numbers: Floats, arrays: Arrays, statistics: Floats) -> None:
    """Measure all sets and write the output.

    Args:
        plan: the loop nest.
        numbers: see `formula`.
        arrays: the addresses.
        statistics: `empty_statistics`, filled with count, mean, v and divisor; or `NO_STATISTICS`.
    """
    if not plan.whole:
        if statistics.shape[1] == 0:
            statistics = empty_statistics(plan, numbers)
        measure(plan, numbers, arrays, statistics)
        apply(plan, numbers, arrays, statistics)
        return
    counter = np.zeros(1, np.int64)
    common = (plan.nest, plan.kept, numbers, arrays, streams(plan, arrays), statistics)
    if plan.mode == "rows":
        rows, straight = _row_kernels()
        served = straight.serves(plan.nest, plan.kept, numbers, arrays.residual, arrays.mask)
        kernel = straight.normalize if served else rows.normalize
        if plan.items == 1:
            kernel(counter, 1, plan.per_item, *common)
            return
        job = partial(kernel, counter, plan.items, plan.per_item, *common)
    else:
        from normscope.kernels.forward import columns

        job = partial(columns.normalize, counter, plan.items, plan.tiling, *common)
    threads.run(job, plan.items)


@cache
def _row_kernels() -> tuple[Any, Any]:
    """Modules that bring Numba, imported once: to ask for them again takes time, too."""
    from normscope.kernels.forward import contiguous_rows as straight, rows

    return rows, straight


def streams(plan: Plan, arrays: Arrays) -> bool:
    """Whether to write past the caches; what is overwritten in place is in them already."""
    return plan.streams and arrays.out != arrays.x


def measure(plan: Plan, numbers: Floats, arrays: Arrays, statistics: Floats) -> None:
    """Measure all sets, chunk by chunk."""
    from normscope.kernels.forward import merging

    merged, order = measured_states(plan, numbers, arrays)
    merging.divisors(merged, order, statistics, numbers)


def measured_states(plan: Plan, numbers: Floats, arrays: Arrays) -> tuple[Floats, NDArray[np.intp]]:
    """Count, mean and root of all sets, and the place in layout order of each.

    For float64 input with the rests of mean and root: see `kernels.forward.float64_statistics`.
    """
    from normscope.kernels.forward import columns, merging, rows

    known = 5 if numbers[WIDE] else 3
    counter = np.zeros(1, np.int64)
    # what is not read here is left out, so that no other kernel is compiled for it
    read = arrays._replace(out=0, scale=0, bias=0, slope=None, parameter_tag=None)
    ends = (plan.nest, plan.kept, numbers, read)
    if plan.mode == "rows":
        items = plan.num_sets * plan.chunks
        states = np.empty((plan.chunks, known, plan.num_sets))
        job = partial(rows.measure, counter, items, *ends, states)
        threads.run(job, items)
        merged = np.empty((known, plan.num_sets))
        merging.merge_chunks(states, merged, numbers, arrays.mask is None)
        return merged, np.arange(plan.num_sets)
    items = plan.positions * plan.tiles * plan.chunks
    states = np.empty((plan.chunks, known, plan.positions * plan.loops[-1].size))
    job = partial(columns.measure, counter, items, plan.tiling, *ends, states)
    threads.run(job, items)
    merged = np.empty(states.shape[1:])
    merging.merge_chunks(states, merged, numbers, arrays.mask is None)
    if plan.outer * plan.inner > 1:
        columns_of_sets = merged
        merged = np.empty((known, plan.num_sets))
        sets = plan.loops[-1].size // (plan.outer * plan.inner)
        merging.fold_columns(columns_of_sets, merged, plan.outer, sets, plan.inner, numbers)
    return merged, plan.set_order


def apply(plan: Plan, numbers: Floats, arrays: Arrays, statistics: Floats) -> None:
    """Write the output, from statistics that are known."""
    counter = np.zeros(1, np.int64)
    # the statistics say which sets are empty: the mask is not read
    unmasked = arrays._replace(mask=None)
    ends = (plan.nest, plan.kept, numbers, unmasked, streams(plan, arrays), statistics)
    if plan.mode == "rows":
        from normscope.kernels.forward import rows

        per_item, step = plan.per_item, plan.set_size
        if not plan.whole:
            per_item, step = 1, WRITTEN
        items = -(-plan.num_sets // per_item) * -(-plan.set_size // step)
        job = partial(rows.apply, counter, items, per_item, step, *ends)
        threads.run(job, items)
    else:
        from normscope.kernels.forward import columns

        items = plan.positions * plan.tiles * plan.chunks
        job = partial(columns.apply, counter, items, plan.tiling, *ends)
        threads.run(job, items)

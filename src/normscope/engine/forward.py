"""Prepared call + arrays -> kernels: measure statistics sets, and write the normalized output."""

from __future__ import annotations

from functools import cache, partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from normscope.engine import threads
from normscope.engine.plan import WRITTEN, Plan
from normscope.engine.prepared import PreparedCall
from normscope.kernels.contract import (
    IS_FLOAT64,
    PARTIAL_ROWS,
    PARTIAL_ROWS_WITH_RESTS,
    ROWS,
    ROWS_WITH_RESTS,
    Arrays,
)

Floats = NDArray[np.float64]

NO_STATISTICS = np.empty((ROWS, 0))


def empty_statistics(call: PreparedCall) -> Floats:
    """An array for the statistics of a call: see `normscope.kernels.contract` for its rows."""
    rests = not call.plan.whole and call.formula[IS_FLOAT64]
    return np.empty((ROWS_WITH_RESTS if rests else ROWS, call.plan.num_sets))


def normalize(call: PreparedCall, arrays: Arrays, statistics: Floats) -> None:
    """Measure all sets and write the output.

    Args:
        call: the prepared call.
        arrays: the addresses.
        statistics: `empty_statistics`, to be filled; or `NO_STATISTICS`.
    """
    plan, formula = call.plan, call.formula
    if not plan.whole:
        if statistics.shape[1] == 0:
            statistics = empty_statistics(call)
        measure(call, arrays, statistics)
        apply(call, arrays, statistics)
        return
    counter = np.zeros(1, np.int64)
    past_caches = streams(plan, arrays)
    if plan.mode == "rows" and plan.items == 1:  # by position, of which small calls are quicker
        kernel = _row_kernel(call.contiguous)
        kernel(
            counter, 1, plan.per_item, plan.nest, plan.num_kept, formula, arrays, past_caches,
            statistics,
        )  # fmt: skip
        return
    given: dict[str, Any] = {
        "nest": plan.nest,
        "num_kept": plan.num_kept,
        "formula": formula,
        "arrays": arrays,
        "streams": past_caches,
        "statistics": statistics,
    }
    if plan.mode == "rows":
        kernel = _row_kernel(call.contiguous)
        job = partial(kernel, counter, items=plan.items, per_item=plan.per_item, **given)
    else:
        from normscope.kernels.forward import columns

        job = partial(columns.normalize, counter, items=plan.items, tiling=plan.tiling, **given)
    threads.run(job, plan.items)


@cache
def _row_kernel(contiguous: bool) -> Any:
    """The kernel for rows. It brings Numba, and is imported once: to ask again takes time, too."""
    from normscope.kernels.forward import contiguous_rows, rows

    return contiguous_rows.normalize if contiguous else rows.normalize


def streams(plan: Plan, arrays: Arrays) -> bool:
    """Whether to write past the caches; what is overwritten in place is in them already."""
    return plan.streams and arrays.out != arrays.x


def measure(call: PreparedCall, arrays: Arrays, statistics: Floats) -> None:
    """Measure all sets, chunk by chunk."""
    from normscope.kernels.forward import merging

    partials, order = measured(call, arrays)
    merging.divisors(partials, order=order, statistics=statistics, formula=call.formula)


def measured(call: PreparedCall, arrays: Arrays) -> tuple[Floats, NDArray[np.intp]]:
    """The partial statistics of all sets, and the place in layout order of each.

    See `normscope.kernels.contract` for their rows; only float64 input has rests.
    """
    from normscope.kernels.forward import columns, merging, rows

    plan, formula = call.plan, call.formula
    num_rows = PARTIAL_ROWS_WITH_RESTS if formula[IS_FLOAT64] else PARTIAL_ROWS
    counter = np.zeros(1, np.int64)
    given: dict[str, Any] = {
        "nest": plan.nest,
        "num_kept": plan.num_kept,
        "formula": formula,
        # what is not read here is left out, so that no other kernel is compiled for it
        "arrays": arrays._replace(out=0, scale=0, bias=0, slope=None, parameter_tag=None),
    }
    even = arrays.mask is None
    if plan.mode == "rows":
        items = plan.num_sets * plan.chunks
        partials = np.empty((plan.chunks, num_rows, plan.num_sets))
        threads.run(partial(rows.measure, counter, items=items, **given, partials=partials), items)
        merged = np.empty((num_rows, plan.num_sets))
        merging.merge_chunks(partials, target=merged, formula=formula, even=even)
        return merged, np.arange(plan.num_sets)
    items = plan.positions * plan.tiles * plan.chunks
    partials = np.empty((plan.chunks, num_rows, plan.positions * plan.loops[-1].size))
    given |= {"tiling": plan.tiling, "partials": partials}
    threads.run(partial(columns.measure, counter, items=items, **given), items)
    merged = np.empty(partials.shape[1:])
    merging.merge_chunks(partials, target=merged, formula=formula, even=even)
    if plan.outer * plan.inner > 1:
        columns_of_sets = merged
        merged = np.empty((num_rows, plan.num_sets))
        sets = plan.loops[-1].size // (plan.outer * plan.inner)
        merging.fold_columns(
            columns_of_sets,
            target=merged,
            outer=plan.outer,
            sets=sets,
            inner=plan.inner,
            formula=formula,
        )
    return merged, plan.set_order


def apply(call: PreparedCall, arrays: Arrays, statistics: Floats) -> None:
    """Write the output, from statistics that are known."""
    plan = call.plan
    counter = np.zeros(1, np.int64)
    given: dict[str, Any] = {
        "nest": plan.nest,
        "num_kept": plan.num_kept,
        "formula": call.formula,
        # the statistics say which sets are empty: the mask is not read
        "arrays": arrays._replace(mask=None),
        "streams": streams(plan, arrays),
        "statistics": statistics,
    }
    if plan.mode == "rows":
        from normscope.kernels.forward import rows

        per_item, step = plan.per_item, plan.set_size
        if not plan.whole:
            per_item, step = 1, WRITTEN
        items = -(-plan.num_sets // per_item) * -(-plan.set_size // step)
        given |= {"per_item": per_item, "step": step}
        threads.run(partial(rows.apply, counter, items=items, **given), items)
    else:
        from normscope.kernels.forward import columns

        items = plan.positions * plan.tiles * plan.chunks
        given |= {"tiling": plan.tiling}
        threads.run(partial(columns.apply, counter, items=items, **given), items)

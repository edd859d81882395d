"""Measure statistics sets that are a few long runs of memory.

A set is taken in *chunks* of `CHUNK` elements, in the order of memory. Which thread takes
which chunk makes no difference: chunks are merged in order.
"""

from __future__ import annotations

from typing import Any

from normscope.kernels.contract import CHUNK, MEASURE, SIZE, Arrays, Place
from normscope.kernels.forward import float64_statistics
from normscope.kernels.forward.nest import moved, offsets, strides
from normscope.kernels.forward.partial_statistics import (
    PartialStatistics,
    mean_and_root,
    merge,
    nothing,
    pivot_at,
)
from normscope.kernels.forward.runs import (
    absolute_sums,
    are_neighbours,
    masked_sums,
    shifted_sums,
    sum_and_max,
    value,
)
from normscope.kernels.machine.compiling import part
from normscope.kernels.machine.instructions import use_widest_vectors
from normscope.kernels.machine.memory import counts
from normscope.kernels.measures import (
    is_around_mean,
    is_largest,
    is_square,
    is_sum_of_sizes,
    together,
)
from normscope.kernels.nest import run_at


@part
def _add_float64_run(
    arrays: Arrays, at: Place, step: Place, n: int, unit: float, pivot: float, lanes: int
) -> Any:
    """Add a run of float64 input to the lanes; how many of its elements count."""
    if arrays.mask is not None:
        return float64_statistics.add_masked_run(arrays, at, step, n, unit, pivot, lanes)
    if are_neighbours(arrays, step):
        float64_statistics.add_run(arrays, at, None, n, unit, pivot, lanes)
    else:
        float64_statistics.add_run(arrays, at, step, n, unit, pivot, lanes)
    return float(n)


@part
def _run_sums(
    arrays: Arrays, at: Place, step: Place, n: int, unit: float, pivot: float, measure: float
) -> Any:
    """Count and sums of one run."""
    if arrays.mask is not None:
        return masked_sums(arrays, at, step, n, unit, pivot, measure)
    if is_largest(measure):
        s, q = sum_and_max(arrays, at, step, n, unit)
    elif is_sum_of_sizes(measure):
        s, q = absolute_sums(arrays, at, step, n, unit)
    elif are_neighbours(arrays, step):
        s, q = shifted_sums(arrays, at, None, n, unit, pivot)
    else:
        s, q = shifted_sums(arrays, at, step, n, unit, pivot)
    return float(n), s, q


@part
def _chunk_sums(
    arrays: Arrays, at: Place, nest: Any, num_kept: int, start: int, stop: int,
    unit: float, pivot: float, measure: float, lanes: Any,
) -> Any:  # fmt: skip
    """Count and sums of the elements `start` to `stop` of a set that begins at `at`.

    The last two are the rests of the sums, which only those of float64 input have.
    """
    last = nest.shape[0] - 1
    inner = nest[last, SIZE]
    step = strides(nest, last)
    run, e = run_at(start, inner)
    position = start
    n, s, q = 0.0, 0.0, 0.0
    if lanes is not None:
        float64_statistics.clear(lanes.ctypes.data)
    while position < stop:
        length = min(inner - e, stop - position)
        here = moved(moved(at, offsets(nest, num_kept, last, run), 1), step, e)
        if lanes is not None and is_square(measure):
            n += _add_float64_run(arrays, here, step, length, unit, pivot, lanes.ctypes.data)
        else:
            n1, s1, q1 = _run_sums(arrays, here, step, length, unit, pivot, measure)
            n += n1
            s += s1
            q = together(q, q1, measure)
        position += length
        run += 1
        e = 0
    if lanes is not None and is_square(measure):
        s, s_rest, q, q_rest = float64_statistics.total(lanes.ctypes.data)
        return n, s, q, s_rest, q_rest
    return n, s, q, 0.0, 0.0


@part
def _first(arrays: Arrays, at: Place, nest: Any, num_kept: int, start: int, stop: int) -> Any:
    """The first element that counts, as a pivot; 0 if none does."""
    use_widest_vectors()
    if arrays.mask is None and start == 0:
        return pivot_at(value(arrays.x, at.x, arrays.residual, at.residual, arrays.tag))
    for position in range(start, stop):
        here = moved(at, offsets(nest, num_kept, nest.shape[0], position), 1)
        if counts(arrays.mask, here.mask):
            return pivot_at(value(arrays.x, here.x, arrays.residual, here.residual, arrays.tag))
    return 0.0


@part
def chunk_statistics(
    arrays: Arrays, at: Place, nest: Any, num_kept: int, start: int, stop: int, formula: Any,
    lanes: Any,
) -> PartialStatistics:  # fmt: skip
    """The statistics of the elements `start` to `stop` of a set that begins at `at`."""
    measure = formula[MEASURE]
    unit, pivot = 1.0, 0.0
    if is_around_mean(measure) and lanes is None:
        pivot = _first(arrays, at, nest, num_kept, start, stop)
    while True:
        n, s, q, s_rest, q_rest = _chunk_sums(
            arrays, at, nest, num_kept, start, stop, unit, pivot, measure, lanes
        )
        if lanes is None:
            mean, root = mean_and_root(n, s, q, pivot, measure)
            return PartialStatistics(n, mean, root, 0.0, 0.0)
        better = float64_statistics.again(n, s, s_rest, q, q_rest, unit, pivot, measure)
        if better == (unit, pivot):
            mean, root, mean_rest, root_rest = float64_statistics.mean_and_root(
                n, s, s_rest, q, q_rest, unit, pivot, measure
            )
            return PartialStatistics(n, mean, root, mean_rest, root_rest)
        unit, pivot = better


@part
def set_statistics(
    arrays: Arrays, at: Place, nest: Any, num_kept: int, size: int, formula: Any, lanes: Any
) -> PartialStatistics:
    """The statistics of a whole set of `size` elements."""
    partial = nothing()
    for start in range(0, size, CHUNK):
        stop = min(start + CHUNK, size)
        chunk = chunk_statistics(arrays, at, nest, num_kept, start, stop, formula, lanes)
        if lanes is None:
            partial = merge(partial, chunk, formula[MEASURE])
        else:
            partial = float64_statistics.merge(partial, chunk, formula[MEASURE])
    return partial

"""Measure statistics sets that are a few long runs of memory.

A set is taken in *chunks* of `CHUNK` elements, in the order of memory. Which thread takes
which chunk makes no difference: chunks are merged in order.
"""

from __future__ import annotations

from typing import Any

from normscope.kernels.contract import CHUNK, Arrays, Place
from normscope.kernels.formula import L1, MAX, MEASURE, VARIANCE
from normscope.kernels.forward import float64_statistics as wide
from normscope.kernels.forward.partial_statistics import (
    State,
    larger,
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
from normscope.kernels.nest import SIZE, moved, offsets, run_at, strides


@part
def _add_wide_run(
    arrays: Arrays, at: Place, step: Place, n: int, unit: float, pivot: float, lanes: int
) -> Any:
    """Add a run of float64 input to the lanes; how many of its elements count."""
    if arrays.mask is not None:
        return wide.add_masked_run(arrays, at, step, n, unit, pivot, lanes)
    if are_neighbours(arrays, step):
        wide.add_run(arrays, at, None, n, unit, pivot, lanes)
    else:
        wide.add_run(arrays, at, step, n, unit, pivot, lanes)
    return float(n)


@part
def _run_sums(
    arrays: Arrays, at: Place, step: Place, n: int, unit: float, pivot: float, measure: float
) -> Any:
    """Count and sums of one run."""
    if arrays.mask is not None:
        return masked_sums(arrays, at, step, n, unit, pivot, measure)
    if measure == MAX:
        s, q = sum_and_max(arrays, at, step, n, unit)
    elif measure == L1:
        s, q = absolute_sums(arrays, at, step, n, unit)
    elif are_neighbours(arrays, step):
        s, q = shifted_sums(arrays, at, None, n, unit, pivot)
    else:
        s, q = shifted_sums(arrays, at, step, n, unit, pivot)
    return float(n), s, q


@part
def _chunk_sums(
    arrays: Arrays, at: Place, nest: Any, kept: int, start: int, stop: int,
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
        wide.clear(lanes.ctypes.data)
    while position < stop:
        length = min(inner - e, stop - position)
        here = moved(moved(at, offsets(nest, kept, last, run), 1), step, e)
        if lanes is not None and measure < L1:
            n += _add_wide_run(arrays, here, step, length, unit, pivot, lanes.ctypes.data)
        else:
            n1, s1, q1 = _run_sums(arrays, here, step, length, unit, pivot, measure)
            n += n1
            s += s1
            if measure == MAX:
                q = larger(q, q1)
            else:
                q += q1
        position += length
        run += 1
        e = 0
    if lanes is not None and measure < L1:
        s, s_rest, q, q_rest = wide.total(lanes.ctypes.data)
        return n, s, q, s_rest, q_rest
    return n, s, q, 0.0, 0.0


@part
def _first(arrays: Arrays, at: Place, nest: Any, kept: int, start: int, stop: int) -> Any:
    """The first element that counts, as a pivot; 0 if none does."""
    use_widest_vectors()
    if arrays.mask is None and start == 0:
        return pivot_at(value(arrays.x, at.x, arrays.residual, at.residual, arrays.tag))
    for position in range(start, stop):
        here = moved(at, offsets(nest, kept, nest.shape[0], position), 1)
        if counts(arrays.mask, here.mask):
            return pivot_at(value(arrays.x, here.x, arrays.residual, here.residual, arrays.tag))
    return 0.0


@part
def chunk_state(
    arrays: Arrays, at: Place, nest: Any, kept: int, start: int, stop: int, formula: Any,
    lanes: Any,
) -> State:  # fmt: skip
    """The state of the elements `start` to `stop` of a set that begins at `at`."""
    measure = formula[MEASURE]
    unit, pivot = 1.0, 0.0
    if measure == VARIANCE and lanes is None:
        pivot = _first(arrays, at, nest, kept, start, stop)
    while True:
        n, s, q, s_rest, q_rest = _chunk_sums(
            arrays, at, nest, kept, start, stop, unit, pivot, measure, lanes
        )
        if lanes is None:
            mean, root = mean_and_root(n, s, q, pivot, measure)
            return State(n, mean, root, 0.0, 0.0)
        better = wide.again(n, s, s_rest, q, q_rest, unit, pivot, measure)
        if better == (unit, pivot):
            mean, root, mean_rest, root_rest = wide.mean_and_root(
                n, s, s_rest, q, q_rest, unit, pivot, measure
            )
            return State(n, mean, root, mean_rest, root_rest)
        unit, pivot = better


@part
def set_state(
    arrays: Arrays, at: Place, nest: Any, kept: int, size: int, formula: Any, lanes: Any
) -> State:
    """The state of a whole set of `size` elements."""
    state = nothing()
    for start in range(0, size, CHUNK):
        stop = min(start + CHUNK, size)
        chunk = chunk_state(arrays, at, nest, kept, start, stop, formula, lanes)
        if lanes is None:
            state = merge(state, chunk, formula[MEASURE])
        else:
            state = wide.merge(state, chunk, formula[MEASURE])
    return state

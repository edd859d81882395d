"""Put the states of chunks together, in order: the step between measuring and writing.

A state has 3 numbers, or 5 with the rests of `normscope.kernels.forward.float64_statistics`.
"""

from __future__ import annotations

from typing import Any

from normscope.kernels.formula import L1, MEASURE, variance_and_divisor
from normscope.kernels.forward import float64_statistics as wide
from normscope.kernels.forward.partial_statistics import (
    merge,
    read_state,
    write_state,
    write_statistics,
)
from normscope.kernels.forward.vectorized_divisors import merge_all
from normscope.kernels.machine.compiling import kernel, part


@part
def _merge_into(target: Any, i: int, states: Any, j: int, measure: float) -> None:
    """Merge the state of column j of an array into that of column i of the target."""
    one, other = read_state(target, i), read_state(states, j)
    if target.shape[0] == 5:
        write_state(target, i, wide.merge(one, other, measure))
    else:
        write_state(target, i, merge(one, other, measure))


@kernel
def merge_chunks(states: Any, target: Any, formula: Any, even: bool) -> None:
    """Merge (chunks, 3 or 5, n) into (3 or 5, n).

    `even`: whether all sets have equally many elements in each chunk.
    """
    measure = formula[MEASURE]
    sets = target.shape[1]
    if even and target.shape[0] == 3 and measure < L1 and sets > 0:
        target[:] = states[0]
        row = 8 * sets
        first, merged = states.ctypes.data, target.ctypes.data
        for chunk in range(1, states.shape[0]):
            n, n2 = target[0, 0], states[chunk, 0, 0]
            at = first + 3 * row * chunk
            merge_all(sets, n, merged + row, merged + 2 * row, n2, at + row, at + 2 * row, measure)
            target[0] = n + n2
        return
    target[:] = 0.0
    for i in range(sets):
        for chunk in range(states.shape[0]):
            _merge_into(target, i, states[chunk], i, measure)


@kernel
def fold_columns(states: Any, target: Any, outer: int, sets: int, inner: int, formula: Any) -> None:
    """Merge columns: (.., positions * outer * sets * inner) into (.., positions * sets)."""
    target[:] = 0.0
    for position in range(target.shape[1] // sets):
        for g in range(sets):
            for f in range(outer):
                for e in range(inner):
                    c = ((position * outer + f) * sets + g) * inner + e
                    _merge_into(target, position * sets + g, states, c, formula[MEASURE])


@kernel
def divisors(states: Any, order: Any, statistics: Any, formula: Any) -> None:
    """Fill (4 or 6, sets) with count, mean, v, D, and the rests of mean and D.

    `order` is the place of each set in it.
    """
    for i in range(states.shape[1]):
        at, state = order[i], read_state(states, i)
        if states.shape[0] == 5:
            v, d, d_rest = wide.variance_and_divisor(state, formula)
            statistics[4, at] = state.mean_rest
            statistics[5, at] = d_rest
        else:
            v, d = variance_and_divisor(state.n, state.root, formula)
        write_statistics(statistics, at, state.n, state.mean, v, d)

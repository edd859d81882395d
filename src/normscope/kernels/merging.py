"""Put the states of chunks together, in order: the step between measuring and writing.

A state has 3 numbers, or 5 with the rests of `normscope.kernels.wide`.
"""

from __future__ import annotations

from typing import Any

from normscope.kernels import wide
from normscope.kernels.flags import kernel, part
from normscope.kernels.formula import L1, MEASURE, variance_and_divisor
from normscope.kernels.many import merge_all
from normscope.kernels.state import merge


@part
def _merge_into(target: Any, i: int, state: Any, j: int, measure: float) -> None:
    """Merge the state of column j of an array into that of column i of the target."""
    if target.shape[0] == 5:
        merged = wide.merge(
            target[0, i], target[1, i], target[2, i], target[3, i], target[4, i],
            state[0, j], state[1, j], state[2, j], state[3, j], state[4, j], measure,
        )  # fmt: skip
        target[3, i] = merged[3]
        target[4, i] = merged[4]
        n, mean, root = merged[0], merged[1], merged[2]
    else:
        n, mean, root = merge(
            target[0, i], target[1, i], target[2, i], state[0, j], state[1, j], state[2, j], measure
        )
    target[0, i] = n
    target[1, i] = mean
    target[2, i] = root


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
        at = order[i]
        if states.shape[0] == 5:
            v, d, d_rest = wide.variance_and_divisor(
                states[0, i], states[2, i], states[4, i], formula
            )
            statistics[4, at] = states[3, i]
            statistics[5, at] = d_rest
        else:
            v, d = variance_and_divisor(states[0, i], states[2, i], formula)
        statistics[0, at] = states[0, i]
        statistics[1, at] = states[1, i]
        statistics[2, at] = v
        statistics[3, at] = d

"""Put the states of chunks together, in order: the step between measuring and writing."""

from __future__ import annotations

from typing import Any

from normscope.kernels.flags import kernel
from normscope.kernels.formula import L1, MEASURE, WIDE, variance_and_divisor
from normscope.kernels.many import merge_all
from normscope.kernels.state import merge


@kernel
def merge_chunks(states: Any, target: Any, formula: Any, even: bool) -> None:
    """Merge (chunks, 3, n) into (3, n): count, mean and root.

    `even`: whether all sets have equally many elements in each chunk.
    """
    measure = formula[MEASURE]
    sets = target.shape[1]
    if even and formula[WIDE] == 0.0 and measure < L1 and sets > 0:
        target[:] = states[0]
        row = 8 * sets
        first, merged = states.ctypes.data, target.ctypes.data
        for chunk in range(1, states.shape[0]):
            n, n2 = target[0, 0], states[chunk, 0, 0]
            at = first + 3 * row * chunk
            merge_all(sets, n, merged + row, merged + 2 * row, n2, at + row, at + 2 * row, measure)
            target[0] = n + n2
        return
    for i in range(sets):
        n, mean, root = 0.0, 0.0, 0.0
        for chunk in range(states.shape[0]):
            n, mean, root = merge(
                n, mean, root, states[chunk, 0, i], states[chunk, 1, i], states[chunk, 2, i],
                measure,
            )  # fmt: skip
        target[0, i] = n
        target[1, i] = mean
        target[2, i] = root


@kernel
def fold_columns(states: Any, target: Any, outer: int, sets: int, inner: int, formula: Any) -> None:
    """Merge columns: (3, positions * outer * sets * inner) into (3, positions * sets)."""
    for position in range(target.shape[1] // sets):
        for g in range(sets):
            n, mean, root = 0.0, 0.0, 0.0
            for f in range(outer):
                for e in range(inner):
                    c = ((position * outer + f) * sets + g) * inner + e
                    n, mean, root = merge(
                        n, mean, root, states[0, c], states[1, c], states[2, c], formula[MEASURE]
                    )
            target[0, position * sets + g] = n
            target[1, position * sets + g] = mean
            target[2, position * sets + g] = root


@kernel
def divisors(states: Any, order: Any, statistics: Any, formula: Any) -> None:
    """Fill (4, sets) with count, mean, v and D; `order` is the place of each set in it."""
    for i in range(states.shape[1]):
        v, d = variance_and_divisor(states[0, i], states[2, i], formula)
        at = order[i]
        statistics[0, at] = states[0, i]
        statistics[1, at] = states[1, i]
        statistics[2, at] = v
        statistics[3, at] = d

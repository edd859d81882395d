"""Put the statistics of chunks together, in order: the step between measuring and writing.

They have 3 rows, or 5 with the rests of float64 input: see `normscope.kernels.contract`.
"""

from __future__ import annotations

from typing import Any

from normscope.kernels.contract import (
    DIVISOR_REST,
    MEAN_REST,
    MEASURE,
    PARTIAL_COUNT,
    PARTIAL_MEAN,
    PARTIAL_ROOT,
    PARTIAL_ROWS,
    PARTIAL_ROWS_WITH_RESTS,
)
from normscope.kernels.formula import variance_and_divisor
from normscope.kernels.forward import float64_statistics
from normscope.kernels.forward.partial_statistics import (
    merge,
    read_partial,
    write_partial,
    write_statistics,
)
from normscope.kernels.forward.vectorized_divisors import merge_all
from normscope.kernels.machine.compiling import kernel, part
from normscope.kernels.measures import is_square


@part
def _merge_into(target: Any, i: int, partials: Any, j: int, measure: float) -> None:
    """Merge the statistics of column j of an array into that of column i of the target."""
    one, other = read_partial(target, i), read_partial(partials, j)
    if target.shape[0] == PARTIAL_ROWS_WITH_RESTS:
        write_partial(target, i, float64_statistics.merge(one, other, measure))
    else:
        write_partial(target, i, merge(one, other, measure))


@kernel
def merge_chunks(partials: Any, target: Any, formula: Any, even: bool) -> None:
    """Merge (chunks, 3 or 5, n) into (3 or 5, n).

    `even`: whether all sets have equally many elements in each chunk.
    """
    measure = formula[MEASURE]
    sets = target.shape[1]
    if even and target.shape[0] == PARTIAL_ROWS and is_square(measure) and sets > 0:
        target[:] = partials[0]
        row = 8 * sets
        mean, root = PARTIAL_MEAN * row, PARTIAL_ROOT * row
        first, merged = partials.ctypes.data, target.ctypes.data
        for chunk in range(1, partials.shape[0]):
            n, n2 = target[PARTIAL_COUNT, 0], partials[chunk, PARTIAL_COUNT, 0]
            at = first + PARTIAL_ROWS * row * chunk
            merge_all(sets, n, merged + mean, merged + root, n2, at + mean, at + root, measure)
            target[PARTIAL_COUNT] = n + n2
        return
    target[:] = 0.0
    for i in range(sets):
        for chunk in range(partials.shape[0]):
            _merge_into(target, i, partials[chunk], i, measure)


@kernel
def fold_columns(
    partials: Any, target: Any, outer: int, sets: int, inner: int, formula: Any
) -> None:
    """Merge columns: (.., positions * outer * sets * inner) into (.., positions * sets)."""
    target[:] = 0.0
    for position in range(target.shape[1] // sets):
        for g in range(sets):
            for f in range(outer):
                for e in range(inner):
                    c = ((position * outer + f) * sets + g) * inner + e
                    _merge_into(target, position * sets + g, partials, c, formula[MEASURE])


@kernel
def divisors(partials: Any, order: Any, statistics: Any, formula: Any) -> None:
    """Fill (4 or 6, sets) with count, mean, v, D, and the rests of mean and D.

    `order` is the place of each set in it.
    """
    for i in range(partials.shape[1]):
        at, partial = order[i], read_partial(partials, i)
        if partials.shape[0] == PARTIAL_ROWS_WITH_RESTS:
            v, d, d_rest = float64_statistics.variance_and_divisor(partial, formula)
            statistics[MEAN_REST, at] = partial.mean_rest
            statistics[DIVISOR_REST, at] = d_rest
        else:
            v, d = variance_and_divisor(partial.n, partial.root, formula)
        write_statistics(statistics, at, partial.n, partial.mean, v, d)

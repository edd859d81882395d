"""Partial statistics of chunks -> those of sets -> divisors: between measuring and writing.

They have 3 rows, or 5 with the rests of float64 input: see `normscope.kernels.contract`.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from normscope.engine import threads
from normscope.kernels.calls import MergeCall, address
from normscope.kernels.library import address_of

Floats = NDArray[np.float64]


def merge_chunks(partials: Floats, formula: Floats, *, even: bool) -> Floats:
    """Merge (chunks, rows, n) into (rows, n), in order.

    Args:
        partials: what was measured.
        formula: the numbers of the formula.
        even: whether all sets have equally many elements in each chunk.
    """
    target = np.empty(partials.shape[1:])
    _run("merge_chunks", partials, formula, target=address(target), even=even)
    return target


def fold_columns(partials: Floats, formula: Floats, *, outer: int, inner: int, sets: int) -> Floats:
    """Merge columns: (rows, positions * outer * sets * inner) into (rows, positions * sets)."""
    rows, columns = partials.shape
    target = np.empty((rows, columns // (outer * inner)))
    columns_of_sets = {"outer": outer, "inner": inner, "sets": sets}
    _run("fold_columns", partials, formula, target=address(target), **columns_of_sets)
    return target


def find_divisors(
    partials: Floats, order: NDArray[np.int64], formula: Floats, statistics: Floats
) -> None:
    """Fill (4 or 6, sets) with count, mean, v, D, and the rests of mean and D.

    Args:
        partials: of each set, (3 or 5, sets).
        order: the place of each set in the statistics.
        formula: the numbers of the formula.
        statistics: to be filled.
    """
    found = {"statistics": address(statistics), "statistics_rows": len(statistics)}
    _run("find_divisors", partials, formula, order=address(order), **found)


def _run(kernel: str, partials: Floats, formula: Floats, **others: int) -> None:
    """Run a kernel that is no work for several threads on (rows, columns), or chunks of those."""
    *chunks, rows, columns = partials.shape
    call = MergeCall(
        formula=address(formula),
        partials=address(partials),
        chunks=math.prod(chunks),
        rows=rows,
        columns=columns,
        **others,
    )
    threads.run(address_of(kernel), call, 1, partials.nbytes)

"""Partial statistics of chunks -> those of sets -> divisors: between measuring and writing.

They have 3 rows, or 5 with the rests of float64 input: see `normscope.kernels.contract`.
"""

from __future__ import annotations

from typing import Any

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
    chunks, rows, columns = partials.shape
    target = np.empty((rows, columns))
    call = MergeCall(
        formula=address(formula),
        partials=address(partials),
        chunks=chunks,
        rows=rows,
        columns=columns,
        target=address(target),
        even=even,
    )
    _run("merge_chunks", call, partials.nbytes)
    return target


def fold_columns(partials: Floats, formula: Floats, *, outer: int, inner: int, sets: int) -> Floats:
    """Merge columns: (rows, positions * outer * sets * inner) into (rows, positions * sets)."""
    rows, columns = partials.shape
    target = np.empty((rows, columns // (outer * inner)))
    call = MergeCall(
        formula=address(formula),
        partials=address(partials),
        chunks=1,
        rows=rows,
        columns=columns,
        target=address(target),
        outer=outer,
        inner=inner,
        sets=sets,
    )
    _run("fold_columns", call, partials.nbytes)
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
    rows, columns = partials.shape
    call = MergeCall(
        formula=address(formula),
        partials=address(partials),
        chunks=1,
        rows=rows,
        columns=columns,
        order=address(order),
        statistics=address(statistics),
        statistics_rows=len(statistics),
    )
    _run("find_divisors", call, partials.nbytes)


def _run(kernel: str, call: Any, size: int) -> None:
    """Run a kernel that is no work for several threads."""
    threads.run(address_of(kernel), call, 1, size)

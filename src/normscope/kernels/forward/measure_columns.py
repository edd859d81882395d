"""Measure statistics sets whose elements are not neighbours: many columns of memory at once.

With one set of sums per column, row after row is added. The rows of a set are taken in chunks,
merged in order. Columns may be *folded*: with (F, G, E) columns of a row, those that differ only in
F and E belong to one set, and are merged at the end. All is kept in scratch memory, for a tile.
"""

from __future__ import annotations

from typing import Any

from normscope.kernels.contract import MEASURE, WIDEST, Arrays, Place
from normscope.kernels.forward import float64_statistics
from normscope.kernels.forward.nest import ahead, moved, offsets, row_loop, strides
from normscope.kernels.forward.partial_statistics import (
    PartialStatistics,
    mean_and_root,
    merge,
    nothing,
    pivot_at,
)
from normscope.kernels.forward.runs import are_neighbours, element, row_element
from normscope.kernels.forward.vectorized_divisors import means_and_roots, merge_all
from normscope.kernels.machine.compiling import exact, part, sums
from normscope.kernels.machine.double_double import pair
from normscope.kernels.machine.instructions import use_widest_vectors
from normscope.kernels.machine.memory import counts, keep, recall
from normscope.kernels.measures import is_around_mean, is_square, with_element
from normscope.kernels.tile import (
    CENTRE,
    COUNT,
    MEAN,
    MEAN_REST,
    PIVOT,
    ROOT,
    ROOT_REST,
    RSTD,
    SEEN,
    SQUARE,
    SQUARE_REST,
    SUM,
    SUM_REST,
    UNIT,
    Tile,
)


@sums
def _add_rows(arrays: Arrays, at: Place, step: Place, rows: int, width: int, work: int) -> None:
    """Add rows, each a step away from the one before, to the shifted sums of every column.

    The sums are touched once for eight rows. Only float64 input, which is not added here, has
    other units than 1.
    """
    use_widest_vectors()
    for row in range(0, rows - 7, 8):
        here = moved(at, step, row)
        for c in range(width):
            pivot = recall(work, PIVOT + c)
            d0 = row_element(arrays, here, step, 0, c) - pivot
            d1 = row_element(arrays, here, step, 1, c) - pivot
            d2 = row_element(arrays, here, step, 2, c) - pivot
            d3 = row_element(arrays, here, step, 3, c) - pivot
            d4 = row_element(arrays, here, step, 4, c) - pivot
            d5 = row_element(arrays, here, step, 5, c) - pivot
            d6 = row_element(arrays, here, step, 6, c) - pivot
            d7 = row_element(arrays, here, step, 7, c) - pivot
            added = ((d0 + d1) + (d2 + d3)) + ((d4 + d5) + (d6 + d7))
            squares = (d0 * d0 + d1 * d1) + (d2 * d2 + d3 * d3)
            squares += (d4 * d4 + d5 * d5) + (d6 * d6 + d7 * d7)
            keep(work, SUM + c, recall(work, SUM + c) + added)
            keep(work, SQUARE + c, recall(work, SQUARE + c) + squares)
    for row in range(rows & ~7, rows):
        for c in range(width):
            d = row_element(arrays, at, step, row, c) - recall(work, PIVOT + c)
            keep(work, SUM + c, recall(work, SUM + c) + d)
            keep(work, SQUARE + c, recall(work, SQUARE + c) + d * d)


@part
def _add_row(arrays: Arrays, at: Place, step: Place, tile: Tile, measure: float) -> None:
    """Add one row to the sums of every column, for any measure, strides and mask."""
    use_widest_vectors()
    work = tile.work
    for c in range(tile.width):
        if not counts(arrays.mask, at.mask + c * step.mask):
            continue
        d = element(arrays, at, step, c) * work[UNIT + c] - work[PIVOT + c]
        work[SEEN + c] += 1.0
        work[SUM + c] += d
        work[SQUARE + c] = with_element(work[SQUARE + c], d, measure)


@part
def _add_float64_row(arrays: Arrays, at: Place, step: Place | None, width: int, work: int) -> None:
    """Add one row of float64 input to the sums of every column."""
    use_widest_vectors()
    for c in range(width):
        if counts(arrays.mask, ahead(at, step, c).mask):
            d = element(arrays, at, step, c) * recall(work, UNIT + c)
            float64_statistics.add(work, SUM + c, WIDEST, d - recall(work, PIVOT + c))
            if arrays.mask is not None:
                keep(work, SEEN + c, recall(work, SEEN + c) + 1.0)


@part
def _chunk_sums(
    arrays: Arrays, tile: Tile, nest: Any, num_kept: int, start: int, stop: int, measure: float,
    double_double: Any,
) -> None:  # fmt: skip
    """The sums of the rows `start` to `stop` of every column."""
    last = nest.shape[0] - 1
    step, work, width = strides(nest, last), tile.work, tile.width
    for c in range(width):
        work[SUM + c] = 0.0
        work[SQUARE + c] = 0.0
        work[SEEN + c] = 0.0
        if double_double is not None:
            work[SUM_REST + c] = 0.0
            work[SQUARE_REST + c] = 0.0
    plain = arrays.mask is None and is_square(measure) and are_neighbours(arrays, step)
    inner, next_row = row_loop(nest, num_kept, last)
    row = start
    while row < stop:
        at = moved(tile.at, offsets(nest, num_kept, last, row), 1)
        rows = 1
        if double_double is not None and is_square(measure):
            if plain:
                _add_float64_row(arrays, at, None, width, tile.address)
            else:
                _add_float64_row(arrays, at, step, width, tile.address)
        elif plain:
            rows = min(inner - row % inner, stop - row)
            _add_rows(arrays, at, next_row, rows, width, tile.address)
        else:
            _add_row(arrays, at, step, tile, measure)
        row += rows
    if plain or (double_double is not None and is_square(measure) and arrays.mask is None):
        for c in range(width):
            work[SEEN + c] = float(stop - start)


@part
def _find_pivots(
    arrays: Arrays, tile: Tile, nest: Any, num_kept: int, start: int, stop: int
) -> None:
    """The first element of every column that counts."""
    use_widest_vectors()
    last = nest.shape[0] - 1
    step, work, width = strides(nest, last), tile.work, tile.width
    missing = width
    for c in range(width):
        work[SEEN + c] = 0.0
        work[PIVOT + c] = 0.0
    for row in range(start, stop):
        at = moved(tile.at, offsets(nest, num_kept, last, row), 1)
        for c in range(width):
            if work[SEEN + c] == 0.0 and counts(arrays.mask, at.mask + c * step.mask):
                work[PIVOT + c] = pivot_at(element(arrays, at, step, c))
                work[SEEN + c] = 1.0
                missing -= 1
        if missing == 0:
            return


@part
def _first_row(arrays: Arrays, at: Place, width: int, work: int) -> None:
    """The pivot of every column where all elements count."""
    use_widest_vectors()
    for c in range(width):
        keep(work, PIVOT + c, pivot_at(element(arrays, at, None, c)))


@part
def clear(tile: Tile) -> None:
    """Let no column have seen any element."""
    for c in range(tile.width):
        _set_partial(tile.work, c, nothing())


@part
def add_chunk(
    arrays: Arrays, tile: Tile, nest: Any, num_kept: int, begin: int, start: int, stop: int,
    formula: Any, double_double: Any,
) -> None:  # fmt: skip
    """Add rows `start` to `stop` of sets that begin at row `begin` to what is known of columns."""
    measure, last = formula[MEASURE], nest.shape[0] - 1
    work, width = tile.work, tile.width
    for c in range(width):
        work[UNIT + c] = 1.0
        work[PIVOT + c] = 0.0
    if is_around_mean(measure) and double_double is None:
        if arrays.mask is None and are_neighbours(arrays, strides(nest, last)):
            at = moved(tile.at, offsets(nest, num_kept, last, start), 1)
            _first_row(arrays, at, width, tile.address)
        else:
            _find_pivots(arrays, tile, nest, num_kept, start, stop)
    untried = arrays.mask is None and is_square(measure) and start == begin
    while True:
        _chunk_sums(arrays, tile, nest, num_kept, start, stop, measure, double_double)
        if double_double is None:
            break
        if untried:
            untried = False
            if _ordinary_statistics(width, float(stop - start), tile.address, measure):
                return
        if not _repivoted(tile, measure):
            break
    if double_double is not None:
        _merge_float64_sums(tile, measure)
    elif arrays.mask is None and is_square(measure):
        _merge_all(tile, float(start - begin), float(stop - start), measure)
    else:
        _merge_sums(tile, measure)


@part
def _merge_sums(tile: Tile, measure: float) -> None:
    """Merge the sums into the statistics of every column."""
    work = tile.work
    for c in range(tile.width):
        n = work[SEEN + c]
        mean, root = mean_and_root(n, work[SUM + c], work[SQUARE + c], work[PIVOT + c], measure)
        _set_partial(
            work, c, merge(partial_of(work, c), PartialStatistics(n, mean, root, 0.0, 0.0), measure)
        )


@part
def _merge_all(tile: Tile, n: float, n2: float, measure: float) -> None:
    """Merge the sums of n2 rows into columns that have seen n rows, in loops that vectorize."""
    width, address, is_first = tile.width, tile.address, n == 0.0
    means, roots = address + 8 * MEAN, address + 8 * ROOT
    new_means = means if is_first else address + 8 * CENTRE  # those places are not in use yet
    new_roots = roots if is_first else address + 8 * RSTD
    means_and_roots(
        width, n2, address + 8 * SUM, address + 8 * SQUARE, address + 8 * PIVOT,
        new_means, new_roots, measure,
    )  # fmt: skip
    if not is_first:
        merge_all(width, n, means, roots, n2, new_means, new_roots, measure)
    for c in range(width):
        tile.work[COUNT + c] = n + n2


@part
def _double_double_sums(work: Any, c: int) -> Any:
    """Count, and the four numbers of the sums, of a column of float64 input."""
    s, s_rest = pair(work[SUM + c], work[SUM_REST + c])
    q, q_rest = pair(work[SQUARE + c], work[SQUARE_REST + c])
    return work[SEEN + c], s, s_rest, q, q_rest


@exact
def _ordinary_statistics(width: int, n: float, work: int, measure: float) -> Any:
    """The statistics of columns after their first n rows of float64 input; if all are valid."""
    use_widest_vectors()
    odd = 0
    for c in range(width):
        s, s_rest = pair(recall(work, SUM + c), recall(work, SUM_REST + c))
        q, q_rest = pair(recall(work, SQUARE + c), recall(work, SQUARE_REST + c))
        mean, root, mean_rest, root_rest, valid = float64_statistics.ordinary_statistics(
            n, s, s_rest, q, q_rest, measure
        )
        keep(work, MEAN + c, mean)
        keep(work, MEAN_REST + c, mean_rest)
        keep(work, ROOT + c, root)
        keep(work, ROOT_REST + c, root_rest)
        odd += 0 if valid else 1
    for c in range(width if odd == 0 else 0):  # else no column has statistics, as before
        keep(work, COUNT + c, n)
    return odd == 0


@part
def _repivoted(tile: Tile, measure: float) -> Any:
    """Choose pivot and unit anew where the sums cancelled or overflowed; whether any did."""
    work, found = tile.work, False
    for c in range(tile.width):
        n, s, s_rest, q, q_rest = _double_double_sums(work, c)
        unit, pivot = work[UNIT + c], work[PIVOT + c]
        work[UNIT + c], work[PIVOT + c] = float64_statistics.again(
            n, s, s_rest, q, q_rest, unit, pivot, measure
        )
        found = found or work[UNIT + c] != unit or work[PIVOT + c] != pivot
    return found


@part
def _merge_float64_sums(tile: Tile, measure: float) -> None:
    """Merge the sums of float64 input into the statistics of every column."""
    work = tile.work
    for c in range(tile.width):
        n, s, s_rest, q, q_rest = _double_double_sums(work, c)
        mean, root, mean_rest, root_rest = float64_statistics.mean_and_root(
            n, s, s_rest, q, q_rest, work[UNIT + c], work[PIVOT + c], measure
        )
        new = PartialStatistics(n, mean, root, mean_rest, root_rest)
        _set_partial(work, c, float64_statistics.merge(partial_of(work, c), new, measure))


@part
def partial_of(work: Any, c: int) -> PartialStatistics:
    """What is known of column `c`."""
    return PartialStatistics(
        work[COUNT + c], work[MEAN + c], work[ROOT + c], work[MEAN_REST + c], work[ROOT_REST + c]
    )


@part
def _set_partial(work: Any, c: int, partial: PartialStatistics) -> None:
    work[COUNT + c] = partial.n
    work[MEAN + c] = partial.mean
    work[ROOT + c] = partial.root
    work[MEAN_REST + c] = partial.mean_rest
    work[ROOT_REST + c] = partial.root_rest


@part
def fold(tile: Tile, measure: float, double_double: Any) -> None:
    """Give all columns of a set the statistics of the whole set."""
    work, outer, inner = tile.work, tile.outer, tile.inner
    if outer * inner == 1:
        return
    sets = tile.width // (outer * inner)
    for g in range(sets):
        partial = nothing()
        for f in range(outer):
            for e in range(inner):
                column = partial_of(work, (f * sets + g) * inner + e)
                if double_double is None:
                    partial = merge(partial, column, measure)
                else:
                    partial = float64_statistics.merge(partial, column, measure)
        for f in range(outer):
            for e in range(inner):
                _set_partial(work, (f * sets + g) * inner + e, partial)

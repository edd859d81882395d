"""Measure statistics sets whose elements are not neighbours: many columns of memory at once.

With one set of sums per column, row after row is added. The rows of a set are taken in chunks,
merged in order. Columns may be *folded*: with (F, G, E) columns of a row, those that differ only in
F and E belong to one set, and are merged at the end. All is kept in scratch memory, for a tile.
"""

from __future__ import annotations

from typing import Any

from normscope.kernels import wide
from normscope.kernels.flags import exact, part, sums
from normscope.kernels.formula import L1, MEASURE, VARIANCE
from normscope.kernels.many import means_and_roots, merge_all
from normscope.kernels.memory import is_wide, keep, load_flag, recall, use_widest_vectors
from normscope.kernels.nest import MASK, RESIDUAL, X, offsets, row_loop
from normscope.kernels.pairs import pair
from normscope.kernels.runs import value
from normscope.kernels.state import mean_and_root, merge
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
    WIDEST,
)


@sums
def _add_rows(
    x: int, i: int, p: int, residual: Any, j: int, q: int, rows: int,
    width: int, work: int, tag: Any,
) -> None:  # fmt: skip
    """Add rows at distances p and q to the shifted sums of every column.

    The sums are touched once for eight rows.
    """
    use_widest_vectors()
    for row in range(0, rows - 7, 8):
        ir, jr = i + row * p, j + row * q
        for c in range(width):
            unit, pivot = recall(work, UNIT + c), recall(work, PIVOT + c)
            d0 = value(x, ir + c, residual, jr + c, tag) * unit - pivot
            d1 = value(x, ir + p + c, residual, jr + q + c, tag) * unit - pivot
            d2 = value(x, ir + 2 * p + c, residual, jr + 2 * q + c, tag) * unit - pivot
            d3 = value(x, ir + 3 * p + c, residual, jr + 3 * q + c, tag) * unit - pivot
            d4 = value(x, ir + 4 * p + c, residual, jr + 4 * q + c, tag) * unit - pivot
            d5 = value(x, ir + 5 * p + c, residual, jr + 5 * q + c, tag) * unit - pivot
            d6 = value(x, ir + 6 * p + c, residual, jr + 6 * q + c, tag) * unit - pivot
            d7 = value(x, ir + 7 * p + c, residual, jr + 7 * q + c, tag) * unit - pivot
            added = ((d0 + d1) + (d2 + d3)) + ((d4 + d5) + (d6 + d7))
            squares = (d0 * d0 + d1 * d1) + (d2 * d2 + d3 * d3)
            squares += (d4 * d4 + d5 * d5) + (d6 * d6 + d7 * d7)
            keep(work, SUM + c, recall(work, SUM + c) + added)
            keep(work, SQUARE + c, recall(work, SQUARE + c) + squares)
    for row in range(rows & ~7, rows):
        for c in range(width):
            d = value(x, i + row * p + c, residual, j + row * q + c, tag) * recall(work, UNIT + c)
            d -= recall(work, PIVOT + c)
            keep(work, SUM + c, recall(work, SUM + c) + d)
            keep(work, SQUARE + c, recall(work, SQUARE + c) + d * d)


@part
def _add_row(
    x: int, i: int, xs: int, residual: Any, j: int, rs: int, mask: Any, k: int, ms: int,
    width: int, work: Any, measure: float, tag: Any,
) -> None:  # fmt: skip
    """Add one row to the sums of every column, for any measure, strides and mask."""
    use_widest_vectors()
    for c in range(width):
        if mask is not None and load_flag(mask, k + c * ms) == 0:
            continue
        d = value(x, i + c * xs, residual, j + c * rs, tag) * work[UNIT + c] - work[PIVOT + c]
        work[SEEN + c] += 1.0
        work[SUM + c] += d
        if measure < L1:
            work[SQUARE + c] += d * d
        elif measure == L1:
            work[SQUARE + c] += abs(d)
        elif not abs(d) <= work[SQUARE + c]:
            kept = work[SQUARE + c]
            work[SQUARE + c] = abs(d) if kept == kept else kept


@part
def _add_wide_row(
    x: int, i: int, xs: int, residual: Any, j: int, rs: int, mask: Any, k: int, ms: int,
    width: int, work: int, tag: Any,
) -> None:  # fmt: skip
    """Add one row of float64 input to the sums of every column."""
    use_widest_vectors()
    for c in range(width):
        if mask is None or load_flag(mask, k + c * ms) != 0:
            d = value(x, i + c * xs, residual, j + c * rs, tag) * recall(work, UNIT + c)
            wide.add(work, SUM + c, WIDEST, d - recall(work, PIVOT + c))
            if mask is not None:
                keep(work, SEEN + c, recall(work, SEEN + c) + 1.0)


@part
def _chunk_sums(
    x: int, xk: int, residual: Any, rk: int, mask: Any, mk: int, nest: Any, kept: int,
    start: int, stop: int, width: int, work: Any, address: int, measure: float, tag: Any,
) -> None:  # fmt: skip
    """The sums of the rows `start` to `stop` of every column."""
    last = nest.shape[0] - 1
    xs, rs, ms = nest[last, X], nest[last, RESIDUAL], nest[last, MASK]
    for c in range(width):
        work[SUM + c] = 0.0
        work[SQUARE + c] = 0.0
        work[SEEN + c] = 0.0
        if is_wide(tag):
            work[SUM_REST + c] = 0.0
            work[SQUARE_REST + c] = 0.0
    paired = is_wide(tag) and measure < L1
    plain = mask is None and measure < L1 and xs == 1 and (residual is None or rs == 1)
    inner, p, _, q, _, _ = row_loop(nest, kept, last)
    row = start
    while row < stop:
        i, _, j, k, _, _, _ = offsets(nest, kept, last, row)
        rows = 1
        if plain and paired:
            _add_wide_row(x, xk + i, 1, residual, rk + j, 1, mask, mk + k, ms, width, address, tag)
        elif paired:
            _add_wide_row(
                x, xk + i, xs, residual, rk + j, rs, mask, mk + k, ms, width, address, tag
            )
        elif plain:
            rows = min(inner - row % inner, stop - row)
            _add_rows(x, xk + i, p, residual, rk + j, q, rows, width, address, tag)
        else:
            _add_row(
                x, xk + i, xs, residual, rk + j, rs, mask, mk + k, ms, width, work, measure, tag
            )
        row += rows
    if plain or (paired and mask is None):
        for c in range(width):
            work[SEEN + c] = float(stop - start)


@part
def _find_pivots(
    x: int, xk: int, residual: Any, rk: int, mask: Any, mk: int, nest: Any, kept: int,
    start: int, stop: int, width: int, work: Any, tag: Any,
) -> None:  # fmt: skip
    """The first element of every column that counts."""
    use_widest_vectors()
    last = nest.shape[0] - 1
    xs, rs, ms = nest[last, X], nest[last, RESIDUAL], nest[last, MASK]
    missing = width
    for c in range(width):
        work[SEEN + c] = 0.0
        work[PIVOT + c] = 0.0
    for row in range(start, stop):
        i, _, j, k, _, _, _ = offsets(nest, kept, last, row)
        for c in range(width):
            if work[SEEN + c] == 0.0 and (mask is None or load_flag(mask, mk + k + c * ms)):
                work[PIVOT + c] = value(x, xk + i + c * xs, residual, rk + j + c * rs, tag)
                work[SEEN + c] = 1.0
                missing -= 1
        if missing == 0:
            return


@part
def _first_row(x: int, i: int, residual: Any, j: int, width: int, work: int, tag: Any) -> None:
    """The pivot of every column where all elements count."""
    use_widest_vectors()
    for c in range(width):
        keep(work, PIVOT + c, value(x, i + c, residual, j + c, tag))


@part
def clear(width: int, work: Any) -> None:
    """Let no column have seen any element."""
    for c in range(width):
        _set_state(work, c, 0.0, 0.0, 0.0, 0.0, 0.0)


@part
def chunk_states(
    x: int, xk: int, residual: Any, rk: int, mask: Any, mk: int, nest: Any, kept: int,
    begin: int, start: int, stop: int, width: int, work: Any, address: int, formula: Any, tag: Any,
) -> None:  # fmt: skip
    """Merge the rows `start` to `stop` into the state of every column, which begins at `begin`."""
    measure = formula[MEASURE]
    for c in range(width):
        work[UNIT + c] = 1.0
        work[PIVOT + c] = 0.0
    if measure == VARIANCE and not is_wide(tag):
        last = nest.shape[0] - 1
        if mask is None and nest[last, X] == 1 and (residual is None or nest[last, RESIDUAL] == 1):
            i, _, j, _, _, _, _ = offsets(nest, kept, last, start)
            _first_row(x, xk + i, residual, rk + j, width, address, tag)
        else:
            _find_pivots(x, xk, residual, rk, mask, mk, nest, kept, start, stop, width, work, tag)
    untried = mask is None and measure < L1 and start == begin
    while True:
        _chunk_sums(
            x, xk, residual, rk, mask, mk, nest, kept, start, stop, width, work, address,
            measure, tag,
        )  # fmt: skip
        if is_wide(tag) and untried:
            untried = False
            if _ordinary_states(width, float(stop - start), address, measure):
                return
        if not is_wide(tag) or not _repivoted(width, work, measure):
            break
    if is_wide(tag):
        _merge_wide_sums(width, work, measure)
        return
    if mask is None and measure < L1:
        _merge_all(
            start == begin, float(start - begin), float(stop - start), width, address, measure
        )
        n = float(stop - begin)
        for c in range(width):
            work[COUNT + c] = n
        return
    for c in range(width):
        mean, root = mean_and_root(
            work[SEEN + c],
            work[SUM + c],
            work[SQUARE + c],
            work[PIVOT + c],
            measure,
        )
        n, mean, root = merge(
            work[COUNT + c], work[MEAN + c], work[ROOT + c], work[SEEN + c], mean, root, measure
        )
        work[COUNT + c] = n
        work[MEAN + c] = mean
        work[ROOT + c] = root


@part
def _merge_all(is_first: bool, n: float, n2: float, width: int, work: int, measure: float) -> None:
    """Merge the sums of n2 rows into the state of every column, which has n rows."""
    means, roots = work + 8 * MEAN, work + 8 * ROOT
    new_means = means if is_first else work + 8 * CENTRE  # those places are not in use yet
    new_roots = roots if is_first else work + 8 * RSTD
    means_and_roots(
        width, n2, work + 8 * SUM, work + 8 * SQUARE, work + 8 * PIVOT, new_means, new_roots,
        measure,
    )  # fmt: skip
    if not is_first:
        merge_all(width, n, means, roots, n2, new_means, new_roots, measure)


@part
def _wide_sums(work: Any, c: int) -> Any:
    """Count, and the four numbers of the sums, of a column of float64 input."""
    s, s_rest = pair(work[SUM + c], work[SUM_REST + c])
    q, q_rest = pair(work[SQUARE + c], work[SQUARE_REST + c])
    return work[SEEN + c], s, s_rest, q, q_rest


@exact
def _ordinary_states(width: int, n: float, work: int, measure: float) -> Any:
    """The state of every column after its first n rows of float64 input; whether all are valid."""
    use_widest_vectors()
    odd = 0
    for c in range(width):
        s, s_rest = pair(recall(work, SUM + c), recall(work, SUM_REST + c))
        q, q_rest = pair(recall(work, SQUARE + c), recall(work, SQUARE_REST + c))
        mean, root, mean_rest, root_rest, valid = wide.ordinary_state(
            n, s, s_rest, q, q_rest, measure
        )
        keep(work, MEAN + c, mean)
        keep(work, MEAN_REST + c, mean_rest)
        keep(work, ROOT + c, root)
        keep(work, ROOT_REST + c, root_rest)
        odd += 0 if valid else 1
    for c in range(width if odd == 0 else 0):  # else no column has a state, as before
        keep(work, COUNT + c, n)
    return odd == 0


@part
def _repivoted(width: int, work: Any, measure: float) -> Any:
    """Choose pivot and unit anew where the sums cancelled or overflowed; whether any did."""
    found = False
    for c in range(width):
        n, s, s_rest, q, q_rest = _wide_sums(work, c)
        unit, pivot = work[UNIT + c], work[PIVOT + c]
        work[UNIT + c], work[PIVOT + c] = wide.again(n, s, s_rest, q, q_rest, unit, pivot, measure)
        found = found or work[UNIT + c] != unit or work[PIVOT + c] != pivot
    return found


@part
def _merge_wide_sums(width: int, work: Any, measure: float) -> None:
    """Merge the sums of float64 input into the state of every column."""
    for c in range(width):
        n, s, s_rest, q, q_rest = _wide_sums(work, c)
        mean, root, mean_rest, root_rest = wide.mean_and_root(
            n, s, s_rest, q, q_rest, work[UNIT + c], work[PIVOT + c], measure
        )
        _set_state(
            work, c,
            *wide.merge(
                work[COUNT + c], work[MEAN + c], work[ROOT + c], work[MEAN_REST + c],
                work[ROOT_REST + c], n, mean, root, mean_rest, root_rest, measure,
            ),
        )  # fmt: skip


@part
def _set_state(
    work: Any, c: int, n: float, mean: float, root: float, mean_rest: float, root_rest: float
) -> None:
    work[COUNT + c] = n
    work[MEAN + c] = mean
    work[ROOT + c] = root
    work[MEAN_REST + c] = mean_rest
    work[ROOT_REST + c] = root_rest


@part
def fold(width: int, outer: int, inner: int, work: Any, measure: float, tag: Any) -> None:
    """Give all columns of a set the state of the whole set."""
    if outer * inner == 1:
        return
    sets = width // (outer * inner)
    for g in range(sets):
        n, mean, root, mean_rest, root_rest = 0.0, 0.0, 0.0, 0.0, 0.0
        for f in range(outer):
            for e in range(inner):
                c = (f * sets + g) * inner + e
                if is_wide(tag):
                    n, mean, root, mean_rest, root_rest = wide.merge(
                        n, mean, root, mean_rest, root_rest, work[COUNT + c], work[MEAN + c],
                        work[ROOT + c], work[MEAN_REST + c], work[ROOT_REST + c], measure,
                    )  # fmt: skip
                else:
                    n, mean, root = merge(
                        n, mean, root, work[COUNT + c], work[MEAN + c], work[ROOT + c], measure
                    )
        for f in range(outer):
            for e in range(inner):
                c = (f * sets + g) * inner + e
                _set_state(work, c, n, mean, root, mean_rest, root_rest)

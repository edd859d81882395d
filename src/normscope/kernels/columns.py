"""Forward kernels for nests whose innermost loop is kept: neighbours belong to different sets.

All columns of a *tile* are measured at once, row after row, with one set of sums per column. The
rows of a set are taken in chunks, merged in order. Columns may be *folded*: with (F, G, E) columns
of a row, those that differ only in F and E belong to one set, and are merged at the end.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from normscope.kernels import wide
from normscope.kernels.flags import kernel, part, sums
from normscope.kernels.formula import (
    CENTER,
    DDOF,
    EPS,
    EPS_OUTSIDE,
    FLOOR,
    L1,
    L2,
    MEASURE,
    VARIANCE,
    unit_of,
    variance_and_divisor,
)
from normscope.kernels.memory import (
    is_wide,
    keep,
    load,
    load_flag,
    recall,
    store,
    take,
    use_widest_vectors,
)
from normscope.kernels.nest import BIAS, MASK, OUT, RESIDUAL, SCALE, SIZE, STATS, X, loops, offsets
from normscope.kernels.pairs import normalized, pair, times
from normscope.kernels.runs import activated, fetch, value
from normscope.kernels.state import mean_and_root, merge

WIDEST = 584
"""No tile has more columns; it is the distance of the rows of scratch memory.

An odd number of cache lines: rows whole pages apart would compete for the same places in a cache.
"""

# Rows of the scratch memory, which is one flat array of float64. Rests: see `wide`.
COUNT, MEAN, ROOT = 0, WIDEST, 2 * WIDEST  # the state of each column
PIVOT, UNIT, SEEN = 3 * WIDEST, 4 * WIDEST, 5 * WIDEST
SUM, SUM_REST, SQUARE, SQUARE_REST = 6 * WIDEST, 7 * WIDEST, 8 * WIDEST, 9 * WIDEST
CENTRE, RSTD, FACTOR, OFFSET = 10 * WIDEST, 11 * WIDEST, 12 * WIDEST, 13 * WIDEST
MEAN_REST, ROOT_REST = 14 * WIDEST, 15 * WIDEST
CENTRE_REST, RSTD_REST, FACTOR_REST = 16 * WIDEST, 17 * WIDEST, 18 * WIDEST
SCRATCH = 19 * WIDEST

F64 = np.float64(0)

BLOCK = 64
"""Rows that are written one after the other."""


@sums
def _add_four_rows(
    x: int, i0: int, i1: int, i2: int, i3: int,
    residual: Any, j0: int, j1: int, j2: int, j3: int,
    width: int, work: int, tag: Any,
) -> None:  # fmt: skip
    """Add four rows to the shifted sums of every column."""
    for c in range(width):
        unit = recall(work, UNIT + c)
        p = recall(work, PIVOT + c)
        d0 = value(x, i0 + c, residual, j0 + c, tag) * unit - p
        d1 = value(x, i1 + c, residual, j1 + c, tag) * unit - p
        d2 = value(x, i2 + c, residual, j2 + c, tag) * unit - p
        d3 = value(x, i3 + c, residual, j3 + c, tag) * unit - p
        keep(work, SUM + c, recall(work, SUM + c) + ((d0 + d1) + (d2 + d3)))
        squares = (d0 * d0 + d1 * d1) + (d2 * d2 + d3 * d3)
        keep(work, SQUARE + c, recall(work, SQUARE + c) + squares)


@part
def _add_row(
    x: int, i: int, xs: int, residual: Any, j: int, rs: int, mask: Any, k: int, ms: int,
    width: int, work: Any, measure: float, tag: Any,
) -> None:  # fmt: skip
    """Add one row to the sums of every column, for any measure, strides and mask."""
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
            work[SEEN + c] = float(stop - start) if mask is None and measure < L1 else 0.0
    row = start
    while is_wide(tag) and measure < L1 and row < stop:
        i, _, j, k, _, _, _ = offsets(nest, kept, last, row)
        i, j, k = xk + i, rk + j, mk + k
        if xs == 1 and (residual is None or rs == 1):
            _add_wide_row(x, i, 1, residual, j, 1, mask, k, ms, width, address, tag)
        else:
            _add_wide_row(x, i, xs, residual, j, rs, mask, k, ms, width, address, tag)
        row += 1
    plain = xs == 1 and (residual is None or rs == 1) and not is_wide(tag)
    if mask is None and measure < L1 and plain:
        while row + 4 <= stop:
            i0, _, j0, _, _, _, _ = offsets(nest, kept, last, row)
            i1, _, j1, _, _, _, _ = offsets(nest, kept, last, row + 1)
            i2, _, j2, _, _, _, _ = offsets(nest, kept, last, row + 2)
            i3, _, j3, _, _, _, _ = offsets(nest, kept, last, row + 3)
            if row + 8 <= stop:
                for ahead in range(row + 4, row + 8):
                    i, _, _, _, _, _, _ = offsets(nest, kept, last, ahead)
                    fetch(x, xk + i, 1, width, True, tag)
            _add_four_rows(
                x, xk + i0, xk + i1, xk + i2, xk + i3,
                residual, rk + j0, rk + j1, rk + j2, rk + j3,
                width, address, tag,
            )  # fmt: skip
            row += 4
        for c in range(width):
            work[SEEN + c] = float(row - start)
    while row < stop:
        i, _, j, k, _, _, _ = offsets(nest, kept, last, row)
        _add_row(x, xk + i, xs, residual, rk + j, rs, mask, mk + k, ms, width, work, measure, tag)
        row += 1


@part
def _find_pivots(
    x: int, xk: int, residual: Any, rk: int, mask: Any, mk: int, nest: Any, kept: int,
    start: int, stop: int, width: int, work: Any, tag: Any,
) -> None:  # fmt: skip
    """The first element of every column that counts."""
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
    for c in range(width):
        keep(work, PIVOT + c, value(x, i + c, residual, j + c, tag))


@part
def _first_states(width: int, n: float, work: int, measure: float) -> None:
    """The state of every column after its first chunk: what merging with nothing gives."""
    around_mean = 1.0 if measure == VARIANCE else 0.0
    for c in range(width):
        s = recall(work, SUM + c)
        away = s / n
        squares = recall(work, SQUARE + c) - around_mean * (s * away)
        squares = 0.0 if squares < 0.0 else squares
        keep(work, COUNT + c, n)
        keep(work, MEAN + c, recall(work, PIVOT + c) + away)
        keep(work, ROOT + c, math.sqrt(squares / n))


@part
def _prepare_all(width: int, n: float, work: int, formula: Any) -> None:
    """`_prepare` for all columns of an input whose range float64 exceeds by far."""
    share = 1.0
    if formula[MEASURE] == L2:
        share = n
    elif formula[DDOF] != 0.0:
        share = n / max(n - formula[DDOF], 0.0)
    center, eps, outside, floor = (
        formula[CENTER], formula[EPS], formula[EPS_OUTSIDE], formula[FLOOR],
    )  # fmt: skip
    for c in range(width):
        root = recall(work, ROOT + c)
        d = math.sqrt(root * root * share + eps) + outside
        d = floor if d < floor else d
        keep(work, UNIT + c, 1.0)
        keep(work, CENTRE + c, recall(work, MEAN + c) * center)
        keep(work, RSTD + c, 1.0 / d)
        keep(work, SEEN + c, n)


@part
def _chunk_states(
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
    while True:
        _chunk_sums(
            x, xk, residual, rk, mask, mk, nest, kept, start, stop, width, work, address,
            measure, tag,
        )  # fmt: skip
        if not is_wide(tag) or not _repivoted(width, work, measure):
            break
    if is_wide(tag):
        _merge_wide_sums(width, work, measure)
        return
    if mask is None and measure < L1 and start == begin:
        _first_states(width, float(stop - start), address, measure)
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
def _wide_sums(work: Any, c: int) -> Any:
    """Count, and the four numbers of the sums, of a column of float64 input."""
    s, s_rest = pair(work[SUM + c], work[SUM_REST + c])
    q, q_rest = pair(work[SQUARE + c], work[SQUARE_REST + c])
    return work[SEEN + c], s, s_rest, q, q_rest


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
def _fold(width: int, outer: int, inner: int, work: Any, measure: float, tag: Any) -> None:
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


@part
def _prepare(
    work: Any, c: int, n: float, mean: float, mean_rest: float, d: float, d_rest: float,
    formula: Any, tag: Any,
) -> None:  # fmt: skip
    """What the output of column `c` needs."""
    if formula[CENTER] == 0.0:
        mean, mean_rest = 0.0, 0.0
    unit = unit_of(d, mean)
    work[UNIT + c] = unit
    work[CENTRE + c] = mean * unit
    work[RSTD + c] = 1.0 / (d * unit)
    work[SEEN + c] = n
    if is_wide(tag):
        work[CENTRE_REST + c] = mean_rest * unit
        work[RSTD + c], work[RSTD_REST + c] = wide.inverse(d * unit, d_rest * unit)


@part
def _write_element(
    x: int, i: int, residual: Any, j: int, out: int, o: int,
    unit: float, centre: float, factor: float, offset: float, slope: Any, tag: Any,
) -> None:  # fmt: skip
    d = value(x, i, residual, j, tag) * unit - centre
    store(out, o, activated(d * factor + offset, slope), tag)


@part
def _write_four_rows(
    x: int, i0: int, i1: int, i2: int, i3: int,
    residual: Any, j0: int, j1: int, j2: int, j3: int,
    out: int, o0: int, o1: int, o2: int, o3: int, width: int, work: int, slope: Any, tag: Any,
) -> None:  # fmt: skip
    """Write four rows whose scale and bias vary with the column alone."""
    for c in range(width):
        u, m = load(work, UNIT + c, F64), load(work, CENTRE + c, F64)
        f, b = load(work, FACTOR + c, F64), load(work, OFFSET + c, F64)
        _write_element(x, i0 + c, residual, j0 + c, out, o0 + c, u, m, f, b, slope, tag)
        _write_element(x, i1 + c, residual, j1 + c, out, o1 + c, u, m, f, b, slope, tag)
        _write_element(x, i2 + c, residual, j2 + c, out, o2 + c, u, m, f, b, slope, tag)
        _write_element(x, i3 + c, residual, j3 + c, out, o3 + c, u, m, f, b, slope, tag)


@part
def _write_four_rows_even(
    x: int, i0: int, i1: int, i2: int, i3: int,
    residual: Any, j0: int, j1: int, j2: int, j3: int,
    out: int, o0: int, o1: int, o2: int, o3: int, width: int, work: int,
    f0: float, b0: float, f1: float, b1: float, f2: float, b2: float, f3: float, b3: float,
    slope: Any, tag: Any,
) -> None:  # fmt: skip
    """Write four rows each of which has one scale and one bias."""
    for c in range(width):
        u, m = load(work, UNIT + c, F64), load(work, CENTRE + c, F64)
        r = load(work, RSTD + c, F64)
        _write_element(x, i0 + c, residual, j0 + c, out, o0 + c, u, m, r * f0, b0, slope, tag)
        _write_element(x, i1 + c, residual, j1 + c, out, o1 + c, u, m, r * f1, b1, slope, tag)
        _write_element(x, i2 + c, residual, j2 + c, out, o2 + c, u, m, r * f2, b2, slope, tag)
        _write_element(x, i3 + c, residual, j3 + c, out, o3 + c, u, m, r * f3, b3, slope, tag)


@part
def _write_wide_row(
    x: int, i: int, xs: int, residual: Any, j: int, rs: int, out: int, o: int, os: int,
    width: int, work: int, slope: Any, tag: Any,
) -> None:  # fmt: skip
    """Write one row of float64 input, from the factors and offsets of its columns."""
    for c in range(width):
        offset = load(work, OFFSET + c, F64)
        y = normalized(
            value(x, i + c * xs, residual, j + c * rs, tag) * load(work, UNIT + c, F64),
            load(work, CENTRE + c, F64), load(work, CENTRE_REST + c, F64),
            load(work, FACTOR + c, F64), load(work, FACTOR_REST + c, F64), offset,
        )  # fmt: skip
        if load(work, SEEN + c, F64) == 0.0:
            y = offset
        store(out, o + c * os, activated(y, slope), tag)


@part
def _set_factors(
    width: int, span: int, work: Any, scale: int, a: int, sa: int, bias: int, b: int, sb: int,
    tag: Any, ptag: Any,
) -> None:  # fmt: skip
    """Factor and offset of every column, from the parameters that begin at a and b."""
    for c in range(width):
        factor = load(scale, a + c % span * sa, ptag)
        work[OFFSET + c] = load(bias, b + c % span * sb, ptag)
        if is_wide(tag):
            work[FACTOR + c], work[FACTOR_REST + c] = times(
                work[RSTD + c], work[RSTD_REST + c], factor, 0.0
            )
        else:
            work[FACTOR + c] = work[RSTD + c] * factor


@part
def _write_row(
    x: int, i: int, xs: int, residual: Any, j: int, rs: int, out: int, o: int, os: int,
    width: int, span: int, work: Any, fixed: bool,
    scale: int, a: int, sa: int, bias: int, b: int, sb: int, slope: Any, tag: Any, ptag: Any,
) -> None:  # fmt: skip
    """Write one row, for any strides and parameters, by the same operations."""
    for c in range(width):
        factor = work[FACTOR + c]
        if not fixed:
            factor = work[RSTD + c] * load(scale, a + c % span * sa, ptag)
        d = value(x, i + c * xs, residual, j + c * rs, tag) * work[UNIT + c] - work[CENTRE + c]
        y = load(bias, b + c % span * sb, ptag)
        if work[SEEN + c] > 0.0:
            y = d * factor + y
        store(out, o + c * os, activated(y, slope), tag)


@part
def _apply(
    x: int, xk: int, residual: Any, rk: int, out: int, ok: int, nest: Any, kept: int,
    start: int, stop: int, width: int, outer: int, work: Any, address: int, formula: Any,
    scale: int, ak: int, bias: int, bk: int, slope: Any, tag: Any, ptag: Any,
) -> None:  # fmt: skip
    """Write the output of the rows `start` to `stop`.

    The last block comes first, for it may still be in cache; within a block rows come in the order
    of memory, in which the processor fetches ahead.
    """
    last = nest.shape[0] - 1
    xs, os, rs = nest[last, X], nest[last, OUT], nest[last, RESIDUAL]
    sa, sb = nest[last, SCALE], nest[last, BIAS]
    span = width // outer  # parameters are the same for all parts that are folded from outside
    plain = xs == 1 and os == 1 and (residual is None or rs == 1)
    for c in range(width):
        if work[SEEN + c] == 0.0:
            plain = False
    fixed = True
    for row in range(kept, last):
        if nest[row, SCALE] != 0 or nest[row, BIAS] != 0:
            fixed = False
    if fixed:
        _set_factors(width, span, work, scale, ak, sa, bias, bk, sb, tag, ptag)
    four = plain and not is_wide(tag) and (fixed or (sa == 0 and sb == 0))
    for begin in range(start + (stop - start - 1) // BLOCK * BLOCK, start - 1, -BLOCK):
        row, end = begin, min(begin + BLOCK, stop)
        while four and row + 4 <= end:
            i0, o0, j0, _, a0, b0, _ = offsets(nest, kept, last, row)
            i1, o1, j1, _, a1, b1, _ = offsets(nest, kept, last, row + 1)
            i2, o2, j2, _, a2, b2, _ = offsets(nest, kept, last, row + 2)
            i3, o3, j3, _, a3, b3, _ = offsets(nest, kept, last, row + 3)
            if fixed:
                _write_four_rows(
                    x, xk + i0, xk + i1, xk + i2, xk + i3,
                    residual, rk + j0, rk + j1, rk + j2, rk + j3,
                    out, ok + o0, ok + o1, ok + o2, ok + o3, width, address, slope, tag,
                )  # fmt: skip
            else:
                _write_four_rows_even(
                    x, xk + i0, xk + i1, xk + i2, xk + i3,
                    residual, rk + j0, rk + j1, rk + j2, rk + j3,
                    out, ok + o0, ok + o1, ok + o2, ok + o3, width, address,
                    load(scale, ak + a0, ptag), load(bias, bk + b0, ptag),
                    load(scale, ak + a1, ptag), load(bias, bk + b1, ptag),
                    load(scale, ak + a2, ptag), load(bias, bk + b2, ptag),
                    load(scale, ak + a3, ptag), load(bias, bk + b3, ptag),
                    slope, tag,
                )  # fmt: skip
            row += 4
        while row < end:
            i, o, j, _, a, b, _ = offsets(nest, kept, last, row)
            row += 1
            if is_wide(tag):
                i, o, j = xk + i, ok + o, rk + j
                if not fixed:
                    _set_factors(
                        width, span, work, scale, ak + a, sa, bias, bk + b, sb, tag, ptag
                    )  # fmt: skip
                if xs == 1 and os == 1 and (residual is None or rs == 1):
                    _write_wide_row(x, i, 1, residual, j, 1, out, o, 1, width, address, slope, tag)
                else:
                    _write_wide_row(
                        x, i, xs, residual, j, rs, out, o, os, width, address, slope, tag
                    )  # fmt: skip
                continue
            _write_row(
                x, xk + i, xs, residual, rk + j, rs, out, ok + o, os, width, span, work,
                fixed, scale, ak + a, sa, bias, bk + b, sb, slope, tag, ptag,
            )  # fmt: skip


@part
def _clear(width: int, work: Any) -> None:
    for c in range(width):
        _set_state(work, c, 0.0, 0.0, 0.0, 0.0, 0.0)


@kernel
def normalize(
    counter: Any, items: int, tile: int, chunk: int, outer: int, inner: int,
    nest: Any, kept: int, formula: Any,
    x: int, out: int, residual: Any, mask: Any, scale: int, bias: int, slope: Any,
    statistics: Any, tag: Any, ptag: Any,
) -> None:  # fmt: skip
    """Measure all rows of one tile and write its output, while it is in cache.

    An item is one tile of at most `tile` columns; `chunk` rows are summed together. `statistics`:
    (4, sets) for count, mean, v and D; or of size 0.
    """
    last = nest.shape[0] - 1
    columns = nest[last, SIZE]
    tiles = (columns + tile - 1) // tile
    rows = loops(nest, kept, last)
    work = np.empty(SCRATCH, np.float64)
    address = work.ctypes.data
    while True:
        item = take(counter.ctypes.data)
        if item >= items:
            return
        k = item // tiles
        first = (item - k * tiles) * tile
        width = min(tile, columns - first)
        xk, ok, rk, mk, ak, bk, index = offsets(nest, 0, kept, k)
        xk += first * nest[last, X]
        ok += first * nest[last, OUT]
        rk += first * nest[last, RESIDUAL]
        mk += first * nest[last, MASK]
        ak += first * nest[last, SCALE]
        bk += first * nest[last, BIAS]
        _clear(width, work)
        for start in range(0, rows, chunk):
            _chunk_states(
                x, xk, residual, rk, mask, mk, nest, kept, 0, start, min(start + chunk, rows),
                width, work, address, formula, tag,
            )  # fmt: skip
        _fold(width, outer, inner, work, formula[MEASURE], tag)
        sets = width // (outer * inner)
        simple = mask is None and not is_wide(tag) and statistics.shape[1] == 0
        if simple and formula[MEASURE] < L1:
            _prepare_all(width, work[COUNT], address, formula)
        for c in range(0 if not simple or formula[MEASURE] >= L1 else width, width):
            n, mean = work[COUNT + c], work[MEAN + c]
            if is_wide(tag):
                v, d, d_rest = wide.variance_and_divisor(
                    n, work[ROOT + c], work[ROOT_REST + c], formula
                )
                _prepare(work, c, n, mean, work[MEAN_REST + c], d, d_rest, formula, tag)
            else:
                v, d = variance_and_divisor(n, work[ROOT + c], formula)
                _prepare(work, c, n, mean, 0.0, d, 0.0, formula, tag)
            if statistics.shape[1] > 0:
                at = index + (first // inner + (c // inner) % sets) * nest[last, STATS]
                statistics[0, at] = n
                statistics[1, at] = mean
                statistics[2, at] = v
                statistics[3, at] = d
        _apply(
            x, xk, residual, rk, out, ok, nest, kept, 0, rows, width, outer, work, address, formula,
            scale, ak, bias, bk, slope, tag, ptag,
        )  # fmt: skip


@kernel
def measure(
    counter: Any, items: int, tile: int, chunk: int,
    nest: Any, kept: int, formula: Any, x: int, residual: Any, mask: Any, states: Any, tag: Any,
) -> None:  # fmt: skip
    """Measure chunks of rows.

    An item is one chunk of one tile; `states`: (chunks, 3, positions * columns) for count, mean and
    root of every column, not yet folded; for float64 input (chunks, 5, ...), with their rests.
    """
    last = nest.shape[0] - 1
    columns = nest[last, SIZE]
    tiles = (columns + tile - 1) // tile
    chunks = states.shape[0]
    rows = loops(nest, kept, last)
    work = np.empty(SCRATCH, np.float64)
    address = work.ctypes.data
    while True:
        item = take(counter.ctypes.data)
        if item >= items:
            return
        number = item // chunks
        start = (item - number * chunks) * chunk
        k = number // tiles
        first = (number - k * tiles) * tile
        width = min(tile, columns - first)
        xk, _, rk, mk, _, _, _ = offsets(nest, 0, kept, k)
        _clear(width, work)
        _chunk_states(
            x, xk + first * nest[last, X], residual, rk + first * nest[last, RESIDUAL],
            mask, mk + first * nest[last, MASK], nest, kept, start, start,
            min(start + chunk, rows), width, work, address, formula, tag,
        )  # fmt: skip
        for c in range(width):
            at = k * columns + first + c
            states[item - number * chunks, 0, at] = work[COUNT + c]
            states[item - number * chunks, 1, at] = work[MEAN + c]
            states[item - number * chunks, 2, at] = work[ROOT + c]
            if is_wide(tag):
                states[item - number * chunks, 3, at] = work[MEAN_REST + c]
                states[item - number * chunks, 4, at] = work[ROOT_REST + c]


@kernel
def apply(
    counter: Any, items: int, tile: int, chunk: int, outer: int, inner: int,
    nest: Any, kept: int, formula: Any,
    x: int, out: int, residual: Any, scale: int, bias: int, slope: Any,
    statistics: Any, tag: Any, ptag: Any,
) -> None:  # fmt: skip
    """Write the output, from statistics (4, sets). An item is one chunk of rows of one tile.

    With the rests of mean and D they are (6, sets).
    """
    last = nest.shape[0] - 1
    columns = nest[last, SIZE]
    tiles = (columns + tile - 1) // tile
    rows = loops(nest, kept, last)
    chunks = (rows + chunk - 1) // chunk
    rests = is_wide(tag) and statistics.shape[0] > 4
    work = np.empty(SCRATCH, np.float64)
    address = work.ctypes.data
    while True:
        item = take(counter.ctypes.data)
        if item >= items:
            return
        number = item // chunks
        start = (item - number * chunks) * chunk
        k = number // tiles
        first = (number - k * tiles) * tile
        width = min(tile, columns - first)
        sets = width // (outer * inner)
        xk, ok, rk, _, ak, bk, index = offsets(nest, 0, kept, k)
        for c in range(width):
            at = index + (first // inner + (c // inner) % sets) * nest[last, STATS]
            _prepare(
                work, c, statistics[0, at],
                statistics[1, at], statistics[4, at] if rests else 0.0,
                statistics[3, at], statistics[5, at] if rests else 0.0, formula, tag,
            )  # fmt: skip
        _apply(
            x, xk + first * nest[last, X], residual, rk + first * nest[last, RESIDUAL],
            out, ok + first * nest[last, OUT], nest, kept, start, min(start + chunk, rows),
            width, outer, work, address, formula, scale, ak + first * nest[last, SCALE],
            bias, bk + first * nest[last, BIAS], slope, tag, ptag,
        )  # fmt: skip

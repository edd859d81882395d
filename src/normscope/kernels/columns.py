"""Forward kernels for nests whose innermost loop is kept: neighbours belong to different sets.

All columns of a *tile* are measured at once, row after row, with one set of sums per column. The
rows of a set are taken in chunks, merged in order. Columns may be *folded*: with (F, G, E) columns
of a row, those that differ only in F and E belong to one set, and are merged at the end.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

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
    WIDE,
    unit_of,
    variance_and_divisor,
)
from normscope.kernels.memory import keep, load, load_flag, recall, store, take
from normscope.kernels.nest import BIAS, MASK, OUT, RESIDUAL, SCALE, SIZE, STATS, X, loops, offsets
from normscope.kernels.runs import activated, fetch, value
from normscope.kernels.state import again, mean_and_root, merge

WIDEST = 2048
"""The most columns of a tile, and the distance of the rows of its scratch memory."""

# Rows of the scratch memory, which is one flat array of float64.
COUNT, MEAN, ROOT = 0, WIDEST, 2 * WIDEST  # the state of each column
PIVOT, UNIT, SUM, SQUARE, SEEN = 3 * WIDEST, 4 * WIDEST, 5 * WIDEST, 6 * WIDEST, 7 * WIDEST
CENTRE, RSTD, FACTOR, OFFSET = 8 * WIDEST, 9 * WIDEST, 10 * WIDEST, 11 * WIDEST
SCRATCH = 12 * WIDEST

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
    row = start
    if mask is None and measure < L1 and xs == 1 and (residual is None or rs == 1):
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
    if measure == VARIANCE:
        last = nest.shape[0] - 1
        if mask is None and nest[last, X] == 1 and (residual is None or nest[last, RESIDUAL] == 1):
            i, _, j, _, _, _, _ = offsets(nest, kept, last, start)
            _first_row(x, xk + i, residual, rk + j, width, address, tag)
        else:
            _find_pivots(x, xk, residual, rk, mask, mk, nest, kept, start, stop, width, work, tag)
    for attempt in range(2):
        _chunk_sums(
            x, xk, residual, rk, mask, mk, nest, kept, start, stop, width, work, address,
            measure, tag,
        )  # fmt: skip
        if attempt == 1 or formula[WIDE] == 0.0 or not _repivoted(width, work, measure):
            break
    if mask is None and formula[WIDE] == 0.0 and measure < L1 and start == begin:
        _first_states(width, float(stop - start), address, measure)
        return
    for c in range(width):
        mean, root = mean_and_root(
            work[SEEN + c],
            work[SUM + c],
            work[SQUARE + c],
            work[PIVOT + c],
            work[UNIT + c],
            measure,
        )
        n, mean, root = merge(
            work[COUNT + c], work[MEAN + c], work[ROOT + c], work[SEEN + c], mean, root, measure
        )
        work[COUNT + c] = n
        work[MEAN + c] = mean
        work[ROOT + c] = root


@part
def _repivoted(width: int, work: Any, measure: float) -> Any:
    """Choose pivot and unit anew where the sums cancelled or overflowed; whether any did."""
    found = False
    for c in range(width):
        n = work[SEEN + c]
        if n == 0.0:
            continue
        unit = again(n, work[SUM + c], work[SQUARE + c], work[PIVOT + c], measure)
        if unit == 0.0:
            continue
        found = True
        work[UNIT + c] = unit
        if measure == VARIANCE:
            pivot = work[PIVOT + c]
            work[PIVOT + c] = pivot + work[SUM + c] / n if unit == 1.0 else pivot * unit
    return found


@part
def _fold(width: int, outer: int, inner: int, work: Any, measure: float) -> None:
    """Give all columns of a set the state of the whole set."""
    if outer * inner == 1:
        return
    sets = width // (outer * inner)
    for g in range(sets):
        n, mean, root = 0.0, 0.0, 0.0
        for f in range(outer):
            for e in range(inner):
                c = (f * sets + g) * inner + e
                n, mean, root = merge(
                    n, mean, root, work[COUNT + c], work[MEAN + c], work[ROOT + c], measure
                )
        for f in range(outer):
            for e in range(inner):
                c = (f * sets + g) * inner + e
                work[COUNT + c] = n
                work[MEAN + c] = mean
                work[ROOT + c] = root


@part
def _prepare(work: Any, c: int, n: float, mean: float, d: float, formula: Any) -> None:
    """What the output of column `c` needs."""
    if formula[CENTER] == 0.0:
        mean = 0.0
    unit = unit_of(d, mean)
    work[UNIT + c] = unit
    work[CENTRE + c] = mean * unit
    work[RSTD + c] = 1.0 / (d * unit)
    work[SEEN + c] = n


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
        for c in range(width):
            work[FACTOR + c] = work[RSTD + c] * load(scale, ak + c % span * sa, ptag)
            work[OFFSET + c] = load(bias, bk + c % span * sb, ptag)
    four = plain and (fixed or (sa == 0 and sb == 0))
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
            _write_row(
                x, xk + i, xs, residual, rk + j, rs, out, ok + o, os, width, span, work,
                fixed, scale, ak + a, sa, bias, bk + b, sb, slope, tag, ptag,
            )  # fmt: skip
            row += 1


@part
def _clear(width: int, work: Any) -> None:
    for c in range(width):
        work[COUNT + c] = 0.0
        work[MEAN + c] = 0.0
        work[ROOT + c] = 0.0


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
        _fold(width, outer, inner, work, formula[MEASURE])
        sets = width // (outer * inner)
        simple = mask is None and formula[WIDE] == 0.0 and statistics.shape[1] == 0
        if simple and formula[MEASURE] < L1:
            _prepare_all(width, work[COUNT], address, formula)
        for c in range(0 if not simple or formula[MEASURE] >= L1 else width, width):
            n, mean = work[COUNT + c], work[MEAN + c]
            v, d = variance_and_divisor(n, work[ROOT + c], formula)
            _prepare(work, c, n, mean, d, formula)
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
    root of every column, not yet folded.
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


@kernel
def apply(
    counter: Any, items: int, tile: int, chunk: int, outer: int, inner: int,
    nest: Any, kept: int, formula: Any,
    x: int, out: int, residual: Any, scale: int, bias: int, slope: Any,
    statistics: Any, tag: Any, ptag: Any,
) -> None:  # fmt: skip
    """Write the output, from statistics (4, sets). An item is one chunk of rows of one tile."""
    last = nest.shape[0] - 1
    columns = nest[last, SIZE]
    tiles = (columns + tile - 1) // tile
    rows = loops(nest, kept, last)
    chunks = (rows + chunk - 1) // chunk
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
            _prepare(work, c, statistics[0, at], statistics[1, at], statistics[3, at], formula)
        _apply(
            x, xk + first * nest[last, X], residual, rk + first * nest[last, RESIDUAL],
            out, ok + first * nest[last, OUT], nest, kept, start, min(start + chunk, rows),
            width, outer, work, address, formula, scale, ak + first * nest[last, SCALE],
            bias, bk + first * nest[last, BIAS], slope, tag, ptag,
        )  # fmt: skip

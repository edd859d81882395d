"""Forward kernels for nests whose innermost loop is kept: neighbours belong to different sets.

All columns of a *tile* are measured at once, row after row, with one set of sums per column. The
rows of a set are taken in chunks, merged in order. Columns may be *folded*: with (F, G, E) columns
of a row, those that differ only in F and E belong to one set, and are merged at the end.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from normscope.kernels.flags import kernel, part, sums
from normscope.kernels.formula import (
    CENTER,
    L1,
    MEASURE,
    VARIANCE,
    WIDE,
    unit_of,
    variance_and_divisor,
)
from normscope.kernels.many import centres_and_rstds, means_and_roots, merge_all
from normscope.kernels.memory import keep, load, load_flag, recall, scratch, store, take
from normscope.kernels.nest import (
    BIAS,
    MASK,
    OUT,
    RESIDUAL,
    SCALE,
    SIZE,
    STATS,
    X,
    loops,
    offsets,
    row_loop,
)
from normscope.kernels.runs import activated, value
from normscope.kernels.state import again, mean_and_root, merge
from normscope.kernels.stream import close, opened, room

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
def _add_rows(
    x: int, i: int, p: int, residual: Any, j: int, q: int, rows: int,
    width: int, work: int, tag: Any,
) -> None:  # fmt: skip
    """Add rows at distances p and q to the shifted sums of every column.

    The sums are touched once for eight rows.
    """
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
    plain = mask is None and measure < L1 and xs == 1 and (residual is None or rs == 1)
    inner, p, _, q, _, _ = row_loop(nest, kept, last)
    row = start
    while row < stop:
        i, _, j, k, _, _, _ = offsets(nest, kept, last, row)
        rows = 1
        if plain:
            rows = min(inner - row % inner, stop - row)
            _add_rows(x, xk + i, p, residual, rk + j, q, rows, width, address, tag)
        else:
            _add_row(
                x, xk + i, xs, residual, rk + j, rs, mask, mk + k, ms, width, work, measure, tag
            )
        row += rows
    if plain:
        for c in range(width):
            work[SEEN + c] = float(stop - start)


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
    if mask is None and formula[WIDE] == 0.0 and measure < L1:
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
def _write_rows(
    x: int, i: int, p: int, residual: Any, j: int, q: int, out: int, o: int, r: int, rows: int,
    width: int, work: int, slope: Any, streams: bool, stream: Any, tag: Any,
) -> None:  # fmt: skip
    """Write rows at distances p, q, r; scale and bias vary with the column alone, units are 1."""
    for row in range(rows):
        target, t = room(stream, out, o + row * r, width, streams, tag)
        for c in range(width):
            d = value(x, i + row * p + c, residual, j + row * q + c, tag)
            d -= load(work, CENTRE + c, F64)
            y = d * load(work, FACTOR + c, F64) + load(work, OFFSET + c, F64)
            store(target, t + c, activated(y, slope), tag)


@part
def _write_even_rows(
    x: int, i: int, p: int, residual: Any, j: int, q: int, out: int, o: int, r: int, rows: int,
    width: int, work: int, scale: int, a: int, pa: int, bias: int, b: int, pb: int,
    slope: Any, streams: bool, stream: Any, tag: Any, ptag: Any,
) -> None:  # fmt: skip
    """The same for rows each of which has one scale and one bias."""
    for row in range(rows):
        factor, offset = load(scale, a + row * pa, ptag), load(bias, b + row * pb, ptag)
        target, t = room(stream, out, o + row * r, width, streams, tag)
        for c in range(width):
            d = value(x, i + row * p + c, residual, j + row * q + c, tag)
            d -= load(work, CENTRE + c, F64)
            y = d * (load(work, RSTD + c, F64) * factor) + offset
            store(target, t + c, activated(y, slope), tag)


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
    scale: int, ak: int, bias: int, bk: int, slope: Any, streams: bool, stream: Any,
    tag: Any, ptag: Any,
) -> None:  # fmt: skip
    """Write the output of the rows `start` to `stop`.

    The last block comes first, for it may still be in cache; within a block rows come in the order
    of memory, in which the processor fetches ahead. One row after the other is quicker than several
    side by side: fewer places are written to at a time.
    """
    last = nest.shape[0] - 1
    xs, os, rs = nest[last, X], nest[last, OUT], nest[last, RESIDUAL]
    sa, sb = nest[last, SCALE], nest[last, BIAS]
    span = width // outer  # parameters are the same for all parts that are folded from outside
    plain = xs == 1 and os == 1 and (residual is None or rs == 1)
    for c in range(width):
        if work[SEEN + c] == 0.0 or work[UNIT + c] != 1.0:
            plain = False
    fixed = True
    for row in range(kept, last):
        if nest[row, SCALE] != 0 or nest[row, BIAS] != 0:
            fixed = False
    if fixed:
        for c in range(width):
            work[FACTOR + c] = work[RSTD + c] * load(scale, ak + c % span * sa, ptag)
            work[OFFSET + c] = load(bias, bk + c % span * sb, ptag)
    even = sa == 0 and sb == 0
    inner, p, r, q, pa, pb = row_loop(nest, kept, last)
    for begin in range(start + (stop - start - 1) // BLOCK * BLOCK, start - 1, -BLOCK):
        row, end = begin, min(begin + BLOCK, stop)
        while row < end:
            i, o, j, _, a, b, _ = offsets(nest, kept, last, row)
            i, o, j, a, b = xk + i, ok + o, rk + j, ak + a, bk + b
            rows = min(inner - row % inner, end - row)
            if plain and fixed:
                _write_rows(
                    x, i, p, residual, j, q, out, o, r, rows, width, address,
                    slope, streams, stream, tag,
                )  # fmt: skip
            elif plain and even:
                _write_even_rows(
                    x, i, p, residual, j, q, out, o, r, rows, width, address,
                    scale, a, pa, bias, b, pb, slope, streams, stream, tag, ptag,
                )  # fmt: skip
            else:
                rows = 1
                _write_row(
                    x, i, xs, residual, j, rs, out, o, os, width, span, work,
                    fixed, scale, a, sa, bias, b, sb, slope, tag, ptag,
                )  # fmt: skip
            row += rows


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
    x: int, out: int, residual: Any, mask: Any, scale: int, bias: int, slope: Any, streams: bool,
    statistics: Any, tag: Any, ptag: Any,
) -> None:  # fmt: skip
    """Measure all rows of one tile and write its output, while it is in cache.

    An item is one tile of at most `tile` columns; `chunk` rows are summed together. `statistics`:
    (4, sets) for count, mean, v and D; or of size 0.
    """
    last = nest.shape[0] - 1
    columns = nest[last, SIZE]
    positions = loops(nest, 0, kept)
    rows = loops(nest, kept, last)
    work = scratch(SCRATCH)
    address = work.ctypes.data
    stream = opened()
    while True:
        item = take(counter.ctypes.data)
        if item >= items:
            close(stream, streams)
            return
        k = item % positions  # neighbouring tiles share cache lines: they are not written at once
        first = (item // positions) * tile
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
            for c in range(width):
                work[UNIT + c] = 1.0
                work[SEEN + c] = work[COUNT]
            centres_and_rstds(
                width, work[COUNT], address + 8 * MEAN, address + 8 * ROOT,
                address + 8 * CENTRE, address + 8 * RSTD, formula,
            )  # fmt: skip
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
            scale, ak, bias, bk, slope, streams, stream, tag, ptag,
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
    work = scratch(SCRATCH)
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
    x: int, out: int, residual: Any, scale: int, bias: int, slope: Any, streams: bool,
    statistics: Any, tag: Any, ptag: Any,
) -> None:  # fmt: skip
    """Write the output, from statistics (4, sets). An item is one chunk of rows of one tile."""
    last = nest.shape[0] - 1
    columns = nest[last, SIZE]
    tiles = (columns + tile - 1) // tile
    rows = loops(nest, kept, last)
    chunks = (rows + chunk - 1) // chunk
    work = scratch(SCRATCH)
    address = work.ctypes.data
    stream = opened()
    while True:
        item = take(counter.ctypes.data)
        if item >= items:
            close(stream, streams)
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
            bias, bk + first * nest[last, BIAS], slope, streams, stream, tag, ptag,
        )  # fmt: skip

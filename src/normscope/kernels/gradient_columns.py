"""Backward kernels for nests whose innermost loop is kept.

In the nest dx takes the place of the output, dy that of the residual. The sums of columns that are
folded into one set are added.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from normscope.kernels.columns import BLOCK, F64, WIDEST
from normscope.kernels.flags import kernel, part, sums
from normscope.kernels.formula import L1, MEASURE, SHIFT
from normscope.kernels.memory import keep, load, load_flag, recall, store, take
from normscope.kernels.nest import MASK, OUT, RESIDUAL, SCALE, SIZE, STATS, X, loops, offsets
from normscope.kernels.slope import ALONG, COUNT, PLAIN, SUMS, A, B, C, coefficients

# Rows of the scratch memory: the sums of each column, then what its output needs.
SUM_A, SUM_B, SUM_C, SUM_N = A * WIDEST, B * WIDEST, C * WIDEST, COUNT * WIDEST
SUM_PLAIN, SUM_ALONG = PLAIN * WIDEST, ALONG * WIDEST
MEAN, RSTD, MOVE, CURVE, POINT, FACTOR = (
    6 * WIDEST, 7 * WIDEST, 8 * WIDEST, 9 * WIDEST, 10 * WIDEST, 11 * WIDEST,
)  # fmt: skip
SCRATCH = 12 * WIDEST


@sums
def _add_two_rows(
    x: int, i0: int, i1: int, dy: int, j0: int, j1: int, width: int, work: int, tag: Any
) -> None:  # fmt: skip
    """Add two rows to sum(dy), sum(dy * (x - m)) and sum(x - m) of every column."""
    for c in range(width):
        mean = recall(work, MEAN + c)
        d0 = load(x, i0 + c, tag) - mean
        d1 = load(x, i1 + c, tag) - mean
        g0 = load(dy, j0 + c, tag)
        g1 = load(dy, j1 + c, tag)
        keep(work, SUM_PLAIN + c, recall(work, SUM_PLAIN + c) + (g0 + g1))
        keep(work, SUM_ALONG + c, recall(work, SUM_ALONG + c) + (g0 * d0 + g1 * d1))
        keep(work, SUM_C + c, recall(work, SUM_C + c) + (d0 + d1))


@sums
def _add_two_even_rows(
    x: int, i0: int, i1: int, dy: int, j0: int, j1: int, f0: float, f1: float,
    width: int, work: int, tag: Any,
) -> None:  # fmt: skip
    """Add two rows, each with one scale, to the sums of every column."""
    for c in range(width):
        mean = recall(work, MEAN + c)
        d0 = load(x, i0 + c, tag) - mean
        d1 = load(x, i1 + c, tag) - mean
        g0 = load(dy, j0 + c, tag) * f0
        g1 = load(dy, j1 + c, tag) * f1
        keep(work, SUM_A + c, recall(work, SUM_A + c) + (g0 + g1))
        keep(work, SUM_B + c, recall(work, SUM_B + c) + (g0 * d0 + g1 * d1))
        keep(work, SUM_C + c, recall(work, SUM_C + c) + (d0 + d1))


@part
def _add_row(
    x: int, i: int, xs: int, dy: int, j: int, js: int, mask: Any, m: int, ms: int,
    scale: int, s: int, ss: int, plus: float, width: int, span: int, work: Any, tag: Any, ptag: Any,
) -> None:  # fmt: skip
    """Add a row, with any strides and mask."""
    for c in range(width):
        d = load(x, i + c * xs, tag) - work[MEAN + c]
        g = load(dy, j + c * js, tag)
        factor = load(scale, s + c % span * ss, ptag) + plus
        work[SUM_PLAIN + c] += g
        work[SUM_ALONG + c] += g * d
        work[SUM_A + c] += g * factor
        work[SUM_B + c] += g * factor * d
        if mask is None or load_flag(mask, m + c * ms):
            work[SUM_C + c] += d
            work[SUM_N + c] += 1.0


@part
def _fixed(nest: Any, kept: int) -> Any:
    """Whether scale is the same for all rows of a set."""
    fixed = True
    for row in range(kept, nest.shape[0] - 1):
        fixed = fixed and nest[row, SCALE] == 0
    return fixed


@part
def _sums(
    x: int, xk: int, dy: int, jk: int, mask: Any, mk: int, scale: int, sk: int,
    nest: Any, kept: int, start: int, stop: int, width: int, outer: int, work: Any, address: int,
    plus: float, tag: Any, ptag: Any,
) -> None:  # fmt: skip
    """The sums of the rows `start` to `stop` of every column."""
    last = nest.shape[0] - 1
    xs, js, ms, ss = nest[last, X], nest[last, RESIDUAL], nest[last, MASK], nest[last, SCALE]
    span = width // outer
    for row in range(SUMS):
        for c in range(width):
            work[row * WIDEST + c] = 0.0
    unit_strides = mask is None and xs == 1 and js == 1
    fixed = _fixed(nest, kept)
    row = start
    if unit_strides and fixed:
        while row + 2 <= stop:
            i0, _, j0, _, _, _, _ = offsets(nest, kept, last, row)
            i1, _, j1, _, _, _, _ = offsets(nest, kept, last, row + 1)
            _add_two_rows(x, xk + i0, xk + i1, dy, jk + j0, jk + j1, width, address, tag)
            row += 2
        for c in range(width):
            factor = load(scale, sk + c % span * ss, ptag) + plus
            work[SUM_A + c] = work[SUM_PLAIN + c] * factor
            work[SUM_B + c] = work[SUM_ALONG + c] * factor
            work[SUM_N + c] = float(row - start)
    elif unit_strides and ss == 0:
        while row + 2 <= stop:
            i0, _, j0, _, s0, _, _ = offsets(nest, kept, last, row)
            i1, _, j1, _, s1, _, _ = offsets(nest, kept, last, row + 1)
            _add_two_even_rows(
                x, xk + i0, xk + i1, dy, jk + j0, jk + j1,
                load(scale, sk + s0, ptag) + plus, load(scale, sk + s1, ptag) + plus,
                width, address, tag,
            )  # fmt: skip
            row += 2
        for c in range(width):
            work[SUM_N + c] = float(row - start)
    while row < stop:
        i, _, j, m, s, _, _ = offsets(nest, kept, last, row)
        _add_row(
            x, xk + i, xs, dy, jk + j, js, mask, mk + m, ms, scale, sk + s, ss, plus,
            width, span, work, tag, ptag,
        )  # fmt: skip
        row += 1


@part
def _write_element(
    x: int, i: int, dy: int, j: int, dx: int, o: int,
    factor: float, move: float, curve: float, point: float, tag: Any,
) -> None:  # fmt: skip
    d = load(x, i, tag) - point
    store(dx, o, load(dy, j, tag) * factor - move - curve * d, tag)


@part
def _write_two_rows(
    x: int, i0: int, i1: int, dy: int, j0: int, j1: int, dx: int, o0: int, o1: int,
    width: int, work: int, tag: Any,
) -> None:  # fmt: skip
    """Write two rows whose scale varies with the column alone."""
    for c in range(width):
        f, m = load(work, FACTOR + c, F64), load(work, MOVE + c, F64)
        k, p = load(work, CURVE + c, F64), load(work, POINT + c, F64)
        _write_element(x, i0 + c, dy, j0 + c, dx, o0 + c, f, m, k, p, tag)
        _write_element(x, i1 + c, dy, j1 + c, dx, o1 + c, f, m, k, p, tag)


@part
def _write_two_rows_even(
    x: int, i0: int, i1: int, dy: int, j0: int, j1: int, dx: int, o0: int, o1: int,
    f0: float, f1: float, width: int, work: int, tag: Any,
) -> None:  # fmt: skip
    """Write two rows each of which has one scale."""
    for c in range(width):
        r, m = load(work, RSTD + c, F64), load(work, MOVE + c, F64)
        k, p = load(work, CURVE + c, F64), load(work, POINT + c, F64)
        _write_element(x, i0 + c, dy, j0 + c, dx, o0 + c, f0 * r, m, k, p, tag)
        _write_element(x, i1 + c, dy, j1 + c, dx, o1 + c, f1 * r, m, k, p, tag)


@part
def _write_row(
    x: int, i: int, xs: int, dy: int, j: int, js: int, mask: Any, m: int, ms: int,
    dx: int, o: int, os: int, scale: int, s: int, ss: int, plus: float, width: int, span: int,
    absolute: bool, work: Any, tag: Any, ptag: Any,
) -> None:  # fmt: skip
    for c in range(width):
        value = load(x, i + c * xs, tag)
        factor = load(scale, s + c % span * ss, ptag) + plus
        y = load(dy, j + c * js, tag) * (factor * work[RSTD + c])
        d = value - work[POINT + c]
        if absolute:
            d = 1.0 if value > 0.0 else (-1.0 if value < 0.0 else value)
        if mask is None or load_flag(mask, m + c * ms):
            y = y - work[MOVE + c] - work[CURVE + c] * d
        store(dx, o + c * os, y, tag)


@part
def _apply(
    x: int, xk: int, dy: int, jk: int, mask: Any, mk: int, dx: int, ok: int, scale: int, sk: int,
    nest: Any, kept: int, start: int, stop: int, width: int, outer: int, work: Any,
    address: int, formula: Any, tag: Any, ptag: Any,
) -> None:  # fmt: skip
    """Write dx of the rows `start` to `stop`: the last block first, as in the forward kernel."""
    last = nest.shape[0] - 1
    xs, js, ms, ss = nest[last, X], nest[last, RESIDUAL], nest[last, MASK], nest[last, SCALE]
    os = nest[last, OUT]
    plus = formula[SHIFT]
    span = width // outer
    absolute = formula[MEASURE] == L1
    fixed = _fixed(nest, kept)
    if fixed:
        for c in range(width):
            factor = load(scale, sk + c % span * ss, ptag) + plus
            work[FACTOR + c] = factor * work[RSTD + c]
    unit_strides = xs == 1 and js == 1 and os == 1
    two = mask is None and unit_strides and not absolute and (fixed or ss == 0)
    for begin in range(start + (stop - start - 1) // BLOCK * BLOCK, start - 1, -BLOCK):
        row, end = begin, min(begin + BLOCK, stop)
        while two and row + 2 <= end:
            i0, o0, j0, _, s0, _, _ = offsets(nest, kept, last, row)
            i1, o1, j1, _, s1, _, _ = offsets(nest, kept, last, row + 1)
            if fixed:
                _write_two_rows(
                    x, xk + i0, xk + i1, dy, jk + j0, jk + j1, dx, ok + o0, ok + o1,
                    width, address, tag,
                )  # fmt: skip
            else:
                _write_two_rows_even(
                    x, xk + i0, xk + i1, dy, jk + j0, jk + j1, dx, ok + o0, ok + o1,
                    load(scale, sk + s0, ptag) + plus, load(scale, sk + s1, ptag) + plus,
                    width, address, tag,
                )  # fmt: skip
            row += 2
        while row < end:
            i, o, j, m, s, _, _ = offsets(nest, kept, last, row)
            _write_row(
                x, xk + i, xs, dy, jk + j, js, mask, mk + m, ms, dx, ok + o, os,
                scale, sk + s, ss, plus, width, span, absolute, work, tag, ptag,
            )  # fmt: skip
            row += 1


@part
def _fold(width: int, outer: int, inner: int, work: Any) -> None:
    """Give all columns of a set the sums of the whole set."""
    if outer * inner == 1:
        return
    sets = width // (outer * inner)
    for row in range(SUMS):
        for g in range(sets):
            total = 0.0
            for f in range(outer):
                for e in range(inner):
                    total += work[row * WIDEST + (f * sets + g) * inner + e]
            for f in range(outer):
                for e in range(inner):
                    work[row * WIDEST + (f * sets + g) * inner + e] = total


@part
def _prepare(work: Any, c: int, formula: Any) -> None:
    """What the output of column `c` needs, from its sums."""
    shift, k, p = coefficients(
        work[SUM_A + c], work[SUM_B + c], work[SUM_C + c], work[SUM_N + c],
        work[MEAN + c], work[RSTD + c], formula,
    )  # fmt: skip
    work[MOVE + c] = shift
    work[CURVE + c] = k
    work[POINT + c] = p


@kernel
def gradient(
    counter: Any, items: int, tile: int, outer: int, inner: int, nest: Any, kept: int,
    formula: Any, x: int, dy: int, mask: Any, dx: int, scale: int, means: Any, rstds: Any,
    totals: Any, tag: Any, ptag: Any,
) -> None:  # fmt: skip
    """Dx and the sums of whole sets. An item is one tile; `totals`: (6, sets)."""
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
        position = item // tiles
        first = (item - position * tiles) * tile
        width = min(tile, columns - first)
        sets = width // (outer * inner)
        xk, ok, jk, mk, sk, _, index = offsets(nest, 0, kept, position)
        xk += first * nest[last, X]
        ok += first * nest[last, OUT]
        jk += first * nest[last, RESIDUAL]
        mk += first * nest[last, MASK]
        sk += first * nest[last, SCALE]
        for c in range(width):
            at = index + (first // inner + (c // inner) % sets) * nest[last, STATS]
            work[MEAN + c] = means[at]
            work[RSTD + c] = rstds[at]
        _sums(
            x, xk, dy, jk, mask, mk, scale, sk, nest, kept, 0, rows, width, outer, work, address,
            formula[SHIFT], tag, ptag,
        )  # fmt: skip
        _fold(width, outer, inner, work)
        for c in range(width):
            at = index + (first // inner + (c // inner) % sets) * nest[last, STATS]
            totals[PLAIN, at] = work[SUM_PLAIN + c]
            totals[ALONG, at] = work[SUM_ALONG + c]
            _prepare(work, c, formula)
        _apply(
            x, xk, dy, jk, mask, mk, dx, ok, scale, sk, nest, kept, 0, rows, width, outer, work,
            address, formula, tag, ptag,
        )  # fmt: skip


@kernel
def measure(
    counter: Any, items: int, tile: int, chunk: int, outer: int, inner: int, nest: Any, kept: int,
    formula: Any, x: int, dy: int, mask: Any, scale: int, means: Any, parts: Any,
    tag: Any, ptag: Any,
) -> None:  # fmt: skip
    """The sums of chunks of rows. An item is one chunk of one tile; `parts`: (chunks, 6, sets)."""
    last = nest.shape[0] - 1
    columns = nest[last, SIZE]
    tiles = (columns + tile - 1) // tile
    rows = loops(nest, kept, last)
    chunks = parts.shape[0]
    work = np.empty(SCRATCH, np.float64)
    address = work.ctypes.data
    while True:
        item = take(counter.ctypes.data)
        if item >= items:
            return
        number = item // chunks
        part_number = item - number * chunks
        start = part_number * chunk
        position = number // tiles
        first = (number - position * tiles) * tile
        width = min(tile, columns - first)
        sets = width // (outer * inner)
        xk, _, jk, mk, sk, _, index = offsets(nest, 0, kept, position)
        for c in range(width):
            at = index + (first // inner + (c // inner) % sets) * nest[last, STATS]
            work[MEAN + c] = means[at]
        _sums(
            x, xk + first * nest[last, X], dy, jk + first * nest[last, RESIDUAL],
            mask, mk + first * nest[last, MASK], scale, sk + first * nest[last, SCALE],
            nest, kept, start, min(start + chunk, rows), width, outer, work, address,
            formula[SHIFT], tag, ptag,
        )  # fmt: skip
        _fold(width, outer, inner, work)
        for c in range(width):
            at = index + (first // inner + (c // inner) % sets) * nest[last, STATS]
            for row in range(SUMS):
                parts[part_number, row, at] = work[row * WIDEST + c]


@kernel
def apply(
    counter: Any, items: int, tile: int, chunk: int, outer: int, inner: int, nest: Any, kept: int,
    formula: Any, x: int, dy: int, mask: Any, dx: int, scale: int, means: Any, rstds: Any,
    totals: Any, tag: Any, ptag: Any,
) -> None:  # fmt: skip
    """Dx, from the sums of all sets. An item is one chunk of rows of one tile."""
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
        position = number // tiles
        first = (number - position * tiles) * tile
        width = min(tile, columns - first)
        sets = width // (outer * inner)
        xk, ok, jk, mk, sk, _, index = offsets(nest, 0, kept, position)
        for c in range(width):
            at = index + (first // inner + (c // inner) % sets) * nest[last, STATS]
            work[MEAN + c] = means[at]
            work[RSTD + c] = rstds[at]
            for row in range(SUMS):
                work[row * WIDEST + c] = totals[row, at]
            _prepare(work, c, formula)
        _apply(
            x, xk + first * nest[last, X], dy, jk + first * nest[last, RESIDUAL],
            mask, mk + first * nest[last, MASK], dx, ok + first * nest[last, OUT],
            scale, sk + first * nest[last, SCALE], nest, kept, start, min(start + chunk, rows),
            width, outer, work, address, formula, tag, ptag,
        )  # fmt: skip

"""Rows of a tile of columns for the backward pass: the sums over them, and dx from these.

Neighbours belong to different sets, so every column has its own sums, in scratch memory. Rows at
equal distances are summed several at a time, which saves reading and writing that memory; they are
written one at a time, for the fewer places are written to at once, the better memory follows.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from normscope.kernels import slope
from normscope.kernels.columns import BLOCK, F64, WIDEST
from normscope.kernels.flags import part, sums
from normscope.kernels.formula import L1, MEASURE, SHIFT
from normscope.kernels.gradient_runs import add_to, terms
from normscope.kernels.memory import load, load_flag, store
from normscope.kernels.nest import BIAS, MASK, OUT, RESIDUAL, SCALE, SIZE, X, offsets
from normscope.kernels.slope import ALONG, COUNT, PLAIN, SUMS, A, B, C

# Rows of the scratch memory: those of `normscope.kernels.slope`, and what dy is multiplied by.
SUM_A, SUM_B, SUM_C, SUM_N = A * WIDEST, B * WIDEST, C * WIDEST, COUNT * WIDEST
SUM_PLAIN, SUM_ALONG = PLAIN * WIDEST, ALONG * WIDEST
MEAN, RSTD = slope.MEAN * WIDEST, slope.RSTD * WIDEST
MOVE, CURVE, POINT = slope.MOVE * WIDEST, slope.CURVE * WIDEST, slope.POINT * WIDEST
FACTOR = slope.ROWS * WIDEST
SCRATCH = FACTOR + WIDEST

LINE = 8
"""Numbers in a cache line."""

MANY, FOUR = 8, 4
"""Rows that are summed at once."""


@part
def scratch() -> Any:
    """Scratch memory that begins where a cache line does, as then all vectors lie within one."""
    memory = np.empty(SCRATCH + LINE, np.float64)
    return memory[-(memory.ctypes.data // 8) % LINE :]


@sums
def _add_rows(
    x: int, i: int, xr: int, dy: int, j: int, jr: int, count: int, width: int, work: int, tag: Any
) -> None:  # fmt: skip
    """Add rows to sum(dy), sum(dy * (x - m)) and sum(x - m) of every column; `count` is literal."""
    for c in range(width):
        mean = load(work, MEAN + c, F64)
        plain, along, away = 0.0, 0.0, 0.0
        for row in range(count):
            d = load(x, i + row * xr + c, tag) - mean
            g = load(dy, j + row * jr + c, tag)
            plain += g
            along += g * d
            away += d
        add_to(work, SUM_PLAIN + c, plain)
        add_to(work, SUM_ALONG + c, along)
        add_to(work, SUM_C + c, away)


@sums
def _add_four_rows_even(
    x: int, i: int, xr: int, dy: int, j: int, jr: int, f0: float, f1: float, f2: float, f3: float,
    width: int, work: int, tag: Any,
) -> Any:  # fmt: skip
    """Add four rows, each with one scale, to the sums of every column; sum(dy) of each row.

    Returns sum(dy) and sum(dy * (x - m) * rstd) of each row.
    """
    p0, p1, p2, p3 = 0.0, 0.0, 0.0, 0.0
    q0, q1, q2, q3 = 0.0, 0.0, 0.0, 0.0
    for c in range(width):
        mean, rstd = load(work, MEAN + c, F64), load(work, RSTD + c, F64)
        g0, d0, t0 = terms(x, i + c, dy, j + c, mean, tag)
        g1, d1, t1 = terms(x, i + xr + c, dy, j + jr + c, mean, tag)
        g2, d2, t2 = terms(x, i + 2 * xr + c, dy, j + 2 * jr + c, mean, tag)
        g3, d3, t3 = terms(x, i + 3 * xr + c, dy, j + 3 * jr + c, mean, tag)
        add_to(work, SUM_A + c, (g0 * f0 + g1 * f1) + (g2 * f2 + g3 * f3))
        add_to(work, SUM_B + c, (t0 * f0 + t1 * f1) + (t2 * f2 + t3 * f3))
        add_to(work, SUM_C + c, (d0 + d1) + (d2 + d3))
        p0 += g0
        p1 += g1
        p2 += g2
        p3 += g3
        q0 += t0 * rstd
        q1 += t1 * rstd
        q2 += t2 * rstd
        q3 += t3 * rstd
    return (p0, p1, p2, p3), (q0, q1, q2, q3)


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
def _add_row_along(
    x: int, i: int, xs: int, dy: int, j: int, js: int, width: int, span: int, work: Any,
    learned: int, size: int, p: int, ps: int, tag: Any,
) -> None:  # fmt: skip
    """Add a row to the sums of its parameters, with any strides."""
    for c in range(width):
        d = load(x, i + c * xs, tag) - work[MEAN + c]
        g = load(dy, j + c * js, tag)
        add_to(learned, p + c % span * ps, g)
        add_to(learned, size + p + c % span * ps, g * d * work[RSTD + c])


@part
def _fixed(nest: Any, kept: int) -> Any:
    """Whether the parameters are the same for all rows of a set."""
    fixed = True
    for row in range(kept, nest.shape[0] - 1):
        fixed = fixed and nest[row, SCALE] == 0 and nest[row, BIAS] == 0
    return fixed


@part
def _rows_ahead(nest: Any, kept: int, row: int, stop: int) -> Any:
    """How many rows lie at equal distances from `row` on, and the distances of x, dy and more."""
    around = nest.shape[0] - 2
    if around < kept:
        return 1, nest[0]
    size = nest[around, SIZE]
    return min(stop - row, size - row % size), nest[around]


@part
def tile_sums(
    x: int, xk: int, dy: int, jk: int, mask: Any, mk: int, scale: int, sk: int,
    nest: Any, kept: int, start: int, stop: int, width: int, outer: int, work: Any, address: int,
    learned: int, size: int, pk: int, plus: float, tag: Any, ptag: Any,
) -> None:  # fmt: skip
    """The sums of the rows `start` to `stop`: of every column, and of the parameters if any."""
    last = nest.shape[0] - 1
    xs, js, ms = nest[last, X], nest[last, RESIDUAL], nest[last, MASK]
    ss, ps = nest[last, SCALE], nest[last, BIAS]
    span = width // outer
    for row in range(SUMS):
        for c in range(width):
            work[row * WIDEST + c] = 0.0
    unit_strides = mask is None and xs == 1 and js == 1
    fixed = _fixed(nest, kept)
    even = ss == 0 and ps == 0
    row = start
    while row < stop:
        ahead, step = _rows_ahead(nest, kept, row, stop)
        i, _, j, m, s, p, _ = offsets(nest, kept, last, row)
        if unit_strides and fixed:
            if ahead >= MANY:
                _add_rows(x, xk + i, step[X], dy, jk + j, step[RESIDUAL], MANY, width, address, tag)
                row += MANY
            else:
                _add_rows(x, xk + i, 0, dy, jk + j, 0, 1, width, address, tag)
                row += 1
        elif unit_strides and even and ahead >= FOUR:
            s += sk
            totals, alongs = _add_four_rows_even(
                x, xk + i, step[X], dy, jk + j, step[RESIDUAL],
                load(scale, s, ptag) + plus, load(scale, s + step[SCALE], ptag) + plus,
                load(scale, s + 2 * step[SCALE], ptag) + plus,
                load(scale, s + 3 * step[SCALE], ptag) + plus,
                width, address, tag,
            )  # fmt: skip
            if size > 0:
                for n in range(FOUR):
                    add_to(learned, pk + p + n * step[BIAS], totals[n])
                    add_to(learned, size + pk + p + n * step[BIAS], alongs[n])
            row += FOUR
        else:
            _add_row(
                x, xk + i, xs, dy, jk + j, js, mask, mk + m, ms, scale, sk + s, ss, plus,
                width, span, work, tag, ptag,
            )  # fmt: skip
            if size > 0 and not fixed:
                _add_row_along(
                    x, xk + i, xs, dy, jk + j, js, width, span, work, learned, size, pk + p, ps,
                    tag,
                )  # fmt: skip
            row += 1
    if mask is None:
        for c in range(width):
            work[SUM_N + c] = float(stop - start)
    if fixed:
        for c in range(width):
            factor = load(scale, sk + c % span * ss, ptag) + plus
            work[SUM_A + c] = work[SUM_PLAIN + c] * factor
            work[SUM_B + c] = work[SUM_ALONG + c] * factor
            if size > 0:
                p = pk + c % span * ps
                add_to(learned, p, work[SUM_PLAIN + c])
                add_to(learned, size + p, work[SUM_ALONG + c] * work[RSTD + c])


@part
def _write_row(
    x: int, i: int, dy: int, j: int, dx: int, o: int, factors: int, factor: float,
    width: int, work: int, tag: Any,
) -> None:  # fmt: skip
    """Write one row; dy has the factor `factor` and that of each column, in the row `factors`."""
    for c in range(width):
        g = load(dy, j + c, tag) * (load(work, factors + c, F64) * factor)
        d = load(x, i + c, tag) - load(work, POINT + c, F64)
        y = g - load(work, MOVE + c, F64) - load(work, CURVE + c, F64) * d
        store(dx, o + c, y, tag)


@part
def _write_any_row(
    x: int, i: int, xs: int, dy: int, j: int, js: int, mask: Any, m: int, ms: int,
    dx: int, o: int, os: int, scale: int, s: int, ss: int, plus: float, width: int, span: int,
    absolute: bool, work: Any, tag: Any, ptag: Any,
) -> None:  # fmt: skip
    """Write one row, for any strides, mask and measure."""
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
def write_tile(
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
    plain = mask is None and xs == 1 and js == 1 and os == 1 and not absolute
    for begin in range(start + (stop - start - 1) // BLOCK * BLOCK, start - 1, -BLOCK):
        for row in range(begin, min(begin + BLOCK, stop)):
            i, o, j, m, s, _, _ = offsets(nest, kept, last, row)
            if plain and fixed:
                _write_row(x, xk + i, dy, jk + j, dx, ok + o, FACTOR, 1.0, width, address, tag)
            elif plain and ss == 0:
                factor = load(scale, sk + s, ptag) + plus
                _write_row(x, xk + i, dy, jk + j, dx, ok + o, RSTD, factor, width, address, tag)
            else:
                _write_any_row(
                    x, xk + i, xs, dy, jk + j, js, mask, mk + m, ms, dx, ok + o, os,
                    scale, sk + s, ss, plus, width, span, absolute, work, tag, ptag,
                )  # fmt: skip

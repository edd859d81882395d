"""Rows of a tile of columns for the backward pass: the sums over them, and dx from these.

Neighbours belong to different sets, so every column has its own sums, in scratch memory. Rows at
equal distances are summed several at a time, which saves reading and writing that memory; they are
written one at a time, for the fewer places are written to at once, the better memory follows.
"""

from __future__ import annotations

from typing import Any

from normscope.kernels import slope
from normscope.kernels.flags import part, sums
from normscope.kernels.formula import L1, MEASURE, SHIFT
from normscope.kernels.gradient_runs import add_to, terms
from normscope.kernels.memory import load, load_flag, recall, store, use_widest_vectors
from normscope.kernels.nest import BIAS, MASK, OUT, RESIDUAL, SCALE, X, offsets, row_loop
from normscope.kernels.slope import ALONG, COUNT, PLAIN, SUMS, A, B, C
from normscope.kernels.stream import room
from normscope.kernels.tile import WIDEST
from normscope.kernels.write_columns import BLOCK

# Rows of the scratch memory: those of `normscope.kernels.slope`, and what dy is multiplied by.
SUM_A, SUM_B, SUM_C, SUM_N = A * WIDEST, B * WIDEST, C * WIDEST, COUNT * WIDEST
SUM_PLAIN, SUM_ALONG = PLAIN * WIDEST, ALONG * WIDEST
MEAN, RSTD = slope.MEAN * WIDEST, slope.RSTD * WIDEST
MOVE, CURVE, POINT = slope.MOVE * WIDEST, slope.CURVE * WIDEST, slope.POINT * WIDEST
FACTOR = slope.ROWS * WIDEST
SCRATCH = FACTOR + WIDEST

EIGHT, FOUR = 8, 4
"""Rows that are summed at once."""


@sums
def _add_rows(
    x: int, i: int, p: int, dy: int, j: int, q: int, rows: int, count: int, width: int, work: int,
    tag: Any,
) -> None:  # fmt: skip
    """Add rows at distances p and q, `count` at once, a literal, to the sums of every column.

    They are sum(dy), sum(dy * (x - m)) and sum(x - m).
    """
    use_widest_vectors()
    for first in range(0, rows, count):
        for c in range(width):
            mean = recall(work, MEAN + c)
            plain, along, away = 0.0, 0.0, 0.0
            for row in range(first, first + count):
                d = load(x, i + row * p + c, tag) - mean
                g = load(dy, j + row * q + c, tag)
                plain += g
                along += g * d
                away += d
            add_to(work, SUM_PLAIN + c, plain)
            add_to(work, SUM_ALONG + c, along)
            add_to(work, SUM_C + c, away)


@sums
def _add_even_rows(
    x: int, i: int, p: int, dy: int, j: int, q: int, scale: int, s: int, ps: int, plus: float,
    rows: int, width: int, work: int, learned: int, size: int, at: int, step: int,
    tag: Any, ptag: Any,
) -> None:  # fmt: skip
    """Add rows, each with one scale, four at once, to the sums of columns and of parameters."""
    use_widest_vectors()
    for row in range(0, rows - 3, 4):
        ir, jr = i + row * p, j + row * q
        f0 = load(scale, s + row * ps, ptag) + plus
        f1 = load(scale, s + (row + 1) * ps, ptag) + plus
        f2 = load(scale, s + (row + 2) * ps, ptag) + plus
        f3 = load(scale, s + (row + 3) * ps, ptag) + plus
        p0, p1, p2, p3 = 0.0, 0.0, 0.0, 0.0
        q0, q1, q2, q3 = 0.0, 0.0, 0.0, 0.0
        for c in range(width):
            mean, rstd = recall(work, MEAN + c), recall(work, RSTD + c)
            g0, d0, t0 = terms(x, ir + c, dy, jr + c, mean, tag)
            g1, d1, t1 = terms(x, ir + p + c, dy, jr + q + c, mean, tag)
            g2, d2, t2 = terms(x, ir + 2 * p + c, dy, jr + 2 * q + c, mean, tag)
            g3, d3, t3 = terms(x, ir + 3 * p + c, dy, jr + 3 * q + c, mean, tag)
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
        if size > 0:
            for n, total, along in ((0, p0, q0), (1, p1, q1), (2, p2, q2), (3, p3, q3)):
                add_to(learned, at + (row + n) * step, total)
                add_to(learned, size + at + (row + n) * step, along)


@part
def _add_row(
    x: int, i: int, xs: int, dy: int, j: int, js: int, mask: Any, m: int, ms: int,
    scale: int, s: int, ss: int, plus: float, width: int, span: int, work: Any, tag: Any, ptag: Any,
) -> None:  # fmt: skip
    """Add a row, with any strides and mask."""
    use_widest_vectors()
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
    use_widest_vectors()
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
def tile_sums(
    x: int, xk: int, dy: int, jk: int, mask: Any, mk: int, scale: int, sk: int,
    nest: Any, kept: int, start: int, stop: int, width: int, outer: int, work: Any, address: int,
    learned: int, size: int, pk: int, plus: float, tag: Any, ptag: Any,
) -> None:  # fmt: skip
    """The sums of the rows `start` to `stop`: of every column, and of the parameters if any."""
    use_widest_vectors()
    last = nest.shape[0] - 1
    xs, js, ms = nest[last, X], nest[last, RESIDUAL], nest[last, MASK]
    ss, ps = nest[last, SCALE], nest[last, BIAS]
    span = width // outer
    for row in range(SUMS):
        for c in range(width):
            work[row * WIDEST + c] = 0.0
    plain = mask is None and xs == 1 and js == 1
    fixed = _fixed(nest, kept)
    even = ss == 0 and ps == 0
    inner, p, _, q, sr, pr = row_loop(nest, kept, last)
    row = start
    while row < stop:
        i, _, j, m, s, at, _ = offsets(nest, kept, last, row)
        i, j, m, s, at = xk + i, jk + j, mk + m, sk + s, pk + at
        ahead = min(inner - row % inner, stop - row)
        rows = 1
        if plain and fixed and ahead >= EIGHT:
            rows = ahead // EIGHT * EIGHT
            _add_rows(x, i, p, dy, j, q, rows, EIGHT, width, address, tag)
        elif plain and fixed:
            _add_rows(x, i, p, dy, j, q, 1, 1, width, address, tag)
        elif plain and even and ahead >= FOUR:
            rows = ahead // FOUR * FOUR
            _add_even_rows(
                x, i, p, dy, j, q, scale, s, sr, plus, rows, width, address,
                learned, size, at, pr, tag, ptag,
            )  # fmt: skip
        else:
            _add_row(
                x, i, xs, dy, j, js, mask, m, ms, scale, s, ss, plus, width, span, work, tag, ptag
            )
            if size > 0 and not fixed:
                _add_row_along(x, i, xs, dy, j, js, width, span, work, learned, size, at, ps, tag)
        row += rows
    if mask is None:
        for c in range(width):
            work[SUM_N + c] = float(stop - start)
    if fixed:
        for c in range(width):
            factor = load(scale, sk + c % span * ss, ptag) + plus
            work[SUM_A + c] = work[SUM_PLAIN + c] * factor
            work[SUM_B + c] = work[SUM_ALONG + c] * factor
            if size > 0:
                at = pk + c % span * ps
                add_to(learned, at, work[SUM_PLAIN + c])
                add_to(learned, size + at, work[SUM_ALONG + c] * work[RSTD + c])


@part
def _write_rows(
    x: int, i: int, p: int, dy: int, j: int, q: int, dx: int, o: int, r: int, rows: int,
    even: bool, scale: int, s: int, sr: int, plus: float, width: int, work: int,
    streams: bool, stream: Any, tag: Any, ptag: Any,
) -> None:  # fmt: skip
    """Write rows at distances p, q, r; each has a scale of its own if `even`, a literal."""
    use_widest_vectors()
    for row in range(rows):
        factor = load(scale, s + row * sr, ptag) + plus if even else 1.0
        target, t = room(stream, dx, o + row * r, width, streams, tag)
        for c in range(width):
            g = load(dy, j + row * q + c, tag) * (recall(work, FACTOR + c) * factor)
            d = load(x, i + row * p + c, tag) - recall(work, POINT + c)
            y = g - recall(work, MOVE + c) - recall(work, CURVE + c) * d
            store(target, t + c, y, tag)


@part
def _write_any_row(
    x: int, i: int, xs: int, dy: int, j: int, js: int, mask: Any, m: int, ms: int,
    dx: int, o: int, os: int, scale: int, s: int, ss: int, plus: float, width: int, span: int,
    absolute: bool, work: Any, tag: Any, ptag: Any,
) -> None:  # fmt: skip
    """Write one row, for any strides, mask and measure."""
    use_widest_vectors()
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
    address: int, formula: Any, streams: bool, stream: Any, tag: Any, ptag: Any,
) -> None:  # fmt: skip
    """Write dx of the rows `start` to `stop`: the last block first, as in the forward kernel."""
    use_widest_vectors()
    last = nest.shape[0] - 1
    xs, js, ms, ss = nest[last, X], nest[last, RESIDUAL], nest[last, MASK], nest[last, SCALE]
    os = nest[last, OUT]
    plus = formula[SHIFT]
    span = width // outer
    absolute = formula[MEASURE] == L1
    fixed = _fixed(nest, kept)
    for c in range(width):
        factor = load(scale, sk + c % span * ss, ptag) + plus if fixed else 1.0
        work[FACTOR + c] = factor * work[RSTD + c]
    plain = mask is None and xs == 1 and js == 1 and os == 1 and not absolute
    inner, p, r, q, sr, _ = row_loop(nest, kept, last)
    for begin in range(start + (stop - start - 1) // BLOCK * BLOCK, start - 1, -BLOCK):
        row, end = begin, min(begin + BLOCK, stop)
        while row < end:
            i, o, j, m, s, _, _ = offsets(nest, kept, last, row)
            i, o, j, m, s = xk + i, ok + o, jk + j, mk + m, sk + s
            rows = min(inner - row % inner, end - row)
            if plain and fixed:
                _write_rows(
                    x, i, p, dy, j, q, dx, o, r, rows, False, scale, s, 0, plus, width, address,
                    streams, stream, tag, ptag,
                )  # fmt: skip
            elif plain and ss == 0:
                _write_rows(
                    x, i, p, dy, j, q, dx, o, r, rows, True, scale, s, sr, plus, width, address,
                    streams, stream, tag, ptag,
                )  # fmt: skip
            else:
                rows = 1
                _write_any_row(
                    x, i, xs, dy, j, js, mask, m, ms, dx, o, os, scale, s, ss, plus, width, span,
                    absolute, work, tag, ptag,
                )  # fmt: skip
            row += rows

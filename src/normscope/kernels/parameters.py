"""Sums for the gradients of scale and bias: sum(dy * (x - mean) * rstd) and sum(dy).

The nest keeps the axes of the parameter and shares all others. In it dy takes the place of the
residual; mean and rstd, one per statistics set, those of scale and bias.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from normscope.kernels.flags import kernel, part, sums
from normscope.kernels.measure_rows import CHUNK
from normscope.kernels.memory import F64, keep, load, recall, take, use_widest_vectors
from normscope.kernels.nest import BIAS, RESIDUAL, SCALE, SIZE, X, loops, offsets
from normscope.kernels.tile import WIDEST

TOTAL, ALONG = 0, WIDEST
SCRATCH = 2 * WIDEST


@sums
def _run(
    x: int, i: int, xs: int, dy: int, j: int, js: int, means: int, m: int, ms: int,
    rstds: int, r: int, rs: int, n: int, tag: Any,
) -> Any:  # fmt: skip
    use_widest_vectors()
    total, along = 0.0, 0.0
    for e in range(n):
        g = load(dy, j + e * js, tag)
        d = load(x, i + e * xs, tag) - load(means, m + e * ms, F64)
        total += g
        along += g * d * load(rstds, r + e * rs, F64)
    return total, along


@kernel
def rows(
    counter: Any, items: int, nest: Any, kept: int, x: int, dy: int, means: int, rstds: int,
    parts: Any, tag: Any,
) -> None:  # fmt: skip
    """An item is one chunk of one set; `parts`: (chunks, 2, sets), sum(dy) first."""
    use_widest_vectors()
    last = nest.shape[0] - 1
    inner = nest[last, SIZE]
    xs, js, ms, rs = nest[last, X], nest[last, RESIDUAL], nest[last, SCALE], nest[last, BIAS]
    size = loops(nest, kept, nest.shape[0])
    chunks = parts.shape[0]
    while True:
        item = take(counter.ctypes.data)
        if item >= items:
            return
        number = item // chunks
        chunk = item - number * chunks
        position = chunk * CHUNK
        stop = min(position + CHUNK, size)
        xk, _, jk, _, mk, rk, index = offsets(nest, 0, kept, number)
        run = position // inner
        e = position - run * inner
        total, along = 0.0, 0.0
        while position < stop:
            n = min(inner - e, stop - position)
            xo, _, jo, _, mo, ro, _ = offsets(nest, kept, last, run)
            i, j = xk + xo + e * xs, jk + jo + e * js
            m, r = mk + mo + e * ms, rk + ro + e * rs
            if xs == 1 and js == 1 and ms == 0 and rs == 0:
                t, a = _run(x, i, 1, dy, j, 1, means, m, 0, rstds, r, 0, n, tag)
            else:
                t, a = _run(x, i, xs, dy, j, js, means, m, ms, rstds, r, rs, n, tag)
            total += t
            along += a
            position += n
            run += 1
            e = 0
        parts[chunk, 0, index] = total
        parts[chunk, 1, index] = along


@part
def _add_row(
    x: int, i: int, xs: int, dy: int, j: int, js: int, means: int, m: int, ms: int,
    rstds: int, r: int, rs: int, width: int, span: int, work: int, tag: Any,
) -> None:  # fmt: skip
    use_widest_vectors()
    for c in range(width):
        g = load(dy, j + c * js, tag)
        d = load(x, i + c * xs, tag) - load(means, m + c % span * ms, F64)
        keep(work, TOTAL + c, recall(work, TOTAL + c) + g)
        along = g * d * load(rstds, r + c % span * rs, F64)
        keep(work, ALONG + c, recall(work, ALONG + c) + along)


@part
def _add_two_rows(
    x: int, i0: int, i1: int, dy: int, j0: int, j1: int, means: int, m0: int, m1: int,
    rstds: int, r0: int, r1: int, width: int, work: int, tag: Any,
) -> None:  # fmt: skip
    """Two rows in which every column has its own mean and rstd."""
    use_widest_vectors()
    for c in range(width):
        g0, g1 = load(dy, j0 + c, tag), load(dy, j1 + c, tag)
        d0 = (load(x, i0 + c, tag) - load(means, m0 + c, F64)) * load(rstds, r0 + c, F64)
        d1 = (load(x, i1 + c, tag) - load(means, m1 + c, F64)) * load(rstds, r1 + c, F64)
        keep(work, TOTAL + c, recall(work, TOTAL + c) + (g0 + g1))
        keep(work, ALONG + c, recall(work, ALONG + c) + (g0 * d0 + g1 * d1))


@part
def _add_even_row(
    x: int, i: int, dy: int, j: int, mean: float, rstd: float, width: int, work: int, tag: Any
) -> None:  # fmt: skip
    use_widest_vectors()
    for c in range(width):
        g = load(dy, j + c, tag)
        d = (load(x, i + c, tag) - mean) * rstd
        keep(work, TOTAL + c, recall(work, TOTAL + c) + g)
        keep(work, ALONG + c, recall(work, ALONG + c) + g * d)


@kernel
def columns(
    counter: Any, items: int, tile: int, chunk: int, outer: int, nest: Any, kept: int,
    x: int, dy: int, means: int, rstds: int, parts: Any, tag: Any,
) -> None:  # fmt: skip
    """An item is one chunk of rows of one tile; `parts`: (chunks, 2, positions * columns)."""
    use_widest_vectors()
    last = nest.shape[0] - 1
    count = nest[last, SIZE]
    xs, js, ms, rs = nest[last, X], nest[last, RESIDUAL], nest[last, SCALE], nest[last, BIAS]
    tiles = (count + tile - 1) // tile
    size = loops(nest, kept, last)
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
        width = min(tile, count - first)
        span = width // outer
        xk, _, jk, _, mk, rk, _ = offsets(nest, 0, kept, position)
        xk += first * xs
        jk += first * js
        mk += first * ms
        rk += first * rs
        for c in range(width):
            work[TOTAL + c] = 0.0
            work[ALONG + c] = 0.0
        row, stop = start, min(start + chunk, size)
        while row < stop:
            xo, _, jo, _, mo, ro, _ = offsets(nest, kept, last, row)
            if xs == 1 and js == 1 and ms == 1 and rs == 1 and outer == 1 and row + 1 < stop:
                x1, _, j1, _, m1, r1, _ = offsets(nest, kept, last, row + 1)
                _add_two_rows(
                    x, xk + xo, xk + x1, dy, jk + jo, jk + j1, means, mk + mo, mk + m1,
                    rstds, rk + ro, rk + r1, width, address, tag,
                )  # fmt: skip
                row += 1
            elif xs == 1 and js == 1 and ms == 0 and rs == 0:
                mean, rstd = load(means, mk + mo, F64), load(rstds, rk + ro, F64)
                _add_even_row(x, xk + xo, dy, jk + jo, mean, rstd, width, address, tag)
            else:
                _add_row(
                    x, xk + xo, xs, dy, jk + jo, js, means, mk + mo, ms, rstds, rk + ro, rs,
                    width, span, address, tag,
                )  # fmt: skip
            row += 1
        for c in range(width):
            at = position * count + first + c
            parts[part_number, 0, at] = work[TOTAL + c]
            parts[part_number, 1, at] = work[ALONG + c]

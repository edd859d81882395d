"""Backward kernels for nests whose innermost loop is shared.

In the nest dx takes the place of the output, dy that of the residual.
"""

from __future__ import annotations

from typing import Any

from normscope.kernels.flags import kernel, part, sums
from normscope.kernels.formula import L1, MEASURE, SHIFT
from normscope.kernels.memory import load, load_flag, store, take
from normscope.kernels.nest import MASK, OUT, RESIDUAL, SCALE, SIZE, X, loops, offsets
from normscope.kernels.rows import CHUNK
from normscope.kernels.slope import ALONG, COUNT, PLAIN, A, B, C, coefficients


@sums
def _even_sums(
    x: int, i: int, xs: int, dy: int, j: int, js: int, n: int, mean: float, tag: Any
) -> Any:
    """sum(dy), sum(dy * (x - m)) and sum(x - m) of a run."""
    a, b, c = 0.0, 0.0, 0.0
    for e in range(n):
        d = load(x, i + e * xs, tag) - mean
        g = load(dy, j + e * js, tag)
        a += g
        b += g * d
        c += d
    return a, b, c


@sums
def _weighted_sums(
    x: int, i: int, xs: int, dy: int, j: int, js: int, scale: int, s: int, ss: int,
    shift: float, n: int, mean: float, tag: Any, ptag: Any,
) -> Any:  # fmt: skip
    """The same with g = dy * (scale + shift) in the place of dy."""
    a, b, c = 0.0, 0.0, 0.0
    for e in range(n):
        d = load(x, i + e * xs, tag) - mean
        g = load(dy, j + e * js, tag) * (load(scale, s + e * ss, ptag) + shift)
        a += g
        b += g * d
        c += d
    return a, b, c


@part
def _counted(
    x: int, i: int, xs: int, mask: Any, k: int, ms: int, n: int, mean: float, tag: Any
) -> Any:
    """How many elements of a run count, and their sum(x - m)."""
    if mask is None:
        return float(n), 0.0
    count, c = 0.0, 0.0
    for e in range(n):
        if load_flag(mask, k + e * ms):
            count += 1.0
            c += load(x, i + e * xs, tag) - mean
    return count, c


@part
def _slope(
    x: int, i: int, xs: int, dy: int, j: int, js: int, mask: Any, m: int, ms: int,
    dx: int, o: int, os: int, scale: int, s: int, ss: int, plus: float, n: int,
    rstd: float, shift: float, k: float, p: float, absolute: bool, tag: Any, ptag: Any,
) -> None:  # fmt: skip
    """Dx of a run."""
    for e in range(n):
        value = load(x, i + e * xs, tag)
        g = load(dy, j + e * js, tag) * (load(scale, s + e * ss, ptag) + plus)
        d = value - p
        if absolute:
            d = 1.0 if value > 0.0 else (-1.0 if value < 0.0 else value)
        y = g * rstd - shift - k * d
        if mask is not None and load_flag(mask, m + e * ms) == 0:
            y = g * rstd
        store(dx, o + e * os, y, tag)


@part
def _sums(
    x: int, xk: int, dy: int, jk: int, mask: Any, mk: int, scale: int, sk: int,
    nest: Any, kept: int, start: int, stop: int, mean: float, plus: float, tag: Any, ptag: Any,
) -> Any:  # fmt: skip
    """A, B, C, count, and A and B without scale, of the elements `start` to `stop` of a set."""
    last = nest.shape[0] - 1
    inner = nest[last, SIZE]
    xs, js, ms, ss = nest[last, X], nest[last, RESIDUAL], nest[last, MASK], nest[last, SCALE]
    run = start // inner
    e = start - run * inner
    position = start
    a, b, c, n, plain, along = 0.0, 0.0, 0.0, 0.0, 0.0, 0.0
    while position < stop:
        length = min(inner - e, stop - position)
        xo, _, jo, mo, so, _, _ = offsets(nest, kept, last, run)
        i = xk + xo + e * xs
        j = jk + jo + e * js
        s = sk + so + e * ss
        if ss == 0:
            if xs == 1 and js == 1:
                a1, b1, c1 = _even_sums(x, i, 1, dy, j, 1, length, mean, tag)
            else:
                a1, b1, c1 = _even_sums(x, i, xs, dy, j, js, length, mean, tag)
            factor = load(scale, s, ptag) + plus
            plain += a1
            along += b1
            a1 *= factor
            b1 *= factor
        elif xs == 1 and js == 1 and ss == 1:
            a1, b1, c1 = _weighted_sums(
                x, i, 1, dy, j, 1, scale, s, 1, plus, length, mean, tag, ptag
            )
        else:
            a1, b1, c1 = _weighted_sums(
                x, i, xs, dy, j, js, scale, s, ss, plus, length, mean, tag, ptag
            )
        n1, c2 = _counted(x, i, xs, mask, mk + mo + e * ms, ms, length, mean, tag)
        a += a1
        b += b1
        c += c1 if mask is None else c2
        n += n1
        position += length
        run += 1
        e = 0
    return a, b, c, n, plain, along


@part
def _apply(
    x: int, xk: int, dy: int, jk: int, mask: Any, mk: int, dx: int, ok: int, scale: int, sk: int,
    nest: Any, kept: int, start: int, stop: int,
    rstd: float, shift: float, k: float, p: float, formula: Any, tag: Any, ptag: Any,
) -> None:  # fmt: skip
    """Write dx of the elements `start` to `stop` of a set."""
    last = nest.shape[0] - 1
    inner = nest[last, SIZE]
    xs, js, ms, ss = nest[last, X], nest[last, RESIDUAL], nest[last, MASK], nest[last, SCALE]
    os = nest[last, OUT]
    plus = formula[SHIFT]
    absolute = formula[MEASURE] == L1
    run = start // inner
    e = start - run * inner
    position = start
    while position < stop:
        length = min(inner - e, stop - position)
        xo, oo, jo, mo, so, _, _ = offsets(nest, kept, last, run)
        i, j, m = xk + xo + e * xs, jk + jo + e * js, mk + mo + e * ms
        o, s = ok + oo + e * os, sk + so + e * ss
        plain = xs == 1 and js == 1 and os == 1 and not absolute
        if plain and ss == 0:
            _slope(
                x, i, 1, dy, j, 1, mask, m, ms, dx, o, 1, scale, s, 0, plus, length,
                rstd, shift, k, p, False, tag, ptag,
            )  # fmt: skip
        elif plain and ss == 1:
            _slope(
                x, i, 1, dy, j, 1, mask, m, ms, dx, o, 1, scale, s, 1, plus, length,
                rstd, shift, k, p, False, tag, ptag,
            )  # fmt: skip
        else:
            _slope(
                x, i, xs, dy, j, js, mask, m, ms, dx, o, os, scale, s, ss, plus, length,
                rstd, shift, k, p, absolute, tag, ptag,
            )  # fmt: skip
        position += length
        run += 1
        e = 0


@kernel
def gradient(
    counter: Any, items: int, per_item: int, nest: Any, kept: int, formula: Any,
    x: int, dy: int, mask: Any, dx: int, scale: int, means: Any, rstds: Any, totals: Any,
    tag: Any, ptag: Any,
) -> None:  # fmt: skip
    """Dx and the sums of whole sets. An item is `per_item` sets; `totals`: (6, sets)."""
    size = loops(nest, kept, nest.shape[0])
    num_sets = loops(nest, 0, kept)
    while True:
        item = take(counter.ctypes.data)
        if item >= items:
            return
        for number in range(item * per_item, min(item * per_item + per_item, num_sets)):
            xk, ok, jk, mk, sk, _, index = offsets(nest, 0, kept, number)
            mean, rstd = means[index], rstds[index]
            a, b, c, n, plain, along = _sums(
                x, xk, dy, jk, mask, mk, scale, sk, nest, kept, 0, size, mean, formula[SHIFT],
                tag, ptag,
            )  # fmt: skip
            totals[PLAIN, index] = plain
            totals[ALONG, index] = along
            shift, k, p = coefficients(a, b, c, n, mean, rstd, formula)
            _apply(
                x, xk, dy, jk, mask, mk, dx, ok, scale, sk, nest, kept, 0, size,
                rstd, shift, k, p, formula, tag, ptag,
            )  # fmt: skip


@kernel
def measure(
    counter: Any, items: int, nest: Any, kept: int, formula: Any,
    x: int, dy: int, mask: Any, scale: int, means: Any, parts: Any, tag: Any, ptag: Any,
) -> None:  # fmt: skip
    """The sums of chunks. An item is one chunk; `parts`: (chunks, 6, sets)."""
    size = loops(nest, kept, nest.shape[0])
    chunks = parts.shape[0]
    while True:
        item = take(counter.ctypes.data)
        if item >= items:
            return
        number = item // chunks
        chunk = item - number * chunks
        start = chunk * CHUNK
        xk, _, jk, mk, sk, _, index = offsets(nest, 0, kept, number)
        a, b, c, n, plain, along = _sums(
            x, xk, dy, jk, mask, mk, scale, sk, nest, kept, start, min(start + CHUNK, size),
            means[index], formula[SHIFT], tag, ptag,
        )  # fmt: skip
        parts[chunk, A, index] = a
        parts[chunk, B, index] = b
        parts[chunk, C, index] = c
        parts[chunk, COUNT, index] = n
        parts[chunk, PLAIN, index] = plain
        parts[chunk, ALONG, index] = along


@kernel
def apply(
    counter: Any, items: int, nest: Any, kept: int, formula: Any,
    x: int, dy: int, mask: Any, dx: int, scale: int, means: Any, rstds: Any, totals: Any,
    tag: Any, ptag: Any,
) -> None:  # fmt: skip
    """Dx, from the sums of all sets. An item is one chunk."""
    size = loops(nest, kept, nest.shape[0])
    chunks = (size + CHUNK - 1) // CHUNK
    while True:
        item = take(counter.ctypes.data)
        if item >= items:
            return
        number = item // chunks
        start = (item - number * chunks) * CHUNK
        xk, ok, jk, mk, sk, _, index = offsets(nest, 0, kept, number)
        shift, k, p = coefficients(
            totals[A, index], totals[B, index], totals[C, index], totals[COUNT, index],
            means[index], rstds[index], formula,
        )  # fmt: skip
        _apply(
            x, xk, dy, jk, mask, mk, dx, ok, scale, sk, nest, kept, start,
            min(start + CHUNK, size), rstds[index], shift, k, p, formula, tag, ptag,
        )  # fmt: skip

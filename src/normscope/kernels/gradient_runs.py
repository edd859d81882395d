"""Loops over one run for the backward pass: elements at equal distances, of one statistics set.

As in `normscope.kernels.runs`, a call with literal distances makes LLVM compile a vectorized copy.
What is summed for the gradients of scale and bias is float64 memory at the address `learned`:
sum(dy) of each parameter, and `size` places further on sum(dy * (x - mean) * rstd).
"""

from __future__ import annotations

from typing import Any

from normscope.kernels.flags import part, sums
from normscope.kernels.memory import keep, load, load_flag, recall, store, use_widest_vectors
from normscope.kernels.slope import COUNT, MEAN, RSTD, A, B, C

FOUR = 4
"""Sets whose sums are taken together where they share their parameters."""


@part
def add_to(memory: int, index: int, value: float) -> None:
    """Add to an element of float64 memory."""
    keep(memory, index, recall(memory, index) + value)


@sums
def even_sums(
    x: int, i: int, xs: int, dy: int, j: int, js: int, n: int, mean: float, tag: Any
) -> Any:
    """sum(dy), sum(dy * (x - m)) and sum(x - m) of a run."""
    use_widest_vectors()
    a, b, c = 0.0, 0.0, 0.0
    for e in range(n):
        d = load(x, i + e * xs, tag) - mean
        g = load(dy, j + e * js, tag)
        a += g
        b += g * d
        c += d
    return a, b, c


@sums
def weighted_sums(
    x: int, i: int, xs: int, dy: int, j: int, js: int, scale: int, s: int, ss: int,
    shift: float, n: int, mean: float, tag: Any, ptag: Any,
) -> Any:  # fmt: skip
    """The same with g = dy * (scale + shift) in the place of dy."""
    use_widest_vectors()
    a, b, c = 0.0, 0.0, 0.0
    for e in range(n):
        d = load(x, i + e * xs, tag) - mean
        g = load(dy, j + e * js, tag) * (load(scale, s + e * ss, ptag) + shift)
        a += g
        b += g * d
        c += d
    return a, b, c


@part
def add_along(
    x: int, i: int, xs: int, dy: int, j: int, js: int, n: int, mean: float, rstd: float,
    learned: int, size: int, p: int, ps: int, tag: Any,
) -> None:  # fmt: skip
    """Add a run to the sums of the parameters that vary along it."""
    use_widest_vectors()
    for e in range(n):
        d = load(x, i + e * xs, tag) - mean
        g = load(dy, j + e * js, tag)
        add_to(learned, p + e * ps, g)
        add_to(learned, size + p + e * ps, g * d * rstd)


@part
def terms(x: int, i: int, dy: int, j: int, mean: float, tag: Any) -> Any:
    """dy, x - m and their product."""
    g, d = load(dy, j, tag), load(x, i, tag) - mean
    return g, d, g * d


@sums
def add_four_sets(
    x: int, xk: Any, dy: int, jk: Any, scale: int, s: int, shift: float, n: int,
    work: Any, learned: int, size: int, p: int, tag: Any, ptag: Any,
) -> None:  # fmt: skip
    """Add one run each of four sets, which begin at `xk` and `jk`, to all sums.

    The sums of the parameters fill more memory than a run: they are read and written once for all
    four. `work`: the scratch memory of the sets.
    """
    use_widest_vectors()
    i0, i1, i2, i3 = xk[0], xk[1], xk[2], xk[3]
    j0, j1, j2, j3 = jk[0], jk[1], jk[2], jk[3]
    m0, m1, m2, m3 = work[MEAN, 0], work[MEAN, 1], work[MEAN, 2], work[MEAN, 3]
    r0, r1, r2, r3 = work[RSTD, 0], work[RSTD, 1], work[RSTD, 2], work[RSTD, 3]
    a0, a1, a2, a3 = 0.0, 0.0, 0.0, 0.0
    b0, b1, b2, b3 = 0.0, 0.0, 0.0, 0.0
    c0, c1, c2, c3 = 0.0, 0.0, 0.0, 0.0
    for e in range(n):
        factor = load(scale, s + e, ptag) + shift
        g0, d0, t0 = terms(x, i0 + e, dy, j0 + e, m0, tag)
        g1, d1, t1 = terms(x, i1 + e, dy, j1 + e, m1, tag)
        g2, d2, t2 = terms(x, i2 + e, dy, j2 + e, m2, tag)
        g3, d3, t3 = terms(x, i3 + e, dy, j3 + e, m3, tag)
        add_to(learned, p + e, (g0 + g1) + (g2 + g3))
        add_to(learned, size + p + e, (t0 * r0 + t1 * r1) + (t2 * r2 + t3 * r3))
        a0 += g0 * factor
        a1 += g1 * factor
        a2 += g2 * factor
        a3 += g3 * factor
        b0 += t0 * factor
        b1 += t1 * factor
        b2 += t2 * factor
        b3 += t3 * factor
        c0 += d0
        c1 += d1
        c2 += d2
        c3 += d3
    for row, four in ((A, (a0, a1, a2, a3)), (B, (b0, b1, b2, b3)), (C, (c0, c1, c2, c3))):
        for g in range(FOUR):
            work[row, g] += four[g]
    for g in range(FOUR):
        work[COUNT, g] += float(n)


@part
def counted(
    x: int, i: int, xs: int, mask: Any, k: int, ms: int, n: int, mean: float, tag: Any
) -> Any:
    """How many elements of a run count, and their sum(x - m)."""
    use_widest_vectors()
    if mask is None:
        return float(n), 0.0
    count, c = 0.0, 0.0
    for e in range(n):
        if load_flag(mask, k + e * ms):
            count += 1.0
            c += load(x, i + e * xs, tag) - mean
    return count, c


@part
def slope(
    x: int, i: int, xs: int, dy: int, j: int, js: int, mask: Any, m: int, ms: int,
    dx: int, o: int, os: int, scale: int, s: int, ss: int, plus: float, n: int,
    rstd: float, shift: float, k: float, p: float, absolute: bool, tag: Any, ptag: Any,
) -> None:  # fmt: skip
    """Dx of a run."""
    use_widest_vectors()
    added = plus * rstd
    for e in range(n):
        value = load(x, i + e * xs, tag)
        g = load(dy, j + e * js, tag) * (load(scale, s + e * ss, ptag) * rstd + added)
        d = value - p
        if absolute:
            d = 1.0 if value > 0.0 else (-1.0 if value < 0.0 else value)
        y = g - shift - k * d
        if mask is not None and load_flag(mask, m + e * ms) == 0:
            y = g
        store(dx, o + e * os, y, tag)

"""Loops over one run for the backward pass: elements at equal distances, of one statistics set.

Where `step` is None all arrays go on by neighbours.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from normscope.kernels.backward.input_gradient import MEAN, RSTD, InputGradient
from normscope.kernels.backward.nest import ahead
from normscope.kernels.contract import (
    SUM_COUNT,
    SUM_D,
    SUM_G,
    SUM_G_D,
    BackwardArrays,
    BackwardPlace,
)
from normscope.kernels.machine.compiling import part, sums
from normscope.kernels.machine.instructions import use_widest_vectors
from normscope.kernels.machine.memory import counts, keep, load, recall, store
from normscope.kernels.measures import derivative_of_size

FOUR = 4
"""Sets whose sums are taken together where they share their parameters."""


class ParameterSums(NamedTuple):
    """Float64 memory for the sums of learned parameters, which begins at `address`.

    sum(dy) of each parameter, and `size` places further on sum(dy * (x - mean) * rstd).
    """

    address: int
    size: int


@part
def sums_of_item(parameters: Any, item: int) -> ParameterSums:
    """The sums of one item, of (items, 2, parameters)."""
    size = parameters.shape[2]
    return ParameterSums(parameters[item].ctypes.data if size > 0 else 0, size)


@part
def add_to(memory: int, index: int, value: float) -> None:
    """Add to an element of float64 memory."""
    keep(memory, index, recall(memory, index) + value)


@part
def add_to_parameter(learned: ParameterSums, p: int, plain: float, along: float) -> None:
    """Add to the two sums of a parameter."""
    add_to(learned.address, p, plain)
    add_to(learned.address, learned.size + p, along)


@part
def factor_at(arrays: BackwardArrays, s: int, shift: float) -> Any:
    """What dy is multiplied by: scale + shift."""
    return load(arrays.scale, s, arrays.parameter_tag) + shift


@part
def elements(arrays: BackwardArrays, i: int, j: int, mean: float) -> Any:
    """Dy and x - m, at index `i` of x and `j` of dy."""
    return load(arrays.dy, j, arrays.tag), load(arrays.x, i, arrays.tag) - mean


@part
def elements_along(
    arrays: BackwardArrays, at: BackwardPlace, step: BackwardPlace | None, e: int, mean: float
) -> Any:
    """Dy and x - m, `e` steps away from a place."""
    here = ahead(at, step, e)
    return elements(arrays, here.x, here.dy, mean)


@part
def terms(arrays: BackwardArrays, i: int, j: int, mean: float) -> Any:
    """Dy, x - m and their product, at index `i` of x and `j` of dy."""
    g, d = elements(arrays, i, j, mean)
    return g, d, g * d


@sums
def even_sums(
    arrays: BackwardArrays, at: BackwardPlace, step: BackwardPlace | None, n: int, mean: float
) -> Any:
    """sum(dy), sum(dy * (x - m)) and sum(x - m) of a run."""
    use_widest_vectors()
    a, b, c = 0.0, 0.0, 0.0
    for e in range(n):
        g, d = elements_along(arrays, at, step, e, mean)
        a += g
        b += g * d
        c += d
    return a, b, c


@sums
def weighted_sums(
    arrays: BackwardArrays,
    at: BackwardPlace,
    step: BackwardPlace | None,
    n: int,
    mean: float,
    shift: float,
) -> Any:
    """sum(g), sum(g * (x - m)) and sum(x - m) of a run, with g = dy * (scale + shift)."""
    use_widest_vectors()
    a, b, c = 0.0, 0.0, 0.0
    for e in range(n):
        g, d = elements_along(arrays, at, step, e, mean)
        g *= factor_at(arrays, ahead(at, step, e).scale, shift)
        a += g
        b += g * d
        c += d
    return a, b, c


@part
def add_along(
    arrays: BackwardArrays, at: BackwardPlace, step: BackwardPlace | None, n: int, mean: float,
    rstd: float, learned: ParameterSums,
) -> None:  # fmt: skip
    """Add a run to the sums of the parameters that vary along it."""
    use_widest_vectors()
    for e in range(n):
        g, d = elements_along(arrays, at, step, e, mean)
        add_to_parameter(learned, ahead(at, step, e).learned, g, g * d * rstd)


@sums
def add_four_sets(
    arrays: BackwardArrays, four: Any, n: int, shift: float, work: Any, learned: ParameterSums
) -> None:
    """Add one run each of four sets, which begin at four places, to all sums.

    The sums of the parameters fill more memory than a run: they are read and written once for all
    four. `work`: the scratch memory of the sets.
    """
    use_widest_vectors()
    at0, at1, at2, at3 = four
    m0, m1, m2, m3 = work[MEAN, 0], work[MEAN, 1], work[MEAN, 2], work[MEAN, 3]
    r0, r1, r2, r3 = work[RSTD, 0], work[RSTD, 1], work[RSTD, 2], work[RSTD, 3]
    a0, a1, a2, a3 = 0.0, 0.0, 0.0, 0.0
    b0, b1, b2, b3 = 0.0, 0.0, 0.0, 0.0
    c0, c1, c2, c3 = 0.0, 0.0, 0.0, 0.0
    for e in range(n):
        factor = factor_at(arrays, at0.scale + e, shift)
        g0, d0, t0 = terms(arrays, at0.x + e, at0.dy + e, m0)
        g1, d1, t1 = terms(arrays, at1.x + e, at1.dy + e, m1)
        g2, d2, t2 = terms(arrays, at2.x + e, at2.dy + e, m2)
        g3, d3, t3 = terms(arrays, at3.x + e, at3.dy + e, m3)
        plain = (g0 + g1) + (g2 + g3)
        along = (t0 * r0 + t1 * r1) + (t2 * r2 + t3 * r3)
        add_to_parameter(learned, at0.learned + e, plain, along)
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
    for row, added in (
        (SUM_G, (a0, a1, a2, a3)),
        (SUM_G_D, (b0, b1, b2, b3)),
        (SUM_D, (c0, c1, c2, c3)),
    ):
        for g in range(FOUR):
            work[row, g] += added[g]
    for g in range(FOUR):
        work[SUM_COUNT, g] += float(n)


@part
def counted(
    arrays: BackwardArrays, at: BackwardPlace, step: BackwardPlace | None, n: int, mean: float
) -> Any:
    """How many elements of a run the mask counts, and their sum(x - m)."""
    use_widest_vectors()
    count, c = 0.0, 0.0
    for e in range(n):
        here = ahead(at, step, e)
        if counts(arrays.mask, here.mask):
            count += 1.0
            c += load(arrays.x, here.x, arrays.tag) - mean
    return count, c


@part
def store_dx(
    arrays: BackwardArrays, at: BackwardPlace, step: BackwardPlace | None, n: int,
    input_gradient: InputGradient, even_scale: Any, absolute: bool,
) -> None:  # fmt: skip
    """Dx of a run.

    `even_scale`: the scale if it is one for all, else None. `absolute`: whether |x| is measured.
    """
    use_widest_vectors()
    for e in range(n):
        here = ahead(at, step, e)
        value = load(arrays.x, here.x, arrays.tag)
        scale = even_scale
        if even_scale is None:
            scale = load(arrays.scale, here.scale, arrays.parameter_tag)
        dy = load(arrays.dy, here.dy, arrays.tag)
        g = dy * (scale * input_gradient.rstd + input_gradient.added)
        d = value - input_gradient.point
        if absolute:
            d = derivative_of_size(value)
        y = g - input_gradient.move - input_gradient.curve * d
        if not counts(arrays.mask, here.mask):
            y = g
        store(arrays.dx, here.dx, y, arrays.tag)

"""Statistics sets of float64 input, in numbers of twice its precision (`machine.double_double`).

Results in float64 are then rounded once, as those of narrower input are that is computed in
float64. What is known of a set, or of a part of it, are its `PartialStatistics` with rests: see
`normscope.kernels.forward.partial_statistics`.

The sums are s = sum(x) and q = sum(x**2). With n * root**2 = q - s**2 / n some of their digits
cancel; where more than 30 binary ones do, all elements lie so close to each other that x - p is
exact, with the mean for p, and the sums are taken again of that.

The sums of |x| and the maximum, which no framework offers, have no rest.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from normscope.kernels.contract import (
    DDOF,
    EPS,
    EPS_OUTSIDE,
    FLOOR,
    MEASURE,
    UNIT_UP_TO,
    Arrays,
    Place,
)
from normscope.kernels.formula import LARGE, SMALL, becomes_one
from normscope.kernels.forward.nest import ahead
from normscope.kernels.forward.partial_statistics import PartialStatistics
from normscope.kernels.forward.runs import element
from normscope.kernels.machine.compiling import exact, part
from normscope.kernels.machine.double_double import (
    over,
    pair,
    plus,
    square_root,
    times,
    two_product,
    two_sum,
)
from normscope.kernels.machine.instructions import use_widest_vectors
from normscope.kernels.machine.memory import counts, keep, recall, scratch
from normscope.kernels.measures import (
    is_around_mean,
    is_largest,
    is_square,
    is_sum_of_sizes,
    is_sum_of_squares,
    larger,
)

LANES = 16
"""Sums of a run that are taken side by side; each is four numbers, at distances of LANES."""
SUMS = 4 * LANES

CANCELLED = 2.0**-30
"""What of q may be left as n * root**2: of the 106 digits of a pair 76 remain."""


@exact
def add(sums: int, place: int, step: int, d: float) -> None:
    """Add an element to the four numbers of a sum; rests may grow beyond half an ulp.

    The numbers of other sums lie beside each of them: they are `step` apart.
    """
    s, s_rest = recall(sums, place), recall(sums, place + step)
    q, q_rest = recall(sums, place + 2 * step), recall(sums, place + 3 * step)
    s, lost = two_sum(s, d)
    square, cut = two_product(d, d)
    q, lost_too = two_sum(q, square)
    keep(sums, place, s)
    keep(sums, place + step, s_rest + lost)
    keep(sums, place + 2 * step, q)
    keep(sums, place + 3 * step, q_rest + (lost_too + cut))


@part
def lanes_for(sets: int, double_double: Any) -> Any:
    """Scratch memory for the lanes of some sets of float64 input; None for any other input."""
    if double_double is None:
        return None
    return scratch(sets * SUMS)


@part
def clear(lanes: int) -> None:
    """Set all sums to 0."""
    use_widest_vectors()
    for place in range(SUMS):
        keep(lanes, place, 0.0)


@part
def add_run(
    arrays: Arrays, at: Place, step: Place | None, n: int, unit: float, pivot: float, lanes: int
) -> None:
    """Add a run to the sums."""
    use_widest_vectors()
    for start in range(0, n - LANES + 1, LANES):
        for lane in range(LANES):  # of a length that is known, so it stays in registers
            e = start + lane
            d = element(arrays, at, step, e) * unit - pivot
            add(lanes, lane, LANES, d)
    for lane in range(n % LANES):
        e = n - n % LANES + lane
        d = element(arrays, at, step, e) * unit - pivot
        add(lanes, lane, LANES, d)


@part
def add_masked_run(
    arrays: Arrays, at: Place, step: Place | None, n: int, unit: float, pivot: float, lanes: int
) -> Any:
    """Add the elements of a run that the mask counts; how many they are."""
    use_widest_vectors()
    count = 0
    for e in range(n):
        if counts(arrays.mask, ahead(at, step, e).mask):
            d = element(arrays, at, step, e) * unit - pivot
            add(lanes, count % LANES, LANES, d)
            count += 1
    return float(count)


@exact
def _halve(lanes: int, first: int, half: int) -> None:
    """Add the second half of the lanes of one of the sums to the first."""
    use_widest_vectors()
    for lane in range(first, first + half):
        s, lost = two_sum(recall(lanes, lane), recall(lanes, lane + half))
        rest = recall(lanes, lane + LANES) + recall(lanes, lane + LANES + half)
        keep(lanes, lane, s)
        keep(lanes, lane + LANES, rest + lost)


@part
def total(lanes: int) -> Any:
    """S, its rest, q and its rest: the lanes together."""
    totals(lanes, 1)
    s, s_rest = pair(recall(lanes, 0), recall(lanes, LANES))
    q, q_rest = pair(recall(lanes, 2 * LANES), recall(lanes, 3 * LANES))
    return s, s_rest, q, q_rest


@part
def totals(lanes: int, sets: int) -> None:
    """Add the lanes of each set into its first lane; `SUMS` numbers of each lie together.

    Each step waits for the one before: those of other sets are taken meanwhile.
    """
    for k in range(sets):
        _halve_both(lanes + 8 * SUMS * k, 8)  # numbers that are known: no loop is left
    for k in range(sets):
        _halve_both(lanes + 8 * SUMS * k, 4)
    for k in range(sets):
        _halve_both(lanes + 8 * SUMS * k, 2)
    for k in range(sets):
        _halve_both(lanes + 8 * SUMS * k, 1)


@part
def _halve_both(lanes: int, half: int) -> None:
    _halve(lanes, 0, half)
    _halve(lanes, 2 * LANES, half)


@exact
def around_mean(n: float, s: float, s_rest: float, q: float, q_rest: float) -> Any:
    """Q - s**2 / n."""
    mean, mean_rest = over(s, s_rest, n, 0.0)
    p, p_rest = times(s, s_rest, mean, mean_rest)
    left, rest = plus(q, q_rest, -p, -p_rest)
    negative = left < 0.0
    return 0.0 if negative else left, 0.0 if negative else rest


@part
def again(
    n: float, s: float, s_rest: float, q: float, q_rest: float, unit: float, pivot: float,
    measure: float,
) -> Any:  # fmt: skip
    """The unit and the pivot in which the sums are good; others than those given: sum again."""
    if n == 0.0:
        return unit, pivot
    if unit == 1.0 and pivot == 0.0:
        if not q <= 1e200:
            return SMALL, 0.0
        if q < 1e-250:
            return LARGE, 0.0
    if is_around_mean(measure) and pivot == 0.0:
        left, _ = around_mean(n, s, s_rest, q, q_rest)
        if left < q * CANCELLED:
            return unit, s / n
    return unit, pivot


@exact
def mean_and_root(
    n: float, s: float, s_rest: float, q: float, q_rest: float, unit: float, pivot: float,
    measure: float,
) -> Any:  # fmt: skip
    """The statistics of a part without its count, from its sums."""
    if n == 0.0:
        return 0.0, 0.0, 0.0, 0.0
    if is_around_mean(measure):
        q, q_rest = around_mean(n, s, s_rest, q, q_rest)
    if is_square(measure):
        q, q_rest = root_of_mean(n, q, q_rest)
    mean, rest = over(s, s_rest, n, 0.0)
    mean, rest = plus(mean, rest, pivot, 0.0)
    if unit != 1.0:
        return mean / unit, q / unit, rest / unit, q_rest / unit
    return mean, q, rest, q_rest


@exact
def root_of_mean(n: float, q: float, q_rest: float) -> Any:
    """sqrt(q / n)."""
    q, q_rest = over(q, q_rest, n, 0.0)
    return square_root(q, q_rest)


@exact
def ordinary_statistics(
    n: float, s: float, s_rest: float, q: float, q_rest: float, measure: float
) -> Any:
    """The statistics of a part with sums of squares, in code that vectorizes; whether it is valid.

    They are not where sums have to be taken again, or where numbers near the ends of the range.
    """
    left, left_rest = q, q_rest
    if is_around_mean(measure):
        left, left_rest = around_mean(n, s, s_rest, q, q_rest)
    root, root_rest = root_of_mean(n, left, left_rest)
    mean, mean_rest = over(s, s_rest, n, 0.0)
    mean, mean_rest = plus(mean, mean_rest, 0.0, 0.0)  # the pivot: no zero is negative
    valid = (q <= 1e200) & (q >= 1e-250) & (left >= q * CANCELLED)
    return mean, root, mean_rest, root_rest, valid & (root >= 1e-140) & (root <= 1e140)


@part
def _unit(size: float) -> float:
    """A power of two, by which squares of numbers of this size neither overflow nor vanish."""
    if size > 1e140:
        return SMALL
    return LARGE if size < 1e-140 else 1.0


@exact
def merge(one: PartialStatistics, other: PartialStatistics, measure: float) -> PartialStatistics:
    """The statistics of two parts together."""
    if other.n == 0.0:
        return one
    if one.n == 0.0:
        return other
    n, mean, root, mean_rest, root_rest = one
    n2, mean2, root2, mean2_rest, root2_rest = other
    both = n + n2
    apart, apart_rest = plus(mean2, mean2_rest, -mean, -mean_rest)
    share, share_rest = over(n2, 0.0, both, 0.0)
    step, step_rest = times(apart, apart_rest, share, share_rest)
    if apart - apart == 0.0:
        mean, mean_rest = plus(mean, mean_rest, step, step_rest)
    else:
        mean, mean_rest = mean + mean2, 0.0
    if is_largest(measure):
        root = larger(root, root2)
    elif is_sum_of_sizes(measure):
        root, root_rest = plus(root, root_rest, root2, root2_rest)
    else:
        unit = _unit(max(root, root2, abs(apart)))
        q, q_rest = _square(n, root * unit, root_rest * unit)
        q2, q2_rest = _square(n2, root2 * unit, root2_rest * unit)
        q, q_rest = plus(q, q_rest, q2, q2_rest)
        if is_around_mean(measure):
            share, share_rest = times(share, share_rest, n, 0.0)
            q2, q2_rest = _square(1.0, apart * unit, apart_rest * unit)
            q2, q2_rest = times(q2, q2_rest, share, share_rest)
            q, q_rest = plus(q, q_rest, q2, q2_rest)
        q, q_rest = over(q, q_rest, both, 0.0)
        q, q_rest = square_root(q, q_rest)
        root, root_rest = q / unit, q_rest / unit
    return PartialStatistics(both, mean, root, mean_rest, root_rest)


@exact
def _square(n: float, a: float, rest: float) -> Any:
    """N times the square of a pair."""
    q, q_rest = times(a, rest, a, rest)
    if n == 1.0:
        return q, q_rest
    return times(q, q_rest, n, 0.0)


@exact
def share_of(n: float, formula: Any) -> Any:
    """What root**2 is multiplied by."""
    if is_sum_of_squares(formula[MEASURE]):
        return n, 0.0
    if formula[DDOF] != 0.0 and n > 0.0:
        if n <= formula[DDOF]:
            return np.nan, 0.0
        return over(n, 0.0, n - formula[DDOF], 0.0)
    return 1.0, 0.0


@exact
def root_of_sum(root: float, root_rest: float, share: float, share_rest: float, eps: float) -> Any:
    """V = share * root**2, and sqrt(v + eps) with its rest."""
    q, q_rest = _square(1.0, root, root_rest)
    if share != 1.0:
        q, q_rest = times(q, q_rest, share, share_rest)
    v = q
    q, q_rest = plus(q, q_rest, eps, 0.0)
    d, d_rest = square_root(q, q_rest)
    return v, d, d_rest


@exact
def bounded(d: float, d_rest: float, outside: float, floor: float, unit_up_to: float) -> Any:
    """max(d + eps_outside, floor), or 1 in its place."""
    if outside != 0.0:
        d, d_rest = plus(d, d_rest, outside, 0.0)
    if d < floor:
        d, d_rest = floor, 0.0
    if becomes_one(d, unit_up_to):
        d, d_rest = 1.0, 0.0
    return d, d_rest


@exact
def variance_and_divisor(partial: PartialStatistics, formula: Any) -> Any:
    """V, D and the rest of D; see `normscope.kernels.formula`."""
    share, share_rest = share_of(partial.n, formula)
    root, root_rest = partial.root, partial.root_rest
    eps, unit = formula[EPS], _unit(root)
    if unit == SMALL or (unit == LARGE and eps < 1e-280):  # else it is nothing beside eps
        root, root_rest, eps = root * unit, root_rest * unit, eps * unit * unit
    else:
        unit = 1.0
    v, d, d_rest = root_of_sum(root, root_rest, share, share_rest, eps)
    if unit != 1.0:
        v, d, d_rest = v / unit / unit, d / unit, d_rest / unit
    d, d_rest = bounded(d, d_rest, formula[EPS_OUTSIDE], formula[FLOOR], formula[UNIT_UP_TO])
    return v, d, d_rest


@exact
def ordinary_divisor(
    root: float, root_rest: float, share: float, share_rest: float, eps: float, outside: float,
    floor: float, unit_up_to: float,
) -> Any:  # fmt: skip
    """V, D, 1 / D and its rest, after `ordinary_statistics`; whether they are valid."""
    v, d, d_rest = root_of_sum(root, root_rest, share, share_rest, eps)
    d, d_rest = bounded(d, d_rest, outside, floor, unit_up_to)
    rstd, rstd_rest = inverse(d, d_rest)
    return v, d, rstd, rstd_rest, (d >= 1e-150) & (d <= 1e150)


@exact
def inverse(d: float, d_rest: float) -> Any:
    """1 / D."""
    return over(1.0, 0.0, d, d_rest)

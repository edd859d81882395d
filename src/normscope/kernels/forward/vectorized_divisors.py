"""Means and divisors of many statistics sets at once, in loops without branches, which vectorize.

They are those of `mean_and_root`, `merge` and `variance_and_divisor`, bit for bit, for the
variance, the mean square and L2, of sets that have equally many elements whose squares stay in the
range of float64: any input but float64 itself. Integers that count nothing are addresses of float64
memory.
"""

from __future__ import annotations

import math
from typing import Any

from normscope.kernels.contract import CENTER, DDOF, EPS, EPS_OUTSIDE, FLOOR, MEASURE, UNIT_UP_TO
from normscope.kernels.formula import becomes_one, inverse
from normscope.kernels.forward.partial_statistics import merged_mean
from normscope.kernels.machine.compiling import exact
from normscope.kernels.machine.instructions import use_widest_vectors
from normscope.kernels.machine.memory import keep, recall
from normscope.kernels.measures import is_around_mean, is_sum_of_squares


@exact
def means_and_roots(
    sets: int, n: float, sums: int, squares: int, pivots: int, means: int, roots: int,
    measure: float,
) -> None:  # fmt: skip
    """Mean and root of each set from its shifted sums."""
    use_widest_vectors()
    for k in range(sets):
        s = recall(sums, k)
        away = s / n
        around_mean = s * away if is_around_mean(measure) else 0.0  # not 0 * inf
        left = recall(squares, k) - around_mean
        left = 0.0 if left < 0.0 else left
        keep(means, k, recall(pivots, k) + away)
        keep(roots, k, math.sqrt(left / n))


@exact
def merge_all(
    sets: int, n: float, means: int, roots: int, n2: float, means2: int, roots2: int,
    measure: float,
) -> None:  # fmt: skip
    """Merge parts of n2 elements into parts of n elements."""
    use_widest_vectors()
    one, two = n / (n + n2), n2 / (n + n2)
    weight = one * two if is_around_mean(measure) else 0.0
    for k in range(sets):
        mean, root, root2 = recall(means, k), recall(roots, k), recall(roots2, k)
        apart = recall(means2, k) - mean
        spread = weight * (apart * apart) if weight > 0.0 else 0.0
        squares = one * (root * root) + two * (root2 * root2) + spread
        keep(means, k, merged_mean(mean, recall(means2, k), two))
        keep(roots, k, math.sqrt(squares))


@exact
def centres_and_rstds(
    sets: int, n: float, means: int, roots: int, centres: int, rstds: int, formula: Any
) -> None:
    """What is subtracted from the elements of each set, and what they are multiplied by."""
    use_widest_vectors()
    share = 1.0
    if is_sum_of_squares(formula[MEASURE]):
        share = n
    elif formula[DDOF] != 0.0:
        share = n / max(n - formula[DDOF], 0.0)
    center, eps, outside, floor, unit_up_to = (
        formula[CENTER], formula[EPS], formula[EPS_OUTSIDE], formula[FLOOR], formula[UNIT_UP_TO],
    )  # fmt: skip
    for k in range(sets):
        root = recall(roots, k)
        d = math.sqrt(root * root * share + eps) + outside
        d = floor if d < floor else d
        d = 1.0 if becomes_one(d, unit_up_to) else d
        keep(centres, k, recall(means, k) if center != 0.0 else 0.0)
        keep(rstds, k, inverse(d))

"""What is known of a statistics set, or of a part of it: count, mean and root.

root is sqrt(sum((x - mean)**2) / n) for the variance, sqrt(sum(x**2) / n) for mean square and L2,
sum(|x|) for L1, max(|x|) for the maximum: numbers that do not overflow where their squares would.

Parts come from *shifted sums*: with a pivot p from the part itself,

    s = sum(x - p)    q = sum((x - p)**2)    mean = p + s / n    n * root**2 = q - s**2 / n

The last difference cancels at most by the factor q / (n * root**2), which for a pivot out of the
part is below n; in float64 that leaves a float32 result untouched. Parts are merged by the formula
of Chan, Golub and LeVeque (1979). For float64 input all this is done in `float64_statistics`.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

from normscope.kernels.contract import (
    COUNT,
    DIVISOR,
    MEAN,
    PARTIAL_COUNT,
    PARTIAL_MEAN,
    PARTIAL_MEAN_REST,
    PARTIAL_ROOT,
    PARTIAL_ROOT_REST,
    PARTIAL_ROWS_WITH_RESTS,
    VAR,
)
from normscope.kernels.machine.compiling import exact, part
from normscope.kernels.measures import is_around_mean, is_square, together


class PartialStatistics(NamedTuple):
    """How many elements of a set were counted, their mean and root, and the rests of these.

    A rest is what float64 cannot hold of a number; only float64 input has any.
    """

    n: float
    mean: float
    root: float
    mean_rest: float
    root_rest: float


class Scaling(NamedTuple):
    """What the elements of a set become: (x * unit - centre) * factor.

    The rests are what float64 cannot hold of centre and factor; only float64 input has them, and
    another unit than 1.
    """

    unit: float
    centre: float
    centre_rest: float
    factor: float
    factor_rest: float


@part
def nothing() -> PartialStatistics:
    """The statistics of a part without elements."""
    return PartialStatistics(0.0, 0.0, 0.0, 0.0, 0.0)


@exact
def mean_and_root(n: float, s: float, q: float, pivot: float, measure: float) -> Any:
    """Mean and root of a part from its shifted sums."""
    if n == 0.0:
        return 0.0, 0.0
    away = s / n
    root = q
    if is_around_mean(measure):
        root = q - s * away
        if root < 0.0:
            root = 0.0
    if is_square(measure):
        root = math.sqrt(root / n)
    return pivot + away, root


@part
def pivot_at(x: float) -> float:
    """The element, for a pivot; 0 in the place of an infinity or NaN, of which no sum can start."""
    return x if x - x == 0.0 else 0.0


@exact
def merged_mean(mean: float, other: float, share: float) -> float:
    """The mean of two parts, the other of which has this share; infinite if one of them is."""
    apart = other - mean
    return mean + apart * share if apart - apart == 0.0 else mean + other


@exact
def merge(one: PartialStatistics, other: PartialStatistics, measure: float) -> PartialStatistics:
    """The statistics of two parts together."""
    if other.n == 0.0:
        return one
    if one.n == 0.0:
        return other
    root, root2 = one.root, other.root
    total = one.n + other.n
    apart = other.mean - one.mean
    mean = merged_mean(one.mean, other.mean, other.n / total)
    if not is_square(measure):
        root = together(root, root2, measure)
    else:
        share, share2 = one.n / total, other.n / total
        weight = share * share2 if is_around_mean(measure) else 0.0
        spread = weight * (apart * apart) if weight > 0.0 else 0.0
        squares = share * (root * root) + share2 * (root2 * root2) + spread
        if not (squares <= 1e-280 or squares >= 1e280):  # NaN is to stay
            root = math.sqrt(squares)
        else:
            root = math.hypot(math.sqrt(share) * root, math.sqrt(share2) * root2)
            if weight > 0.0:
                root = math.hypot(root, math.sqrt(weight) * apart)
    return PartialStatistics(total, mean, root, 0.0, 0.0)


@part
def read_partial(partials: Any, i: int) -> PartialStatistics:
    """Column `i` of an array of partial statistics, with rests or without."""
    mean_rest, root_rest = 0.0, 0.0
    if partials.shape[0] == PARTIAL_ROWS_WITH_RESTS:
        mean_rest, root_rest = partials[PARTIAL_MEAN_REST, i], partials[PARTIAL_ROOT_REST, i]
    n, mean, root = partials[PARTIAL_COUNT, i], partials[PARTIAL_MEAN, i], partials[PARTIAL_ROOT, i]
    return PartialStatistics(n, mean, root, mean_rest, root_rest)


@part
def write_partial(partials: Any, i: int, partial: PartialStatistics) -> None:
    """Set column `i` of an array of partial statistics, with rests or without."""
    partials[PARTIAL_COUNT, i] = partial.n
    partials[PARTIAL_MEAN, i], partials[PARTIAL_ROOT, i] = partial.mean, partial.root
    if partials.shape[0] == PARTIAL_ROWS_WITH_RESTS:
        partials[PARTIAL_MEAN_REST, i] = partial.mean_rest
        partials[PARTIAL_ROOT_REST, i] = partial.root_rest


@part
def write_statistics(
    statistics: Any, i: int, count: float, mean: float, v: float, d: float
) -> None:
    """Set column `i` of an array of statistics, if it has any."""
    if statistics.shape[1] > 0:
        statistics[COUNT, i], statistics[MEAN, i] = count, mean
        statistics[VAR, i], statistics[DIVISOR, i] = v, d

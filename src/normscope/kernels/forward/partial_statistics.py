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

from normscope.kernels.formula import L1, MAX, VARIANCE
from normscope.kernels.machine.compiling import exact, part


class State(NamedTuple):
    """How many elements were counted, their mean and root, and what float64 cannot hold of these.

    Only float64 input has those rests.
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
def nothing() -> State:
    """The state of a part without elements."""
    return State(0.0, 0.0, 0.0, 0.0, 0.0)


@exact
def mean_and_root(n: float, s: float, q: float, pivot: float, measure: float) -> Any:
    """Mean and root of a part from its shifted sums."""
    if n == 0.0:
        return 0.0, 0.0
    away = s / n
    root = q
    if measure == VARIANCE:
        root = q - s * away
        if root < 0.0:
            root = 0.0
    if measure < L1:
        root = math.sqrt(root / n)
    return pivot + away, root


@part
def pivot_at(x: float) -> float:
    """The element, for a pivot; 0 in the place of an infinity or NaN, of which no sum can start."""
    return x if x - x == 0.0 else 0.0


@part
def larger(a: float, b: float) -> float:
    """The larger of two numbers; NaN if one is."""
    return a if a != a or b <= a else b


@exact
def merged_mean(mean: float, other: float, share: float) -> float:
    """The mean of two parts, the other of which has this share; infinite if one of them is."""
    apart = other - mean
    return mean + apart * share if apart - apart == 0.0 else mean + other


@exact
def merge(one: State, other: State, measure: float) -> State:
    """The state of two parts together."""
    if other.n == 0.0:
        return one
    if one.n == 0.0:
        return other
    root, root2 = one.root, other.root
    total = one.n + other.n
    apart = other.mean - one.mean
    mean = merged_mean(one.mean, other.mean, other.n / total)
    if measure == MAX:
        root = larger(root, root2)
    elif measure == L1:
        root += root2
    else:
        share, share2 = one.n / total, other.n / total
        weight = share * share2 if measure == VARIANCE else 0.0
        spread = weight * (apart * apart) if weight > 0.0 else 0.0
        squares = share * (root * root) + share2 * (root2 * root2) + spread
        if not (squares <= 1e-280 or squares >= 1e280):  # NaN is to stay
            root = math.sqrt(squares)
        else:
            root = math.hypot(math.sqrt(share) * root, math.sqrt(share2) * root2)
            if weight > 0.0:
                root = math.hypot(root, math.sqrt(weight) * apart)
    return State(total, mean, root, 0.0, 0.0)


@part
def read_state(states: Any, i: int) -> State:
    """Column `i` of an array of states, which has 5 rows, or 3 without rests."""
    mean_rest, root_rest = 0.0, 0.0
    if states.shape[0] == 5:
        mean_rest, root_rest = states[3, i], states[4, i]
    return State(states[0, i], states[1, i], states[2, i], mean_rest, root_rest)


@part
def write_state(states: Any, i: int, state: State) -> None:
    """Set column `i` of an array of states."""
    states[0, i], states[1, i], states[2, i] = state.n, state.mean, state.root
    if states.shape[0] == 5:
        states[3, i], states[4, i] = state.mean_rest, state.root_rest


@part
def write_statistics(
    statistics: Any, i: int, count: float, mean: float, v: float, d: float
) -> None:
    """Set column `i` of an array of statistics, if it has any."""
    if statistics.shape[1] > 0:
        statistics[0, i], statistics[1, i], statistics[2, i], statistics[3, i] = count, mean, v, d

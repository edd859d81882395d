"""What is known of a statistics set, or of a part of it: (count, mean, root).

root is sqrt(sum((x - mean)**2) / n) for the variance, sqrt(sum(x**2) / n) for mean square and L2,
sum(|x|) for L1, max(|x|) for the maximum: numbers that do not overflow where their squares would.

Parts come from *shifted sums*: with a pivot p from the part itself,

    s = sum(x - p)    q = sum((x - p)**2)    mean = p + s / n    n * root**2 = q - s**2 / n

The last difference cancels at most by the factor q / (n * root**2), which for a pivot out of the
part is below n; in float64 that leaves a float32 result untouched. For float64 input the sums are
taken again around the mean where the factor is large. Parts are merged by the formula of Chan,
Golub and LeVeque (1979).
"""

from __future__ import annotations

import math
from typing import Any

from normscope.kernels.flags import exact, part
from normscope.kernels.formula import L1, LARGE, MAX, SMALL, VARIANCE


@part
def again(n: float, s: float, q: float, pivot: float, measure: float) -> Any:
    """The unit in which the sums must be taken again, 0.0 where they are good as they are."""
    if not q <= 1e200:
        return SMALL
    if q < 1e-280 and abs(pivot) < 1e30:
        return LARGE
    if measure == VARIANCE and q > 8.0 * (q - s * s / n):
        return 1.0
    return 0.0


@exact
def mean_and_root(n: float, s: float, q: float, pivot: float, unit: float, measure: float) -> Any:
    """Mean and root of a part from its shifted sums, which were taken in `unit`."""
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
    mean = pivot + away
    if unit != 1.0:
        mean /= unit
        root /= unit
    return mean, root


@exact
def merge(
    n: float, mean: float, root: float, n2: float, mean2: float, root2: float, measure: float
) -> Any:
    """The state of two parts together."""
    if n2 == 0.0:
        return n, mean, root
    if n == 0.0:
        return n2, mean2, root2
    total = n + n2
    apart = mean2 - mean
    mean += apart * (n2 / total)
    if measure == MAX:
        if not root2 <= root:
            root = root2 if root == root else root
    elif measure == L1:
        root += root2
    else:
        one, two = n / total, n2 / total
        weight = one * two if measure == VARIANCE else 0.0
        spread = weight * (apart * apart) if weight > 0.0 else 0.0
        squares = one * (root * root) + two * (root2 * root2) + spread
        if 1e-280 < squares < 1e280:
            root = math.sqrt(squares)
        else:
            root = math.hypot(math.sqrt(one) * root, math.sqrt(two) * root2)
            if weight > 0.0:
                root = math.hypot(root, math.sqrt(weight) * apart)
    return total, mean, root

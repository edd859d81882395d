"""What is known of a statistics set, or of a part of it: (count, mean, root).

root is sqrt(sum((x - mean)**2) / n) for the variance, sqrt(sum(x**2) / n) for mean square and L2,
sum(|x|) for L1, max(|x|) for the maximum: numbers that do not overflow where their squares would.

Parts come from *shifted sums*: with a pivot p from the part itself,

    s = sum(x - p)    q = sum((x - p)**2)    mean = p + s / n    n * root**2 = q - s**2 / n

The last difference cancels at most by the factor q / (n * root**2), which for a pivot out of the
part is below n; in float64 that leaves a float32 result untouched. Parts are merged by the formula
of Chan, Golub and LeVeque (1979). For float64 input all this is done in `normscope.kernels.wide`.
"""

from __future__ import annotations

import math
from typing import Any

from normscope.kernels.flags import exact
from normscope.kernels.formula import L1, MAX, VARIANCE


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

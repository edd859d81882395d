"""The derivative of a normalization, from the sums of one statistics set.

With g = dy * (scale + shift), y = (x - m) / D * (scale + shift) + bias and the sums

    A = sum(g)    B = sum(g * (x - m))    C = sum of (x - m) over the n elements that count

the gradient of an element that counts is

    dx = g / D - A / (n D) - k * (x - p)            k = B / (D**2 * w * (n - ddof))

where w = sqrt(v + eps), p is the mean for the variance and 0 for other measures. The second term is
there if the mean is subtracted, the third unless the floor is the divisor; for L2, k lacks the
n - ddof, and for L1 the third term is B * sum(|x|) / (D**2 * w) * sign(x). An element that the mask
leaves out has only the first term.
"""

from __future__ import annotations

import math
from typing import Any

from normscope.kernels.flags import part
from normscope.kernels.formula import (
    CENTER,
    DDOF,
    EPS,
    EPS_OUTSIDE,
    FLOOR,
    L1,
    L2,
    MEASURE,
    VARIANCE,
)

A, B, C, COUNT, PLAIN, ALONG = range(6)
"""Rows of an array of sums; the last two are A and B without the factor scale + shift."""
SUMS = 6


@part
def coefficients(
    a: float, b: float, c: float, n: float, mean: float, rstd: float, formula: Any
) -> Any:
    """Shift, k and p: dx = g * rstd - shift - k * (x - p)."""
    shift = 0.0
    k = 0.0
    p = 0.0
    if n == 0.0:
        return shift, k, p
    if formula[CENTER] != 0.0:
        shift = a * rstd / n
    measure = formula[MEASURE]
    if measure == VARIANCE:
        p = mean + c / n
    d = 1.0 / rstd
    w = d - formula[EPS_OUTSIDE]
    if d > formula[FLOOR] and w > 0.0:
        k = b * rstd * rstd / w
        if measure == L1:
            k *= math.sqrt(max(w * w - formula[EPS], 0.0))
        elif measure != L2:
            k /= max(n - formula[DDOF], 0.0)
    return shift, k, p

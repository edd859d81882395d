"""The exact result of a normalization of float64 numbers, by whole numbers of any size.

A float64 is a whole number times a power of two. With k the numbers x in units of 2**low,

    d = n * k - sum(k)        v = sum(d**2) / n**3        y = d / n / sqrt(v + eps / 4**low)

where all but the last division and the root are exact, and these are taken to 250 bits.
"""

from __future__ import annotations

from fractions import Fraction
from math import isqrt
from typing import NamedTuple

import numpy as np

BITS = 250

LEAST = 1e-301
"""An ulp is not taken to be smaller than that of this number.

The mean of denormal numbers is off by up to half of the smallest of them, and the result by that
divided by sqrt(eps): with eps = 1e-5, by 158 smallest numbers, or 1e-4 ulp of 1e-301.
"""

BESIDE = 2.0**-37
"""Nor than that of this share of mean / D.

A mean that is held with twice the digits of float64 is off by 2**-107 of itself; elements so near
to it that this shows, by more than 2**-17 of an ulp, are few.
"""


def whole(x: np.ndarray) -> tuple[np.ndarray, int]:
    """Whole numbers k and an exponent with x = k * 2**low."""
    mantissas, exponents = np.frexp(x)
    exponents = np.where(x == 0, 0, exponents.astype(np.int64) - 53)
    low = int(exponents[x != 0].min(initial=2000))
    pairs = zip((mantissas * 2.0**53).astype(np.int64), exponents, strict=True)
    return np.array([int(m) << max(int(e) - low, 0) for m, e in pairs], object), low


class Exact(NamedTuple):
    """The exact result for the numbers of one statistics set.

    Attributes:
        near: the nearest float64 numbers.
        rest: what they lack.
        least: no ulp counts as smaller than that of this number.
    """

    near: np.ndarray
    rest: np.ndarray
    least: float


def normalized(x: np.ndarray, eps: float, center: bool) -> Exact:
    """Normalize exactly."""
    k, low = whole(x)
    mean = sum(k) if center else 0
    d = k * len(k) - mean
    squared = Fraction(sum(d * d), len(k)) + Fraction(eps) * len(k) ** 2 / Fraction(4) ** low
    # y = d / sqrt(squared), with 2**shift / sqrt(squared) as a whole number of at least BITS
    shift = max(0, squared.numerator.bit_length() - squared.denominator.bit_length()) // 2 + BITS
    factor = isqrt((squared.denominator << 2 * shift) // squared.numerator)
    near = np.array([int(a) * factor / (1 << shift) for a in d])
    rests = []
    for a, y in zip(d, near, strict=True):
        numerator, denominator = float(y).as_integer_ratio()
        rests.append((a * factor * denominator - (numerator << shift)) / (denominator << shift))
    beside = min(abs(int(mean)) * factor >> shift, 10**300)  # mean / D
    return Exact(near, np.array(rests), max(LEAST, BESIDE * beside))


def ulps(y: np.ndarray, wanted: Exact) -> float:
    """The largest error of y in ulps of the exact result; infinite where y is NaN."""
    with np.errstate(all="ignore"):
        error = np.abs((y - wanted.near) - wanted.rest)
        error /= np.spacing(np.maximum(np.abs(wanted.near), wanted.least))
    return float(np.where(np.isnan(error), np.inf, error).max())

"""The divisor, from the numbers of the formula.

    D = max(sqrt(v + eps) + eps_outside, floor), but 1 where that is at most `UNIT_UP_TO`

`v` is root**2 * n / (n - ddof) for variance and mean square, root**2 * n for L2, root**2 for L1
and the maximum, with the root of `normscope.kernels.forward.partial_statistics`. An array whose
values lie near the ends of the range of float64 is divided by a *unit*, a power of two, so that no
square overflows; elsewhere the unit is 1.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from normscope.kernels.contract import DDOF, EPS, EPS_OUTSIDE, FLOOR, MEASURE, UNIT_UP_TO
from normscope.kernels.machine.compiling import exact, part
from normscope.kernels.measures import is_sum_of_squares

LARGE, SMALL = 2.0**900, 2.0**-600

LEAST = 1e-300
"""By less than this no input but float64 needs to be divided: the output overflows as well."""


@exact
def variance_and_divisor(n: float, root: float, formula: Any) -> Any:
    """V and D, from the count and the root of a statistics set."""
    share = 1.0
    if is_sum_of_squares(formula[MEASURE]):
        share = n
    elif formula[DDOF] != 0.0:
        share = n / (n - formula[DDOF]) if n > formula[DDOF] else (np.nan if n > 0.0 else 1.0)
    v = root * root * share
    eps = formula[EPS]
    d = math.sqrt(v + eps)
    if not (d < 1e150 and (v > 1e-290 or eps > 1e-290)):
        d = math.hypot(root * math.sqrt(share), math.sqrt(eps))  # the square under- or overflows
    d += formula[EPS_OUTSIDE]
    if d < formula[FLOOR]:
        d = formula[FLOOR]
    return v, 1.0 if becomes_one(d, formula[UNIT_UP_TO]) else d


@part
def becomes_one(d: float, unit_up_to: float) -> Any:
    """Whether 1 stands in the place of a divisor; NaN stays, except where nothing is divided."""
    return (d <= unit_up_to) | (unit_up_to == np.inf)


@part
def inverse(d: float) -> float:
    """1 / D, finite unless D is 0: what is 0 apart from its mean stays 0."""
    return 1.0 / (LEAST if 0.0 < d < LEAST else d)


@part
def unit_of(d: float, mean: float) -> Any:
    """The unit in which deviations of size `d` around `mean` neither overflow nor vanish."""
    if d > 1e150:
        return SMALL
    if d < 1e-150 and abs(mean) < 1e30:
        return LARGE
    return 1.0

"""What the output of a statistics set needs, from its mean and divisor.

`double_double`: see `normscope.kernels.machine.memory.double_double_for`.
"""

from __future__ import annotations

from typing import Any

from normscope.kernels.contract import CENTER, COUNT, DIVISOR, DIVISOR_REST, MEAN, MEAN_REST, ROWS
from normscope.kernels.formula import LEAST, inverse, unit_of, variance_and_divisor
from normscope.kernels.forward import float64_statistics
from normscope.kernels.forward.partial_statistics import PartialStatistics, Scaling
from normscope.kernels.machine.compiling import part


@part
def divisor_of(partial: PartialStatistics, formula: Any, double_double: Any) -> Any:
    """V, D and the rest of D, of a set with these statistics."""
    if double_double is None:
        v, d = variance_and_divisor(partial.n, partial.root, formula)
        return v, d, 0.0
    return float64_statistics.variance_and_divisor(partial, formula)


@part
def scaling_of(
    mean: float, mean_rest: float, d: float, d_rest: float, formula: Any, double_double: Any
) -> Scaling:
    """What the output needs of a set with this mean and divisor D, and their rests."""
    if formula[CENTER] == 0.0:
        mean, mean_rest = 0.0, 0.0
    if double_double is None:
        return Scaling(1.0, mean, 0.0, inverse(d), 0.0)
    unit = unit_of(d, mean)
    if unit == 1.0 and 0.0 < d < LEAST:
        d, d_rest = LEAST, 0.0
    rstd, rstd_rest = float64_statistics.inverse(d * unit, d_rest * unit)
    return Scaling(unit, mean * unit, mean_rest * unit, rstd, rstd_rest)


@part
def given_count(statistics: Any, i: int) -> Any:
    """How many elements were counted in the set in column `i` of an array of statistics."""
    return statistics[COUNT, i]


@part
def given_scaling(statistics: Any, i: int, formula: Any, double_double: Any) -> Scaling:
    """What the output needs of the set in column `i` of an array of statistics."""
    mean_rest, d_rest = 0.0, 0.0
    if double_double is not None and statistics.shape[0] > ROWS:
        mean_rest, d_rest = statistics[MEAN_REST, i], statistics[DIVISOR_REST, i]
    mean, d = statistics[MEAN, i], statistics[DIVISOR, i]
    return scaling_of(mean, mean_rest, d, d_rest, formula, double_double)

"""What the output of a statistics set needs, from its mean and divisor.

`pairs`: see `normscope.kernels.machine.memory.pairs_for`.
"""

from __future__ import annotations

from typing import Any

from normscope.kernels.formula import CENTER, LEAST, inverse, unit_of, variance_and_divisor
from normscope.kernels.forward import float64_statistics as wide
from normscope.kernels.forward.partial_statistics import Scaling, State
from normscope.kernels.machine.compiling import part


@part
def divisor_of(state: State, formula: Any, pairs: Any) -> Any:
    """V, D and the rest of D, of a set with this state."""
    if pairs is None:
        v, d = variance_and_divisor(state.n, state.root, formula)
        return v, d, 0.0
    return wide.variance_and_divisor(state, formula)


@part
def scaling_of(
    mean: float, mean_rest: float, d: float, d_rest: float, formula: Any, pairs: Any
) -> Scaling:
    """That of a set with this mean and divisor D, and their rests."""
    if formula[CENTER] == 0.0:
        mean, mean_rest = 0.0, 0.0
    if pairs is None:
        return Scaling(1.0, mean, 0.0, inverse(d), 0.0)
    unit = unit_of(d, mean)
    if unit == 1.0 and 0.0 < d < LEAST:
        d, d_rest = LEAST, 0.0
    rstd, rstd_rest = wide.inverse(d * unit, d_rest * unit)
    return Scaling(unit, mean * unit, mean_rest * unit, rstd, rstd_rest)


@part
def given_scaling(statistics: Any, i: int, formula: Any, pairs: Any) -> Scaling:
    """That of column `i` of an array of statistics, which has 4 rows, or 6 with rests."""
    mean_rest, d_rest = 0.0, 0.0
    if pairs is not None and statistics.shape[0] > 4:
        mean_rest, d_rest = statistics[4, i], statistics[5, i]
    return scaling_of(statistics[1, i], mean_rest, statistics[3, i], d_rest, formula, pairs)

"""Statistics from elsewhere, as kernels are given them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from normscope.engine.prepared import unit_up_to
from normscope.kernels.contract import COUNT, DIVISOR, MEAN, ROWS, VAR
from normscope.notation.spec import Measure, NormSpec

Floats = NDArray[np.float64]


def given_statistics(spec: NormSpec, mean: Floats, var: Floats) -> Floats:
    """The rows of statistics of `normscope.kernels.contract`, from a mean and a v for each set."""
    statistics = np.empty((ROWS, len(mean)))
    statistics[COUNT], statistics[MEAN] = 1, mean
    statistics[VAR] = 1 if spec.measure is Measure.NONE else var
    divisor = np.sqrt(statistics[VAR] + spec.eps, out=statistics[DIVISOR])
    if spec.eps_outside:
        divisor += spec.eps_outside
    if spec.floor:
        np.maximum(divisor, spec.floor, out=divisor)
    least = unit_up_to(spec)
    if least >= 0:
        divisor[divisor <= least] = 1
    return statistics

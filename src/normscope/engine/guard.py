"""Which divisors are the 1 of a guard, which has no derivative, and which are 1 by themselves."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from normscope.engine.partial_statistics import partial_statistics_of
from normscope.engine.prepared import formula_of
from normscope.kernels.contract import DIVISOR, ROWS_WITH_RESTS
from normscope.notation.spec import Measure, NormSpec

Floats = NDArray[np.float64]


def has_constants(spec: NormSpec) -> bool:
    """Whether `with_constants_apart` may give other rstds than it is given."""
    return spec.measure is Measure.NONE or 0 < (spec.unit_below or 0.0) <= 1


def with_constants_apart(
    spec: NormSpec, x: NDArray[Any], mask: ArrayLike | None, rstds: Floats
) -> Floats:
    """One over each divisor, exactly 1 only where that is the 1 of a guard.

    A divisor that is 1 by itself, which a guard that acts below 1 leaves alone, has a derivative:
    its rstd is moved to the next number, and so told apart by `source/input_gradient.h`.
    The statistics do not tell which of the two it is; so x is measured once more, but only where
    there is an rstd of 1. A guard against 0 alone needs none of this: see there.

    Args:
        spec: the normalization.
        x, mask: what was normalized, and what of it counted.
        rstds: one for each set, in the shape of the kept axes.

    Returns:
        The rstds; where nothing is divided they are 1, whatever was given.
    """
    if spec.measure is Measure.NONE:
        return np.ones_like(rstds)
    unit_below = spec.unit_below or 0.0
    if not has_constants(spec) or not (rstds == 1).any():
        return rstds
    own = _divisors(replace(spec, unit_below=None), x, mask).reshape(rstds.shape)
    by_itself = (rstds == 1) & (own >= (1 + unit_below) / 2)  # it is 1, or less than unit_below
    return np.where(by_itself, np.nextafter(1.0, 0.0), rstds)


def _divisors(spec: NormSpec, x: NDArray[Any], mask: ArrayLike | None) -> Floats:
    """The divisor of each set."""
    from normscope.engine.merging import find_divisors

    partials = partial_statistics_of(x, spec, mask)
    num_sets = partials.shape[1]
    statistics = np.empty((ROWS_WITH_RESTS, num_sets))
    formula = formula_of(spec, x.dtype)
    find_divisors(partials, np.arange(num_sets), formula, statistics)
    return np.asarray(statistics[DIVISOR])

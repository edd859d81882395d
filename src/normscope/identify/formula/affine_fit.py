"""Fitting output = scale * n(x) + bias, for every way n to normalize.

The scale and the bias are free per element; what they are along which axes is found later.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from normscope.identify.formula.hypotheses import HYPOTHESES, Hypothesis
from normscope.identify.subject.nan_statistics import median
from normscope.identify.subject.precision import PRECISIONS, Precision
from normscope.identify.subject.subject import Floats
from normscope.identify.surroundings.extras import Extras


@dataclass(frozen=True)
class Affine:
    """y = scale * n + bias, fitted for each element: arrays in set form, NaN where not known."""

    scale: Floats
    bias: Floats
    residual: float


@dataclass(frozen=True)
class Fit:
    """The hypothesis that fits, and how much better it is than the next."""

    hypothesis: Hypothesis
    affine: Affine
    runner_up: float


def fit_affine(n: Floats, y: Floats, least: int = 3) -> Affine:
    """Least squares per element over several calls.

    Args:
        n: (calls, sets, elements), the normalized inputs.
        y: (calls, sets, elements), the outputs; NaN where nothing is known.
        least: how many outputs of an element must be known; with 2 there is no residual.
    """
    known = np.isfinite(y) & np.isfinite(n)
    count = known.sum(axis=0)
    with np.errstate(all="ignore"):
        n0, y0 = np.where(known, n, 0.0), np.where(known, y, 0.0)
        mean_n, mean_y = n0.sum(axis=0) / count, y0.sum(axis=0) / count
        dn, dy = np.where(known, n - mean_n, 0.0), np.where(known, y - mean_y, 0.0)
        spread = (dn**2).sum(axis=0)
        scale = (dn * dy).sum(axis=0) / spread
        usable = (count >= least) & (spread > 1e-3 * median(spread))
        scale = np.where(usable, scale, np.nan)
        error = np.where(known & usable, dy - scale * dn, 0.0)
        total = np.where(known & usable, dy, 0.0)
        residual = np.sqrt((error**2).sum() / (total**2).sum())
    enough = usable.mean() > 0.25 and np.isfinite(residual)
    return Affine(scale, mean_y - scale * mean_n, float(residual) if enough else np.inf)


@dataclass(frozen=True)
class FirstFit:
    """A fit on large inputs, what was taken off the outputs for it, and what it was made on.

    Attributes:
        fit: the hypothesis, scale and bias.
        extras: what was taken off.
        x: the inputs, (calls, sets, elements).
        precision: what the mode computes in, by this fit.
        rounded: the precision that the statistics alone are rounded to, if they are.
    """

    fit: Fit
    extras: Extras
    x: Floats
    precision: Precision
    rounded: str | None = None

    @property
    def small_are_coarse(self) -> bool:
        """Whether small statistics may be rounded more than all else: those of float16 near 0."""
        return self.precision.eps == PRECISIONS["float16"] and self.rounded is None


def best_fit(
    x: Floats, y: Floats, tolerance: float, hypotheses: Sequence[Hypothesis] = HYPOTHESES
) -> Fit | None:
    """The one hypothesis that fits, all others clearly worse; None if there is no such.

    Args:
        x, y: inputs and outputs, (calls, sets, elements).
        tolerance: the residual that rounding may leave, as a share of the output's spread.
        hypotheses: those that compete.
    """
    fits = [(fit_affine(h.normalized(x), y), h) for h in hypotheses]
    fits.sort(key=lambda pair: pair[0].residual)
    (best, hypothesis), runner_up = fits[0], fits[1][0].residual if len(fits) > 1 else np.inf
    if best.residual > tolerance or runner_up < 20 * max(best.residual, 1e-7):
        return None
    return Fit(hypothesis, best, runner_up)

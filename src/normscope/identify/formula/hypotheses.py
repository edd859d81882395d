"""Which mean and which measure: fit output = scale * n(x) + bias, for every n that there is.

The fit is made on inputs so large that no epsilon matters, with another mean, spread and skewness
in each statistics set, so that only the true n fits. The scale and the bias are free per element;
what they are along which axes is found later.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from normscope.identify.subject.nan_statistics import median
from normscope.identify.subject.subject import Floats
from normscope.notation.spec import Measure

LARGE = (2e4, 2e5)
"""The spread of large inputs: an epsilon of 0.1 outside the root changes them by 5e-6 at most."""

MODERATE = (20.0, 60.0)
"""For layers that overflow on large inputs, or add the input to what they normalize."""

BELOW_OVERFLOW = (8.0, 25.0)
"""For half precisions: larger squares would overflow in float16."""

SMALL = (0.5, 3.0)
"""For layers that divide by nothing: beside larger outputs a bias would not be seen."""


@dataclass(frozen=True)
class Hypothesis:
    """One way to normalize; `measure` is None for what no `NormSpec` can say."""

    words: str
    center: bool
    measure: Measure | None
    root: Callable[[Floats], Floats]
    """The root of the measure of each set, from arrays in set form (..., sets, elements)."""

    def centred(self, x: Floats) -> Floats:
        """The numerator."""
        return x - np.mean(x, axis=-1, keepdims=True) if self.center else x

    def normalized(self, x: Floats) -> Floats:
        """The numerator over the root of the measure."""
        with np.errstate(divide="ignore", invalid="ignore"):
            return self.centred(x) / self.root(x)


def _deviation(x: Floats) -> Floats:
    return np.asarray(x - np.mean(x, axis=-1, keepdims=True))


def _std(x: Floats) -> Floats:
    return np.asarray(np.std(x, axis=-1, keepdims=True))


def _rms(x: Floats) -> Floats:
    size = np.max(np.abs(x), axis=-1, keepdims=True)  # squares of 1e-200 would vanish
    safe = np.where(size > 0, size, 1)
    root: Floats = safe * np.sqrt(np.mean((x / safe) ** 2, axis=-1, keepdims=True))
    return root


def _sum_abs(x: Floats) -> Floats:
    return np.asarray(np.sum(np.abs(x), axis=-1, keepdims=True))


def _max_abs(x: Floats) -> Floats:
    return np.asarray(np.max(np.abs(x), axis=-1, keepdims=True))


HYPOTHESES = tuple(
    Hypothesis(f"{'(x - mean)' if center else 'x'} / {words}", center, measure, root)
    for center in (True, False)
    for measure, words, root in (
        (Measure.VARIANCE, "standard deviation", _std),
        (Measure.MEAN_SQUARE, "root mean square", _rms),
        (Measure.L1, "sum of absolute values", _sum_abs),
        (Measure.MAX, "largest absolute value", _max_abs),
    )
)
"""What a `NormSpec` can say. An L2 norm is the root mean square times a constant."""

MEAN_ONLY = Hypothesis(
    "x - mean, divided by nothing", True, Measure.NONE, lambda x: np.ones_like(x[..., :1])
)
"""Tried where none of the others fits, on small inputs."""

BEYOND = (
    Hypothesis(
        "(x - mean) / mean absolute deviation", True, None,
        lambda x: np.mean(np.abs(_deviation(x)), axis=-1, keepdims=True),
    ),
    Hypothesis(
        "(x - mean) / largest deviation", True, None, lambda x: _max_abs(_deviation(x))
    ),
    Hypothesis(
        "(x - mean) / (largest - smallest)", True, None,
        lambda x: np.ptp(x, axis=-1)[..., np.newaxis],
    ),
    Hypothesis("(x - mean) / variance, without a root", True, None, lambda x: _std(x) ** 2),
    Hypothesis("x / mean square, without a root", False, None, lambda x: _rms(x) ** 2),
)  # fmt: skip
"""What looks like a normalization and is none that a `NormSpec` could say."""


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


def uneven_inputs(
    rng: np.random.Generator, num_sets: int, set_size: int, spread: tuple[float, float]
) -> Floats:
    """An input in set form whose sets differ in mean, spread, skewness and weight of the tails."""
    size = (num_sets, set_size)
    power = rng.uniform(0.5, 2.0, (num_sets, 1))
    normal = rng.standard_normal(size)
    tails = np.sign(normal) * np.abs(normal) ** power + 0.4 * (normal**2 - 1)
    if set_size > 1:  # two values may lie so close together that their difference is rounding
        tails = _deviation(tails) / _std(tails)
    low, high = np.log(spread).tolist()
    width = np.exp(rng.uniform(low, high, (num_sets, 1)))
    result: Floats = width * (tails + rng.uniform(-2, 2, (num_sets, 1)))
    return result


def fit_affine(n: Floats, y: Floats, least: int = 3) -> Affine:
    """Least squares per element over several calls.

    Args:
        n: (calls, sets, elements), the normalized inputs.
        y: the outputs, likewise; NaN where nothing is known.
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

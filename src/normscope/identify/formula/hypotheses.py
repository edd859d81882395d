"""Which mean and which measure: the ways to normalize, and inputs that tell them apart.

The inputs are so large that no epsilon matters, with another mean, spread and skewness in each
statistics set, so that only the true way fits.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

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
"""What looks like a normalization, but not one that a `NormSpec` could say."""


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

"""Verification: the reference, with the spec that was found, on fresh inputs of every size."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from normscope.identify.formula.divisor import Guard
from normscope.identify.formula.probe import Probe
from normscope.identify.subject.precision import FLOAT16_STEP, LOWEST
from normscope.identify.subject.subject import Floats
from normscope.identify.surroundings.extras import Extras
from normscope.notation.spec import Measure, NormSpec
from normscope.reference import reference
from normscope.sight.changes import IS_HALF

TOLERANCE = 256.0
"""In ulp. A wrong epsilon, measure or axis is off by far more at some of the sizes tried."""

HALF_TOLERANCE = 8.0
"""The same for half precisions, whose ulp is so much larger."""


def tolerance(eps: float) -> float:
    """The error in ulp that is accepted for a machine epsilon."""
    return HALF_TOLERANCE if eps > IS_HALF else TOLERANCE


@dataclass(frozen=True)
class Claim:
    """What is claimed of one mode, with the numbers that are no part of a spec.

    Attributes:
        scale, bias: the parameters, along the axes that the spec names, in that order.
        factor: a constant by which the result is multiplied.
        rounded: the precision of the statistics, where it is not the layer's own.
    """

    spec: NormSpec
    scale: Floats | None
    bias: Floats | None
    factor: float
    extras: Extras
    rounded: str | None = None

    def output(self, x: Floats) -> Floats:
        """The normalized values: everything but the extras."""
        bare = NormSpec.from_dict({**self.spec.to_dict(), "bias": None})
        y = self.factor * reference(x, bare, scale=self.scale)
        if self.bias is not None and self.spec.bias is not None:
            layout = self.spec.layout(x.shape)
            placed = layout.place(layout.named(self.spec.bias))
            bias = self.bias.reshape(placed.shape).transpose(placed.order).reshape(placed.broadcast)
            y = (y.reshape(layout.known_sizes) + bias).reshape(x.shape)
        return y


def largest_error(probe: Probe, claim: Claim) -> float:
    """The largest difference, in ulp of the largest output of the statistics set.

    The sizes go from far below every epsilon to far above.
    """
    structure, rng = probe.structure, probe.rng
    lowest = -15.0 if probe.subject.eps < IS_HALF and probe.subject.into != "float16" else -4.0
    highest = 4.0 if lowest < -5 else 1.5  # squares of more overflow in float16
    decades = np.linspace(lowest, highest, 20 if lowest < -5 else 9)
    if claim.extras.residual:
        decades = decades[decades < 2.5]
    calls = max(3, math.ceil(len(decades) / structure.num_sets))
    rng.shuffle(decades)
    worst = 0.0
    for part in np.array_split(decades, calls) if structure.num_sets < 7 else [decades] * calls:
        size = 10.0 ** np.resize(part, structure.num_sets)[:, np.newaxis]
        width = (structure.num_sets, structure.set_size)
        values = rng.standard_normal(width) + rng.uniform(-1, 1, (structure.num_sets, 1))
        worst = max(worst, _error(probe, claim, size * values))
    return worst


_BESIDE = (0.5, 0.8, 0.97, 1.03, 1.2, 2.0)
"""Where a guard is tried, as shares of its tolerance: whatever the mean and the shape of a set."""


def error_near(probe: Probe, claim: Claim, guard: Guard | None) -> float:
    """The same around the tolerance of a guard, where the divisor jumps.

    Args:
        probe: the mode.
        claim: what is claimed.
        guard: in the units of the claim; None is no guard.
    """
    if guard is None:
        return 0.0
    structure, rng = probe.structure, probe.rng
    width = (structure.num_sets, structure.set_size)
    worst = 0.0
    for beside in np.array_split(rng.permutation(_BESIDE), max(1, 6 // structure.num_sets)):
        values = rng.standard_normal(width) + rng.uniform(-1, 1, (structure.num_sets, 1))
        if guard.middle == 0:  # it is seen where all elements are equal, or 0
            center = claim.spec.center or claim.spec.measure is Measure.VARIANCE
            values = 0 * values + np.rint(10 * values[:, :1]) * center
        else:
            roots = _roots(values, claim.spec)
            wanted = guard.middle * np.resize(beside, structure.num_sets)
            inside = np.maximum(wanted - claim.spec.eps_outside, 0.0) ** 2 - claim.spec.eps
            values = values * (np.sqrt(np.maximum(inside, 0.0)) / roots)[:, np.newaxis]
        worst = max(worst, _error(probe, claim, values))
    return worst


def _roots(sets: Floats, spec: NormSpec) -> Floats:
    """The root of the measure of each set, by the reference: x / root where nothing is added."""
    if spec.measure is Measure.NONE:
        return np.ones(len(sets))
    bare = NormSpec("n [x]", measure=spec.measure, ddof=spec.ddof, center=False, eps=0)
    with np.errstate(all="ignore"):
        return np.asarray(np.nanmedian(sets / reference(sets, bare), axis=1))


def _error(probe: Probe, claim: Claim, sets: Floats) -> float:
    structure = probe.structure
    x, y = probe.ask(sets)
    z = structure.to_sets(claim.output(structure.from_sets(x)))
    with np.errstate(all="ignore"):
        expected = claim.extras.apply(z, x)
        size = np.max(np.abs(expected), axis=1, keepdims=True) + np.max(
            np.abs(claim.extras.residual * x), axis=1, keepdims=True
        )
        size = np.maximum(size, LOWEST[probe.subject.eps])  # below, rounding is no share of it
        if claim.spec.center or claim.spec.measure is Measure.VARIANCE:
            # where the mean is many times the spread, x - mean has lost that many digits
            spread = np.std(x, axis=1)
            lost = np.where(spread > 0, np.max(np.abs(x), axis=1) / spread / 4, 1.0)
            size = size * np.maximum(1.0, lost)[:, np.newaxis]
        if claim.rounded == "float16":
            size = size * _near_zero(x, claim.spec, probe.subject.eps)[:, np.newaxis]
        if claim.extras.activation is not None:
            # an activation that bends loses what it cancels: 1 + x for a sigmoid near 0
            size = np.maximum(size, np.minimum(np.max(np.abs(z), axis=1, keepdims=True), 1.0))
        error = np.where(expected == y, 0.0, np.abs(expected - y) / (probe.subject.eps * size))
    return float(np.max(np.where(np.isnan(error), np.inf, error)))


def _near_zero(sets: Floats, spec: NormSpec, eps: float) -> Floats:
    """How much more than a unit in the last place rounding moves small statistics in float16."""
    v = _roots(sets, spec) ** 2 + spec.eps
    return np.asarray(1.0 + FLOAT16_STEP / 4 / (np.where(v > 0, v, np.inf) * eps))

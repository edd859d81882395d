"""Verification: the reference, with the spec that was found, on fresh inputs of every size."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from normscope.identify.formula.claim import Claim
from normscope.identify.formula.divisor import Guard
from normscope.identify.formula.probe import Probe
from normscope.identify.formula.unsolved import Unsolved
from normscope.identify.subject.precision import FLOAT16_STEP, LOWEST, PRECISIONS, Precision
from normscope.identify.subject.subject import Floats
from normscope.identify.surroundings.identity_branch import RELU_LIKE
from normscope.notation.spec import Measure, NormSpec
from normscope.reference import reference
from normscope.sight.changes import is_half

TOLERANCE = 256.0
"""In ulp. A wrong epsilon, measure or axis is off by far more at some of the sizes tried."""

HALF_TOLERANCE = 8.0
"""In ulp of half precisions, which are so much larger."""


def tolerance(eps: float) -> float:
    """The error in ulp that is accepted for a machine epsilon."""
    return HALF_TOLERANCE if is_half(eps) else TOLERANCE


@dataclass(frozen=True)
class Verified:
    """A claim that reproduces the layer.

    Attributes:
        claim: as it was found to hold.
        error: the largest difference in ulp.
        precision: in whose ulp that is.
        notes: what had to be allowed for.
    """

    claim: Claim
    error: float
    precision: Precision
    notes: tuple[str, ...] = ()


def verified(
    probe: Probe, claim: Claim, guard: Guard | None, small_are_coarse: bool
) -> Verified | Unsolved:
    """Try a claim, and what it may be taken for, on fresh inputs.

    Args:
        probe: the mode.
        claim: what is claimed.
        guard: of the divisor, in the units of the claim.
        small_are_coarse: small statistics may be rounded more than all else.
    """
    precision = probe.precision
    allowed = tolerance(precision.eps)
    error = max(largest_error(probe, claim), error_near(probe, claim, guard))
    if error > allowed and small_are_coarse:
        claim = replace(claim, rounded="float16")
        error = max(largest_error(probe, claim), error_near(probe, claim, guard))
    for other in RELU_LIKE:
        relu = claim.extras.activation
        if error > allowed and relu is not None and relu.name == "relu":
            activation = replace(relu, name=other.name, forward=other.forward)
            claim = replace(claim, extras=replace(claim.extras, activation=activation))
            error = largest_error(probe, claim)
    if error <= allowed:
        return Verified(claim, error, precision)
    in_float32 = error * precision.eps / PRECISIONS["float32"]
    if in_float32 <= allowed and claim.extras.activation is None:
        coarser = precision.at(PRECISIONS["float32"])
        return Verified(claim, in_float32, coarser, ("it computes in float32 inside",))
    return Unsolved(
        f"the best spec found, {claim.spec}, is off by {error:.3g} ulp on fresh inputs", False
    )


def largest_error(probe: Probe, claim: Claim) -> float:
    """The largest difference, in ulp of the largest output of the statistics set.

    The sizes go from far below every epsilon to far above.
    """
    structure, rng = probe.structure, probe.rng
    precision = probe.precision
    lowest = -4.0 if precision.is_half or precision.into == "float16" else -15.0
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
    """The largest difference, in ulp, around the tolerance of a guard, where the divisor jumps.

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
        size = np.maximum(size, LOWEST[probe.precision.eps])  # below, rounding is no share of it
        if claim.spec.center or claim.spec.measure is Measure.VARIANCE:
            # where the mean is many times the spread, x - mean has lost that many digits
            spread = np.std(x, axis=1)
            lost = np.where(spread > 0, np.max(np.abs(x), axis=1) / spread / 4, 1.0)
            size = size * np.maximum(1.0, lost)[:, np.newaxis]
        if claim.rounded == "float16":
            size = size * _near_zero(x, claim.spec, probe.precision.eps)[:, np.newaxis]
        if claim.extras.activation is not None:
            # an activation that bends loses what it cancels: 1 + x for a sigmoid near 0
            size = np.maximum(size, np.minimum(np.max(np.abs(z), axis=1, keepdims=True), 1.0))
        error = np.where(expected == y, 0.0, np.abs(expected - y) / (probe.precision.eps * size))
    return float(np.max(np.where(np.isnan(error), np.inf, error)))


def _near_zero(sets: Floats, spec: NormSpec, eps: float) -> Floats:
    """How much more than a unit in the last place rounding moves small statistics in float16."""
    v = _roots(sets, spec) ** 2 + spec.eps
    return np.asarray(1.0 + FLOAT16_STEP / 4 / (np.where(v > 0, v, np.inf) * eps))

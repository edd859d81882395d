"""From a first fit to a divisor: the bias, the divisor as a curve, scale and bias once more."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from normscope.identify.formula.affine_fit import Affine, FirstFit, fit_affine
from normscope.identify.formula.axes import along_axes
from normscope.identify.formula.divisor import Divisor
from normscope.identify.formula.divisor_probe import OUTSIDE_NOTICED, DivisorProbe
from normscope.identify.formula.guard import AtZero
from normscope.identify.formula.hypotheses import MEAN_ONLY, uneven_inputs
from normscope.identify.formula.probe import Probe
from normscope.identify.formula.roles import Roles
from normscope.identify.formula.scan import find_divisor
from normscope.identify.formula.unsolved import Unsolved
from normscope.identify.sets.structure import Structure
from normscope.identify.subject.nan_statistics import largest, median
from normscope.identify.subject.precision import LOWEST, PRECISIONS, VANISHING
from normscope.identify.subject.subject import Floats
from normscope.identify.surroundings.extras import Extras
from normscope.notation.spec import Measure


@dataclass(frozen=True)
class MeasuredDivisor:
    """The divisor, in units of the fitted measure, and the fit that it was measured with."""

    divisor: Divisor
    first: FirstFit


def measure_divisor(probe: Probe, first: FirstFit, roles: Roles) -> MeasuredDivisor | Unsolved:
    """Measure the divisor from the largest inputs to the smallest, and find its constants."""
    base = probe.affine(first.fit, first.extras, first.x)
    bias, finite_at_zero = _exact_bias(probe, first.extras, base)
    divisor = divisor_with(probe, first, base, bias, finite_at_zero)
    if divisor is not None and divisor.eps_outside > OUTSIDE_NOTICED:
        # even large inputs show it, so the scale that they gave was a little too small
        base = refit(probe, first, roles, divisor)
        divisor = divisor_with(probe, first, base, bias, finite_at_zero)
    if divisor is None and first.small_are_coarse:
        first = replace(first, rounded="float16")
        divisor = divisor_with(probe, first, base, bias, finite_at_zero)
    if divisor is not None:
        return MeasuredDivisor(divisor, first)
    words = first.fit.hypothesis.words
    if _only_large(probe, first, base, bias):
        return Unsolved(f"only large inputs look like {words}", True)
    return Unsolved(
        f"{words} fits large inputs, but no eps, eps_outside and floor explain small ones", False
    )


def divisor_with(
    probe: Probe, first: FirstFit, base: Affine, bias: Floats, finite_at_zero: bool = False
) -> Divisor | None:
    """The divisor, where scale and bias of each element are these; None if nothing explains it."""
    if first.fit.hypothesis is MEAN_ONLY:
        return Divisor()
    measure = DivisorProbe(probe, first.fit, first.extras, base.scale, bias, first.rounded)
    highest = 300.0 if first.extras.residual else 3e3
    if probe.precision.eps == PRECISIONS["float16"]:
        highest = 30.0  # squares of more overflow
    at_zero = None
    if finite_at_zero:
        own = probe.precision.of_statistics
        at_zero = AtZero(LOWEST[own], VANISHING[own])
    found = find_divisor(measure, probe.structure.num_sets, highest, at_zero)
    if found is None or found.guard is None or found.guard.unit is not None:
        return found
    unit = _unit_where_all_are_equal(probe, first, base, bias)
    return found if unit is None else replace(found, guard=replace(found.guard, unit=unit))


def _unit_where_all_are_equal(
    probe: Probe, first: FirstFit, base: Affine, bias: Floats
) -> float | None:
    """What replaces a divisor of 0, seen where the mean of equal elements is not subtracted."""
    hypothesis = first.fit.hypothesis
    if hypothesis.center or hypothesis.measure is not Measure.VARIANCE:
        return None
    x, y = probe.ask(np.full_like(base.bias, 3.0))
    with np.errstate(all="ignore"):
        unit = median(base.scale * x / (first.extras.undo(y, x) - bias))
    return unit if unit > 0 else None


def _exact_bias(probe: Probe, extras: Extras, base: Affine) -> tuple[Floats, bool]:
    """The bias, from an input of zeros where that gives a number, else from the fit.

    And whether an input of zeros gives the bias.
    """
    zeros = np.zeros_like(base.bias)
    x, y = probe.ask(zeros)
    at_zero = extras.undo(y, x)
    size = max(1e-3, probe.precision.rounding) * (1 + median(np.abs(base.scale)))
    agrees = np.abs(at_zero - base.bias) < size
    if np.isfinite(at_zero).all() and agrees[np.isfinite(base.bias)].all():
        return at_zero, True
    if largest(base.bias) < 1e-4 * (1 + median(np.abs(base.scale))):
        return zeros, False
    return base.bias, False


def _only_large(probe: Probe, first: FirstFit, base: Affine, bias: Floats) -> bool:
    """Whether smaller inputs show that it is no normalization, whatever the divisor may be.

    A divisor of whatever kind is one number per statistics set, so below the bias the outputs of a
    set stay in proportion to scale * (x - mean).
    """
    structure, hypothesis = probe.structure, first.fit.hypothesis
    for spread in ((0.3, 1.0), (1.0, 3.0), (3.0, 30.0)):
        sets = uneven_inputs(probe.rng, structure.num_sets, structure.set_size, spread)
        x, y = probe.ask(sets)
        z, n = first.extras.undo(y, x) - bias, base.scale * hypothesis.centred(x)
        known = np.isfinite(z) & np.isfinite(n)
        z, n = np.where(known, z, 0.0), np.where(known, n, 0.0)
        with np.errstate(all="ignore"):
            share = (z * n).sum(axis=1, keepdims=True) / (n * n).sum(axis=1, keepdims=True)
            left = np.linalg.norm(z - share * n, axis=1) / np.linalg.norm(z, axis=1)
        if median(left) > 0.05:
            return True
    return False


def refit(probe: Probe, first: FirstFit, roles: Roles, divisor: Divisor) -> Affine:
    """Scale and bias once more, now that the divisor is known exactly."""
    x, y = probe.ask_all(list(first.x))
    affine = _affine(first, divisor, x, y)
    if _incomplete(probe.structure, affine, roles):
        # an activation that hides what is below 0 shows it on the negative of the input
        more_x, more_y = probe.ask_all(list(-first.x))
        affine = _affine(first, divisor, np.concatenate([x, more_x]), np.concatenate([y, more_y]))
    bias, _ = _exact_bias(probe, first.extras, affine)
    return replace(affine, bias=np.where(np.isfinite(bias), bias, affine.bias))


def _affine(first: FirstFit, divisor: Divisor, x: Floats, y: Floats) -> Affine:
    hypothesis = first.fit.hypothesis
    n = hypothesis.centred(x) / divisor.of(hypothesis.root(x))
    return fit_affine(n, first.extras.undo(y, x))


def _incomplete(structure: Structure, affine: Affine, roles: Roles) -> bool:
    """Whether the scale is not known everywhere along its axes, or the bias along its own."""
    along = [
        (values, found.axes)
        for values, found in ((affine.scale, roles.scale), (affine.bias, roles.bias))
        if found is not None
    ]
    return any(not np.isfinite(along_axes(structure, values, axes)).all() for values, axes in along)

"""One mode with known statistics sets: from the first fit to a verified spec."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from normscope.identify.formula.affine_fit import FirstFit
from normscope.identify.formula.claim import Claim, claim_of
from normscope.identify.formula.constants import Constants, constants_for
from normscope.identify.formula.first_fit import NO_FIT, first_fit
from normscope.identify.formula.guard import guard_in_words
from normscope.identify.formula.hard_sigmoid import as_hard_sigmoid
from normscope.identify.formula.learned_constants import learned_constants
from normscope.identify.formula.measured_divisor import MeasuredDivisor, measure_divisor, refit
from normscope.identify.formula.probe import Probe
from normscope.identify.formula.roles import Roles, find_roles
from normscope.identify.formula.symmetry import may_be_a_normalization
from normscope.identify.formula.unsolved import Unsolved
from normscope.identify.formula.verify import verified
from normscope.identify.subject.nan_statistics import largest, median
from normscope.identify.subject.precision import Precision
from normscope.identify.subject.subject import Floats


@dataclass(frozen=True)
class Solved:
    """A spec that reproduces the layer.

    Attributes:
        claim: the spec, with the numbers that are no part of it.
        parameters: the values of the learned parameters for which the claim holds.
        precision: what the mode computes in.
        max_ulp: the largest difference from the reference.
        hypothesis: which mean and measure, in words.
        notes: the evidence.
    """

    claim: Claim
    parameters: Mapping[str, Floats]
    precision: Precision
    max_ulp: float
    hypothesis: str
    notes: tuple[str, ...]


def solve(probe: Probe) -> Solved | Unsolved:
    """Find the spec of one mode.

    The parameters come in with moved values, so that none hides behind its initial 1 or 0.
    """
    if probe.structure.set_size == 1:
        return Unsolved(
            "each statistics set holds one element: measures cannot be told apart", False
        )
    first = first_fit(probe)
    if isinstance(first, FirstFit):
        return _solve_from(probe, first)
    if first != NO_FIT:
        return first
    learned = probe.subject.learned
    if learned:
        with probe.subject.as_found(*learned):
            first = first_fit(probe, again=True)
            if isinstance(first, FirstFit):
                return _solve_from(probe, first)
    return _MAY_BE if may_be_a_normalization(probe) else NO_FIT


_MAY_BE = Unsolved(
    f"{NO_FIT.reason}, but it is scaled by something symmetric in them: perhaps a normalization "
    "with an unknown measure, or before an unknown activation",
    False,
)


def _solve_from(probe: Probe, first: FirstFit) -> Solved | Unsolved:
    """Find what the parameters do; the rest of the formula follows if that is understood."""
    probe = probe.at(first.precision)
    roles = find_roles(probe, first)
    sixth = as_hard_sigmoid(probe, first, roles)
    if sixth is not None:
        first, roles = sixth, find_roles(probe, sixth)
    if roles.shaping:
        names = ", ".join(roles.shaping)
        return Unsolved(
            f"with its parameters as found it is {first.fit.hypothesis.words}, but the parameter "
            f"{names} changes the statistics themselves",
            first.extras.activation is None and not _cuts_off(probe, first, roles.shaping),
        )
    if roles.puzzling:
        names = ", ".join(roles.puzzling)
        return Unsolved(f"how the parameter {names} scales or shifts was not understood", False)
    with probe.subject.as_found(*roles.others):
        return _solve_with_roles(probe, first, roles)


def _cuts_off(probe: Probe, first: FirstFit, names: tuple[str, ...]) -> bool:
    """Whether larger parameters bring several outputs to one level, as an activation does."""
    learned = probe.subject.learned
    with probe.subject.moved({name: 2 * learned[name] for name in names}):
        _, y = probe.ask_all(list(first.x))
    return any(int(np.sum(y == level)) > 1 for level in (y.min(), y.max()))


def _solve_with_roles(probe: Probe, first: FirstFit, roles: Roles) -> Solved | Unsolved:
    """Measure the divisor with the plain bias taken away, and verify with it moved again."""
    if first.extras.activation is not None:  # it is not undone more exactly
        probe = probe.at(probe.precision.float32_at_best())
    if first.extras.activation is not None and roles.others:
        shaped = first_fit(probe)  # one of them may have shaped the activation
        if isinstance(shaped, Unsolved):
            return Unsolved("an activation that parameters shape could not be named", False)
        first, probe = shaped, probe.at(shaped.precision)
    plain = _plain_bias(probe, first, roles)
    with probe.subject.moved({name: np.zeros_like(value) for name, value in plain.items()}):
        measured = measure_divisor(probe, first, roles)
    if isinstance(measured, Unsolved):
        return measured
    elsewhere = {n: probe.rng.uniform(0.3, 0.9, value.shape) for n, value in plain.items()}
    with probe.subject.moved(elsewhere):
        return _solve_with_divisor(probe, measured, roles)


def _plain_bias(probe: Probe, first: FirstFit, roles: Roles) -> dict[str, Floats]:
    """The parameter that is the plain bias, if there is one and no activation comes after it."""
    if roles.bias is None or roles.bias.name is None or first.extras.activation is not None:
        return {}
    return {roles.bias.name: probe.subject.learned[roles.bias.name]}


def _solve_with_divisor(probe: Probe, measured: MeasuredDivisor, roles: Roles) -> Solved | Unsolved:
    """Write the divisor as a measure and its constants, and verify the claim that this makes."""
    first = measured.first
    constants = _constants(probe, measured, roles)
    if isinstance(constants, Unsolved):
        return Unsolved(f"{first.fit.hypothesis.words}, but {constants.reason}", constants.certain)
    base = refit(probe, first, roles, constants.divisor.times(constants.kind.factor))
    guard = constants.divisor.guard
    claim = claim_of(probe, first, roles, base, constants)
    found = verified(probe, claim, guard, first.small_are_coarse)
    if isinstance(found, Unsolved):
        return found
    claim, probe = found.claim, probe.at(found.precision)
    learned = learned_constants(probe, first, base, claim, roles)
    if isinstance(learned, Unsolved):
        return learned
    rounded = () if claim.rounded is None else (f"its statistics are in {claim.rounded} inside",)
    guarded = () if guard is None else (guard_in_words(guard, measured.divisor, claim.spec),)
    return Solved(
        claim,
        probe.subject.learned,
        found.precision,
        found.error,
        first.fit.hypothesis.words,
        (
            *claim.extras.words,
            *rounded,
            *roles.notes,
            *constants.notes,
            *found.notes,
            *guarded,
            *learned,
        ),
    )


def _constants(probe: Probe, measured: MeasuredDivisor, roles: Roles) -> Constants | Unsolved:
    first, subject = measured.first, probe.subject
    measure = first.fit.hypothesis.measure
    assert measure is not None  # the hypotheses that compete first all have one
    return constants_for(
        probe.structure.set_size,
        measure,
        roles.scale,
        measured.divisor,
        probe.precision.unit,
        holds_arrays=bool(subject.learned or subject.state),
        as_found=_scale_as_found(probe, first, roles),
    )


def _scale_as_found(probe: Probe, first: FirstFit, roles: Roles) -> float | None:
    """The scale with all parameters as found, where it is one number that is not known else."""
    if roles.scale is None or roles.scale.factor is not None or not roles.scale.learned:
        return None
    with probe.subject.as_found(*probe.subject.learned):
        scale = probe.affine(first.fit, first.extras, first.x).scale
    size = median(scale)
    return size if size > 0 and largest(scale / size - 1) < probe.precision.unit else None

"""One mode with known statistics sets: from the first fit to a verified spec."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from normscope.identify.formula.constants import Constants, constants_for, kinds_of, tolerance_of
from normscope.identify.formula.divisor import Divisor
from normscope.identify.formula.first_fit import FirstFit, NoFit, first_fit
from normscope.identify.formula.guard import AtZero, guard_in_words
from normscope.identify.formula.hypotheses import MEAN_ONLY, Affine, fit_affine, uneven_inputs
from normscope.identify.formula.parameters import Roles, along_axes, find_roles, names_of
from normscope.identify.formula.probe import OUTSIDE_NOTICED, DivisorProbe, Probe
from normscope.identify.formula.scan import find_divisor
from normscope.identify.formula.symmetry import may_be_a_normalization
from normscope.identify.formula.verify import Claim, error_near, largest_error, tolerance
from normscope.identify.sets.structure import Structure
from normscope.identify.subject.nan_statistics import largest, median
from normscope.identify.subject.precision import LOWEST, PRECISIONS, VANISHING
from normscope.identify.subject.subject import Floats
from normscope.identify.surroundings.extras import RELU_LIKE, Extras, name_hard_sigmoid, straight
from normscope.notation.spec import Measure, NormSpec


@dataclass(frozen=True)
class Solved:
    """A spec that reproduces the layer."""

    claim: Claim
    max_ulp: float
    roles: Roles
    hypothesis: str
    notes: tuple[str, ...]


@dataclass(frozen=True)
class Unsolved:
    """No spec: either it is known that there is none, or it could not be found (`certain`)."""

    words: str
    certain: bool


def solve(probe: Probe) -> Solved | Unsolved:
    """Find the spec of one mode.

    The parameters come in with moved values, so that none hides behind its initial 1 or 0.
    """
    if probe.structure.set_size == 1:
        return Unsolved(
            "each statistics set holds one element: measures cannot be told apart", False
        )
    first = first_fit(probe)
    if isinstance(first, NoFit):
        moved = probe.subject.learned
        probe.subject.write_back(*moved)
        as_found = first_fit(probe, again=True) if moved and not first.words else first
        if isinstance(as_found, NoFit):
            for name, value in moved.items():
                probe.subject.write(name, value)
            if first.words:
                return Unsolved(first.words, True)
            maybe = may_be_a_normalization(probe)
            return Unsolved(_MAY_BE if maybe else _NO_FIT, not maybe)
        first = as_found
    roles = find_roles(probe, first)
    sixth = _as_hard_sigmoid(probe, first, roles)
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
    return _finish(probe, first, roles)


_NO_FIT = "no single mean and measure over the elements that see each other explains the output"
_MAY_BE = (
    f"{_NO_FIT}, but it is scaled by something symmetric in them: perhaps a normalization with an "
    "unknown measure, or before an unknown activation"
)


def _cuts_off(probe: Probe, first: FirstFit, names: tuple[str, ...]) -> bool:
    """Whether larger parameters bring several outputs to one level, as an activation does."""
    values = {name: probe.subject.learned[name] for name in names}
    for name, value in values.items():
        probe.subject.write(name, 2 * value)
    _, y = probe.ask_all(list(first.x))
    for name, value in values.items():
        probe.subject.write(name, value)
    return any(int(np.sum(y == level)) > 1 for level in (y.min(), y.max()))


def _as_hard_sigmoid(probe: Probe, first: FirstFit, roles: Roles) -> FirstFit | None:
    """A clip to [0, 1] after a sixth of a normalization, read as a hard sigmoid; else None."""
    bare, measure, scale = first.extras.activation, first.fit.hypothesis.measure, roles.scale
    if measure is None or scale is None or scale.factor is None or first.extras.residual:
        return None
    kinds = kinds_of(measure, probe.structure.set_size)
    if not any(abs(6 * scale.factor / kind.factor - 1) < 1e-4 for kind in kinds):
        return None
    if bare is None:
        _, y = probe.ask(first.x[0])
        if not (np.min(y) >= 0 and np.max(y) <= 1) or _exceeds_one(probe):
            return None
        bare = straight(y)
    elif bare.name != "clip to [0, 1]":
        return None
    affine = first.fit.affine
    stretched = Affine(6 * affine.scale, 6 * affine.bias - 3, affine.residual)
    activation = name_hard_sigmoid(bare)
    return FirstFit(replace(first.fit, affine=stretched), Extras(activation), first.x)


def _exceeds_one(probe: Probe) -> bool:
    """Whether outliers are not cut off at 1; L2 of 36 elements is a sixth of a mean square too."""
    outliers = np.zeros((probe.structure.num_sets, probe.structure.set_size))
    outliers[:, 0] = 1e3
    _, y = probe.ask(outliers)
    return bool(np.max(y) > 1 + 1e-3)


def _finish(probe: Probe, first: FirstFit, roles: Roles) -> Solved | Unsolved:
    subject = probe.subject
    if first.extras.activation is not None:  # it is not undone more exactly
        subject.eps = max(subject.eps, PRECISIONS["float32"])
    subject.write_back(*roles.others)
    if roles.others and first.extras.activation is not None:
        again = first_fit(probe)  # one of them may have shaped the activation
        if isinstance(again, NoFit):
            return Unsolved("an activation that parameters shape could not be named", False)
        first = again
    if roles.bias_name is not None and first.extras.activation is None:
        subject.write(roles.bias_name, np.zeros_like(subject.learned[roles.bias_name]))
    base = probe.affine(first.fit, first.extras, first.x)
    bias, finite_at_zero = _exact_bias(probe, first.extras, base)
    divisor = _divisor(probe, first, base, bias, finite_at_zero)
    if divisor is not None and divisor.eps_outside > OUTSIDE_NOTICED:
        # even large inputs show it, so the scale that they gave was a little too small
        base = _refit(probe, first, roles, divisor)
        divisor = _divisor(probe, first, base, bias, finite_at_zero)
    if divisor is None and _small_are_coarse(probe, first):
        first = replace(first, rounded="float16")  # then small statistics are rounded more
        divisor = _divisor(probe, first, base, bias, finite_at_zero)
    if divisor is None and _only_large(probe, first, base, bias):
        return Unsolved(f"only large inputs look like {first.fit.hypothesis.words}", True)
    if divisor is None:
        return Unsolved(
            f"{first.fit.hypothesis.words} fits large inputs, but no eps, eps_outside and floor "
            "explain small ones",
            False,
        )
    if roles.bias_name is not None and first.extras.activation is None:
        value = probe.rng.uniform(0.3, 0.9, subject.learned[roles.bias_name].shape)
        subject.write(roles.bias_name, value)
    measure, size = first.fit.hypothesis.measure, probe.structure.set_size
    assert measure is not None  # the hypotheses that compete first all have one
    constants = constants_for(
        size,
        measure,
        roles.scale,
        divisor,
        probe.unit,
        held=bool(subject.learned or subject.state),
        as_found=_scale_as_found(probe, first, roles),
    )
    if constants is None and divisor.guard is not None and divisor.guard.unit is not None:
        below = tolerance_of(divisor.guard, probe.unit)
        small = f"below {below:.6g}" if below else "0"
        return Unsolved(
            f"{first.fit.hypothesis.words}, but where that divisor is {small} it is "
            f"{divisor.guard.unit:.4g}, which no spec says",
            False,
        )
    if constants is None:
        return Unsolved(
            f"{first.fit.hypothesis.words}, but nothing tells whether ddof is 0 or 1: the size of "
            "the scale is not known, and no constant is rounder with either",
            False,
        )
    base = _refit(probe, first, roles, constants.divisor.times(constants.kind.factor))
    claim = _claim(probe, first, roles, base, constants)
    allowed = tolerance(subject.eps)
    guard = constants.divisor.guard
    error = max(largest_error(probe, claim), error_near(probe, claim, guard))
    if error > allowed and _small_are_coarse(probe, first):
        claim = replace(claim, rounded="float16")
        error = max(largest_error(probe, claim), error_near(probe, claim, guard))
    for activation in RELU_LIKE:
        if error > allowed and claim.extras.activation and claim.extras.activation.name == "relu":
            other = replace(
                claim.extras.activation, name=activation.name, forward=activation.forward
            )
            claim = replace(claim, extras=replace(claim.extras, activation=other))
            error = largest_error(probe, claim)
    coarser = error * subject.eps / PRECISIONS["float32"]
    if allowed < error and coarser <= allowed and first.extras.activation is None:
        subject.eps, error = PRECISIONS["float32"], coarser
        constants.notes.append("it computes in float32 inside")
    if not error <= allowed:
        return Unsolved(
            f"the best spec found, {claim.spec}, is off by {error:.3g} ulp on fresh inputs", False
        )
    learned_shape = _learned_in_formula(probe, first, base, claim, roles)
    if isinstance(learned_shape, Unsolved):
        return learned_shape
    rounded = () if claim.rounded is None else (f"its statistics are in {claim.rounded} inside",)
    guarded = () if guard is None else (guard_in_words(guard, divisor, claim.spec),)
    words = (
        *claim.extras.words,
        *rounded,
        *roles.notes,
        *constants.notes,
        *guarded,
        *learned_shape,
    )
    return Solved(claim, error, roles, first.fit.hypothesis.words, words)


def _small_are_coarse(probe: Probe, first: FirstFit) -> bool:
    """Whether small statistics may be rounded more than all else: those of float16 near 0."""
    return probe.subject.eps == PRECISIONS["float16"] and first.rounded is None


def _scale_as_found(probe: Probe, first: FirstFit, roles: Roles) -> float | None:
    """The scale with all parameters as found, where it is one number that is not known else."""
    if roles.scale is None or roles.scale.factor is not None or not roles.scale.learned:
        return None
    subject = probe.subject
    moved = subject.learned
    subject.write_back(*moved)
    scale = probe.affine(first.fit, first.extras, first.x).scale
    for name, value in moved.items():
        subject.write(name, value)
    size = median(scale)
    return size if size > 0 and largest(scale / size - 1) < probe.unit else None


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


def _exact_bias(probe: Probe, extras: Extras, base: Affine) -> tuple[Floats, bool]:
    """The bias, from an input of zeros where that gives a number, else from the fit.

    And whether an input of zeros gives the bias.
    """
    zeros = np.zeros_like(base.bias)
    x, y = probe.ask(zeros)
    at_zero = extras.undo(y, x)
    size = max(1e-3, probe.rounding) * (1 + median(np.abs(base.scale)))
    agrees = np.abs(at_zero - base.bias) < size
    if np.isfinite(at_zero).all() and agrees[np.isfinite(base.bias)].all():
        return at_zero, True
    if largest(base.bias) < 1e-4 * (1 + median(np.abs(base.scale))):
        return zeros, False
    return base.bias, False


def _divisor(
    probe: Probe, first: FirstFit, base: Affine, bias: Floats, finite_at_zero: bool = False
) -> Divisor | None:
    if first.fit.hypothesis is MEAN_ONLY:
        return Divisor()
    measure = DivisorProbe(probe, first.fit, first.extras, base.scale, bias, first.rounded)
    highest = 300.0 if first.extras.residual else 3e3
    if probe.subject.eps == PRECISIONS["float16"]:
        highest = 30.0  # squares of more overflow
    at_zero = None
    if finite_at_zero:
        precision = probe.subject.precision
        at_zero = AtZero(LOWEST[precision], VANISHING[precision])
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


def _claim(
    probe: Probe, first: FirstFit, roles: Roles, base: Affine, constants: Constants
) -> Claim:
    structure = probe.structure
    kind, factor, guard = constants.kind, constants.factor, constants.divisor.guard
    learned = roles.scale is not None and (
        roles.scale.name is not None or roles.scale.axes != () or roles.scale.factor is None
    )
    scale_axes = roles.scale.axes if roles.scale is not None and learned else None
    scale, shift = None, 0
    if roles.scale is not None and scale_axes is not None:
        shift = roles.scale.shift
        scale = along_axes(structure, base.scale, scale_axes) / (kind.factor * factor) - shift
    elif factor != 1.0:
        factor = median(base.scale) / kind.factor
    spec = NormSpec(
        structure.pattern,
        sizes=structure.sizes,
        center=first.fit.hypothesis.center,
        measure=kind.measure,
        ddof=kind.ddof,
        eps=constants.divisor.eps,
        eps_outside=constants.divisor.eps_outside,
        floor=constants.divisor.floor,
        unit_below=None if guard is None else tolerance_of(guard, probe.unit),
        scale=None if scale_axes is None else names_of(structure, scale_axes),
        bias=None if roles.bias is None else names_of(structure, roles.bias),
        scale_shift=shift,
    )
    bias = None if roles.bias is None else along_axes(structure, base.bias, roles.bias)
    return Claim(spec, scale, bias, factor, first.extras, first.rounded)


def _refit(probe: Probe, first: FirstFit, roles: Roles, divisor: Divisor) -> Affine:
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
    along = [(affine.scale, roles.scale.axes if roles.scale else None), (affine.bias, roles.bias)]
    return any(
        not np.isfinite(along_axes(structure, values, axes)).all()
        for values, axes in along
        if axes is not None
    )


def _learned_in_formula(
    probe: Probe, first: FirstFit, base: Affine, claim: Claim, roles: Roles
) -> tuple[str, ...] | Unsolved:
    """Whether parameters that large inputs do not show change small ones: a learned epsilon."""
    notes = []
    subject = probe.subject
    for name in roles.others:
        value = subject.learned[name]
        subject.write(name, value + 0.3 + np.abs(value))
        changed = largest_error(probe, claim) > tolerance(subject.eps)
        another = None
        if changed and claim.extras.activation is None:
            another = _divisor(probe, first, base, base.bias)
        subject.write_back(name)
        if not changed:
            continue
        if claim.extras.activation is not None:
            notes.append(f"the parameter {name} shapes the activation or a small constant")
        elif another is not None and another.scales:
            notes.append(f"the parameter {name} is learned and enters the divisor, as eps does")
        else:
            return Unsolved(f"the parameter {name} changes small inputs in an unknown way", False)
    return tuple(notes)

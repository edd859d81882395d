"""One mode with known statistics sets: from the first fit to a verified spec."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from normscope.identify.divisor import Divisor, digits_needed, find_divisor, plain_number
from normscope.identify.extras import RELU_LIKE, Extras
from normscope.identify.first_fit import FirstFit, NoFit, first_fit
from normscope.identify.formula import Affine, fit_affine, uneven_inputs
from normscope.identify.known import largest, median
from normscope.identify.parameters import Roles, Scale, along_axes, find_roles, names_of
from normscope.identify.probe import DivisorProbe, Probe
from normscope.identify.structure import Structure
from normscope.identify.subject import Floats
from normscope.identify.verify import Claim, largest_error, tolerance
from normscope.spec import Measure, NormSpec


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
        as_found = first_fit(probe) if moved and not first.words else first
        if isinstance(as_found, NoFit):
            for name, value in moved.items():
                probe.subject.write(name, value)
            return Unsolved(first.words or _NO_FIT, True)
        first = as_found
    roles = find_roles(probe, first)
    if roles.shaping:
        names = ", ".join(roles.shaping)
        return Unsolved(
            f"with its parameters as found it is {first.fit.hypothesis.words}, but the parameter "
            f"{names} changes the statistics themselves",
            True,
        )
    if roles.puzzling:
        names = ", ".join(roles.puzzling)
        return Unsolved(f"how the parameter {names} scales or shifts was not understood", False)
    return _finish(probe, first, roles)


_NO_FIT = "no single mean and measure over the elements that see each other explains the output"


def _finish(probe: Probe, first: FirstFit, roles: Roles) -> Solved | Unsolved:
    subject = probe.subject
    subject.write_back(*roles.others)
    if roles.others and first.extras.activation is not None:
        again = first_fit(probe)  # one of them may have shaped the activation
        if isinstance(again, NoFit):
            return Unsolved("an activation that parameters shape could not be named", False)
        first = again
    if roles.bias_name is not None and first.extras.activation is None:
        subject.write(roles.bias_name, np.zeros_like(subject.learned[roles.bias_name]))
    base = probe.affine(first.fit, first.extras, first.x)
    bias = _exact_bias(probe, first.extras, base)
    divisor = _divisor(probe, first, base, bias)
    if divisor is None and not _holds_for_usual_inputs(probe, first, base):
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
    constants = _constants(size, measure, roles.scale, divisor, probe.rounding)
    base = _refit(probe, first, constants.divisor.times(constants.kind.factor))
    claim = _claim(probe.structure, first, roles, base, constants)
    allowed = tolerance(subject.eps)
    error = largest_error(probe, claim)
    for activation in RELU_LIKE:
        if error > allowed and claim.extras.activation and claim.extras.activation.name == "relu":
            other = replace(
                claim.extras.activation, name=activation.name, forward=activation.forward
            )
            claim = replace(claim, extras=replace(claim.extras, activation=other))
            error = largest_error(probe, claim)
    if not error <= allowed:
        return Unsolved(
            f"the best spec found, {claim.spec}, is off by {error:.3g} ulp on fresh inputs", False
        )
    learned_shape = _learned_in_formula(probe, first, base, claim, roles)
    if isinstance(learned_shape, Unsolved):
        return learned_shape
    words = (*claim.extras.words, *roles.notes, *constants.notes, *learned_shape)
    return Solved(claim, error, roles, first.fit.hypothesis.words, words)


def _holds_for_usual_inputs(probe: Probe, first: FirstFit, base: Affine) -> bool:
    """Whether the fit says what inputs of a spread of 3 to 30 give, up to an epsilon."""
    structure, hypothesis = probe.structure, first.fit.hypothesis
    sets = uneven_inputs(probe.rng, structure.num_sets, structure.set_size, (3.0, 30.0))
    x, y = probe.ask(sets)
    expected = first.extras.apply(base.scale * hypothesis.normalized(x) + base.bias, x)
    return largest(expected - y) < 0.05 * largest(y)


def _exact_bias(probe: Probe, extras: Extras, base: Affine) -> Floats:
    """The bias, from an input of zeros where that gives a number, else from the fit."""
    zeros = np.zeros_like(base.bias)
    x, y = probe.ask(zeros)
    at_zero = extras.undo(y, x)
    size = 1e-3 * (1 + median(np.abs(base.scale)))
    agrees = np.abs(at_zero - base.bias) < size
    if np.isfinite(at_zero).all() and agrees[np.isfinite(base.bias)].all():
        return at_zero
    if largest(base.bias) < 1e-4 * (1 + median(np.abs(base.scale))):
        return zeros
    return base.bias


def _divisor(probe: Probe, first: FirstFit, base: Affine, bias: Floats) -> Divisor | None:
    measure = DivisorProbe(probe, first.fit, first.extras, base.scale, bias)
    highest = 300.0 if first.extras.residual else 3e3
    return find_divisor(measure, probe.structure.num_sets, highest)


@dataclass(frozen=True)
class _Constants:
    """The measure, the constants of the divisor in its units, and the factor that is left over."""

    kind: _Kind
    divisor: Divisor
    factor: float
    notes: tuple[str, ...]


def _constants(
    size: int, measure: Measure, scale: Scale | None, found: Divisor, unit: float
) -> _Constants:
    """Which of the measures that differ by a constant factor it is.

    Args:
        size: of a statistics set.
        measure: the fitted measure.
        scale: with a factor where it is known how large the scale itself is.
        found: the divisor in units of the fitted measure.
        unit: the relative error of the fits.
    """
    kinds = _kinds(measure, size)
    factor = scale.factor if scale is not None else 1.0
    notes: list[str] = []
    if factor is None:
        kind, left = min(kinds, key=lambda kind: _unlikely(kind, found)), 1.0
        if len(kinds) > 1:
            notes.append(
                "the scale is fixed inside, so its size says nothing: of equal formulas the one "
                "with the roundest constants was taken"
            )
    else:
        kind, left = _kind_for(kinds, factor, unit)
        if left != 1.0:
            notes.append(f"the result is multiplied by {left:.4g}{_root_of(left, size)}")
    real = found.times(1 / kind.factor)
    root = math.sqrt(size)
    rounded = Divisor(
        constant_of(real.eps, size, unit),
        constant_of(real.eps_outside, root, unit),
        constant_of(real.floor, root, unit),
    )
    return _Constants(kind, rounded, left, tuple(notes))


def _claim(
    structure: Structure, first: FirstFit, roles: Roles, base: Affine, constants: _Constants
) -> Claim:
    kind, factor = constants.kind, constants.factor
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
        scale=None if scale_axes is None else names_of(structure, scale_axes),
        bias=None if roles.bias is None else names_of(structure, roles.bias),
        scale_shift=shift,
    )
    bias = None if roles.bias is None else along_axes(structure, base.bias, roles.bias)
    return Claim(spec, scale, bias, factor, first.extras)


def _refit(probe: Probe, first: FirstFit, divisor: Divisor) -> Affine:
    """Scale and bias once more, now that the divisor is known exactly."""
    hypothesis = first.fit.hypothesis
    y = np.stack([probe.ask(x)[1] for x in first.x])
    n = hypothesis.centred(first.x) / divisor.of(hypothesis.root(first.x))
    affine = fit_affine(n, first.extras.undo(y, first.x))
    bias = _exact_bias(probe, first.extras, affine)
    return replace(affine, bias=np.where(np.isfinite(bias), bias, affine.bias))


def constant_of(value: float, size: float, unit: float) -> float:
    """A constant as its author wrote it: round itself, or round before it was divided by `size`.

    >>> constant_of(1.0000001e-5, 8, 3e-5)
    1e-05
    >>> constant_of(3.535534e-13, 8**0.5, 3e-5) * 8**0.5
    1e-12
    """
    if digits_needed(value) > 2 >= digits_needed(value * size):
        return plain_number(value * size, unit) / size
    return plain_number(value, unit)


@dataclass(frozen=True)
class _Kind:
    """A measure whose root is the fitted root divided by `factor`."""

    measure: Measure
    ddof: int
    factor: float


def _kinds(measure: Measure, size: int) -> list[_Kind]:
    plain = _Kind(measure, 0, 1.0)
    corrected = _Kind(measure, 1, math.sqrt((size - 1) / size))
    if measure is Measure.VARIANCE:
        return [plain, corrected]
    if measure is Measure.MEAN_SQUARE:
        return [plain, _Kind(Measure.L2, 0, 1 / math.sqrt(size)), corrected]
    return [plain]


def _kind_for(kinds: list[_Kind], factor: float, unit: float) -> tuple[_Kind, float]:
    """The measure that explains the factor, and the constant that is left over."""
    for kind in kinds:
        if abs(factor / kind.factor - 1) < max(1e-5, unit / 4):
            return kind, 1.0
    loose = min(kinds, key=lambda kind: abs(factor / kind.factor - 1))
    if abs(factor / loose.factor - 1) < 3e-4 and loose is kinds[0]:
        return loose, 1.0
    return kinds[0], plain_number(factor, max(1e-5, unit / 4))


def _root_of(constant: float, size: int) -> str:
    for name, value in (
        (f"sqrt({size})", math.sqrt(size)),
        (f"1 / sqrt({size})", 1 / math.sqrt(size)),
        (f"{size}", float(size)),
        (f"1 / {size}", 1 / size),
    ):
        if abs(constant / value - 1) < 1e-4:
            return f" = {name}, of the set size {size}"
    return ""


def _unlikely(kind: _Kind, found: Divisor) -> float:
    """How many digits the constants need with this measure; 1e-5 is rounder than 5e-5."""
    divisor = found.times(1 / kind.factor)
    values = [v for v in (divisor.eps, divisor.eps_outside, divisor.floor) if v]
    digits = sum(digits_needed(v) + 0.5 * (not f"{v:.2e}".startswith("1.00")) for v in values)
    # nobody divides a mean square by N - 1
    return digits + (kind.ddof == 1 and kind.measure is not Measure.VARIANCE)


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

"""A mode that takes no statistic from its input: is it a normalization by stored statistics?

    y = scale * (x - mean) / D(root) + bias

The root is that of a stored variance, or a stored deviation; or nothing is divided.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from normscope.identify.formula.affine_fit import Affine, fit_affine
from normscope.identify.formula.divisor import Divisor, Guard
from normscope.identify.formula.unsolved import Unsolved
from normscope.identify.formula.verify import tolerance
from normscope.identify.memory.stored_arrays import PointwiseProbe, StoredArrays, stored_arrays
from normscope.identify.memory.stored_formula import stored_formula
from normscope.identify.subject.mode import Mode
from normscope.identify.subject.nan_statistics import largest
from normscope.identify.subject.precision import Precision
from normscope.identify.subject.subject import Floats
from normscope.identify.surroundings.activation import Activation, curves, explains
from normscope.identify.surroundings.extras import Extras
from normscope.identify.surroundings.identity_branch import identity_branches, named_branch
from normscope.notation.spec import Measure, NormSpec, Running
from normscope.notation.values import Sizes


@dataclass(frozen=True)
class Stored:
    """A normalization by stored statistics, one along each index of some axes.

    Attributes:
        spec: what it is.
        max_ulp: the largest difference from the reference.
        notes: the evidence.
        axes: along which there is one statistic for each index.
        arrays: the names of the arrays that hold the statistics.
        deviation: what is stored beside the mean is used as a deviation, not as a variance.
        precision: what the mode computes in.
    """

    spec: NormSpec
    max_ulp: float
    notes: tuple[str, ...]
    axes: tuple[int, ...]
    arrays: tuple[str, ...]
    deviation: bool
    precision: Precision


@dataclass(frozen=True)
class Pointwise:
    """No normalization: what each output is made of, in words."""

    words: str
    precision: Precision


def stored_normalization(
    mode: Mode, names: tuple[str, ...], expected: NormSpec | None, residual: float = 0.0
) -> Stored | Pointwise:
    """Examine a pointwise mode.

    Args:
        mode: the mode.
        names: of the axes.
        expected: the spec of the training mode, whose constants are tried first.
        residual: the share of the input that is added to the result.
    """
    bare = PointwiseProbe(mode, names, Extras())
    inputs = bare.inputs(12)
    inputs[6:] *= 1.5  # some large enough for what cuts off at 6
    x, y = bare.ask(inputs)
    extras = _extras(x, y - residual * x, max(1e-4, 4 * mode.eps))
    if extras is None:
        return Pointwise("a nonlinear function of each element alone", mode.precision)
    if extras.activation is not None:  # it is not undone more exactly
        mode = mode.at(mode.precision.float32_at_best())
    probe = PointwiseProbe(mode, names, replace(extras, residual=residual))
    words = _in_words(probe, fit_affine(x, probe.extras.undo(y, x)))
    if not mode.subject.state:
        return Pointwise(words, mode.precision)
    few = 6 if extras.activation or mode.precision.is_half else 2
    arrays = stored_arrays(probe, inputs[:few])
    refusal = _refusal(probe, arrays, expected, words)
    if refusal is not None:
        return Pointwise(refusal, mode.precision)
    state = mode.subject.state
    elsewhere = {  # learned parameters have been moved already
        name: state[name] + mode.rng.uniform(0.3, 0.9, state[name].shape)
        for name in (arrays.scale, arrays.bias)
        if name in state
    }
    with mode.subject.moved(elsewhere):
        return _by_statistics(probe, arrays, expected)


def _refusal(
    probe: PointwiseProbe, found: StoredArrays, expected: NormSpec | None, alone: str
) -> str | None:
    """Why it is not one, as far as the arrays tell: what is subtracted or divided may be anything.

    A shift, or a division, is one by statistics only if training moves the arrays as such.
    """
    subject = probe.mode.subject
    if found.spread is None and found.puzzling:
        return alone
    if len(found.axes) == len(subject.shape):
        return alone  # every element has an array's number of its own
    moves = bool(subject.restless[True] & subject.state.keys())
    running = None if expected is None else expected.running
    if found.spread is None:
        only = moves if expected is None else running is not None and _divides_nothing(expected)
        return None if found.mean is not None and only else alone
    if found.deviation:
        if expected is None and moves:
            return None
        if running is None:
            return alone
        if not running.deviation:
            return "divides by a stored array that training moves towards a variance"
    elif running is not None and running.deviation:
        return "takes the root of a stored array that is a root already, a deviation"
    return None


def _divides_nothing(spec: NormSpec) -> bool:
    return spec.measure is Measure.NONE


def _extras(x: Floats, y: Floats, rounding: float) -> Extras | None:
    """What stands above an affine function of each element; None if nothing explains it."""
    if fit_affine(x, y).residual < rounding:
        return Extras()
    bare = identity_branches(y)
    found: list[tuple[float, Activation]] = []
    for activation in (*bare, *curves()):
        affine = fit_affine(x, activation.undo(y))
        if affine.residual > 1e-3:
            continue
        z = affine.scale * x + affine.bias
        named: Activation | None = activation
        if activation in bare:
            named = named_branch(activation, z, y, 1e-3)
        elif not explains(activation.forward, z, y, 1e-2):
            named = None
        if named is not None:
            found.append((affine.residual, named))
    return Extras(min(found, key=lambda entry: entry[0])[1]) if found else None


def _in_words(probe: PointwiseProbe, affine: Affine) -> str:
    scale = largest(affine.scale - 1) > max(1e-4, 8 * probe.mode.precision.unit)
    bias = largest(affine.bias) > max(1e-4, 8 * probe.mode.precision.unit)
    parts = []
    for there, values, word in (
        (scale, affine.scale, "multiplied"),
        (bias, affine.bias, "shifted"),
    ):
        if there:
            along = probe.varying(values)
            names = " ".join(probe.names[i] for i in along)
            parts.append(f"{word} by {f'one number per {names}' if names else 'a number'}")
    said = " and ".join(parts) or "passed on unchanged"
    after = "" if probe.extras.activation is None else f", then {probe.extras.activation.name}"
    return f"each element alone: {said}{after}"


def _by_statistics(
    probe: PointwiseProbe, arrays: StoredArrays, expected: NormSpec | None
) -> Stored | Pointwise:
    """The spec, with the constants of training if they hold, else with others."""
    mode = probe.mode
    inferred = None if expected is None else _inferred(expected)
    known = None if inferred is None else _divisor_of(inferred)
    formula = stored_formula(probe, arrays, known, tolerance(mode.eps))
    if isinstance(formula, Unsolved):
        return Pointwise(formula.reason, mode.precision)
    if inferred is not None and formula.divisor is known and _same_axes(formula.spec, inferred):
        spec = inferred
    else:
        spec = replace(formula.spec, pattern=None, sizes=Sizes())
    notes = [*probe.extras.words]
    if arrays.mean is None:
        notes.append("no stored mean is subtracted")
    if known is not None and formula.divisor is not known:
        notes.append("inference uses other constants than training")
    return Stored(
        replace(spec, running=_running(mode, arrays, expected)),
        formula.max_ulp,
        tuple(notes),
        arrays.axes,
        tuple(name for name in (arrays.mean, arrays.spread) if name is not None),
        arrays.deviation,
        mode.precision,
    )


def _running(mode: Mode, arrays: StoredArrays, expected: NormSpec | None) -> Running | None:
    """The memory that training has, or one that never changes."""
    subject = mode.subject
    if expected is not None and expected.running is not None:
        return expected.running
    constant = arrays.spread in subject.adapter.constants
    moves = bool(subject.restless[True] & subject.state.keys())
    return None if constant or moves else Running(1.0)


def _inferred(expected: NormSpec) -> NormSpec:
    """What training leads one to expect of inference by stored statistics."""
    return replace(expected.inference(), pattern=None, sizes=Sizes())


def _divisor_of(spec: NormSpec) -> Divisor:
    below = spec.unit_below
    guard = None if below is None else Guard(below, below, 1.0)
    return Divisor(spec.eps, spec.eps_outside, spec.floor, guard)


def _same_axes(spec: NormSpec, expected: NormSpec) -> bool:
    return (spec.scale, spec.bias, spec.center) == (expected.scale, expected.bias, expected.center)

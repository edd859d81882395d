"""A mode that takes no statistic from its input: is it a normalization by stored statistics?

    y = scale * (x - mean) / D(root) + bias

The root is that of a stored variance, or a stored deviation; or nothing is divided.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from normscope.identify.formula.constants import tolerance_of
from normscope.identify.formula.divisor import Curve, Divisor, Guard, plain_number
from normscope.identify.formula.hypotheses import Affine, fit_affine
from normscope.identify.formula.parameters import along_axes
from normscope.identify.formula.scan import find_divisor
from normscope.identify.formula.verify import tolerance
from normscope.identify.memory.stored_arrays import Mover, StoredArrays, stored_arrays
from normscope.identify.sets.structure import Structure, axis_structure
from normscope.identify.subject.nan_statistics import largest, median
from normscope.identify.subject.precision import PRECISIONS
from normscope.identify.subject.subject import Floats, Subject
from normscope.identify.surroundings.extras import (
    Activation,
    Extras,
    curves,
    explains,
    name_selu,
    name_straight,
    straights,
)
from normscope.notation.spec import Measure, NormSpec, Running
from normscope.notation.values import Sizes
from normscope.reference import reference


@dataclass(frozen=True)
class Stored:
    """A normalization by stored statistics, one along each index of some axes."""

    spec: NormSpec
    max_ulp: float
    notes: tuple[str, ...]
    axes: tuple[int, ...]
    arrays: tuple[str, ...]
    """The names of the arrays that hold the statistics."""
    deviation: bool = False
    """Whether what is stored beside the mean is used as a deviation, not as a variance."""


@dataclass(frozen=True)
class Pointwise:
    """No normalization: what each output is made of, in words."""

    words: str


def stored_normalization(
    subject: Subject,
    training: bool,
    names: tuple[str, ...],
    rng: np.random.Generator,
    expected: NormSpec | None,
    residual: float = 0.0,
) -> Stored | Pointwise:
    """Examine a pointwise mode.

    Args:
        subject, training: the mode.
        names: of the axes.
        rng: random numbers.
        expected: the spec of the training mode, whose constants are tried first.
        residual: the share of the input that is added to the result.
    """
    mover = Mover(subject, training, names, rng, Extras())
    inputs = mover.inputs(12)
    inputs[6:] *= 1.5  # some large enough for what cuts off at 6
    x, y = mover.ask(inputs)
    extras = _extras(x, y - residual * x, max(1e-4, 4 * subject.eps))
    if extras is None:
        return Pointwise("a nonlinear function of each element alone")
    extras = replace(extras, residual=residual)
    if extras.activation is not None:  # it is not undone more exactly
        subject.eps = max(subject.eps, PRECISIONS["float32"])
    mover = Mover(subject, training, names, rng, extras)
    alone = Pointwise(_in_words(mover, fit_affine(x, extras.undo(y, x)), extras))
    if not subject.state:
        return alone
    found = stored_arrays(mover, inputs[: 6 if extras.activation or mover.half else 2])
    return _refused(mover, found, expected, alone) or _spec(mover, found, expected)


def _refused(
    mover: Mover, found: StoredArrays, expected: NormSpec | None, alone: Pointwise
) -> Pointwise | None:
    """Why it is none, as far as the arrays tell: what is subtracted or divided may be anything.

    A shift, or a division, is one by statistics only if training moves the arrays as such.
    """
    if found.spread is None and found.puzzling:
        return alone
    if len(found.axes) == len(mover.subject.shape):
        return alone  # every element has an array's number of its own
    moves = bool(mover.subject.restless[True] & mover.subject.state.keys())
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
            return Pointwise("divides by a stored array that training moves towards a variance")
    elif running is not None and running.deviation:
        return Pointwise("takes the root of a stored array that is a root already, a deviation")
    return None


def _divides_nothing(spec: NormSpec) -> bool:
    return spec.measure is Measure.NONE


def _extras(x: Floats, y: Floats, rounding: float) -> Extras | None:
    """What stands above an affine function of each element; None if nothing explains it."""
    if fit_affine(x, y).residual < rounding:
        return Extras()
    bare = straights(y)
    found: list[tuple[float, Activation]] = []
    for activation in (*bare, *curves()):
        affine = fit_affine(x, activation.undo(y))
        if affine.residual > 1e-3:
            continue
        z = affine.scale * x + affine.bias
        named: Activation | None = activation
        if activation in bare:
            named = name_straight(activation, z, y, 1e-3) or name_selu(activation, z, y, 1e-3)
        elif not explains(activation.forward, z, y, 1e-2):
            named = None
        if named is not None:
            found.append((affine.residual, named))
    return Extras(min(found, key=lambda entry: entry[0])[1]) if found else None


def _in_words(mover: Mover, affine: Affine, extras: Extras) -> str:
    scale = largest(affine.scale - 1) > max(1e-4, 8 * mover.unit)
    bias = largest(affine.bias) > max(1e-4, 8 * mover.unit)
    parts = []
    for there, values, word in (
        (scale, affine.scale, "multiplied"),
        (bias, affine.bias, "shifted"),
    ):
        if there:
            along = mover.varying(values)
            names = " ".join(mover.names[i] for i in along)
            parts.append(f"{word} by {f'one number per {names}' if names else 'a number'}")
    said = " and ".join(parts) or "passed on unchanged"
    after = "" if extras.activation is None else f", then {extras.activation.name}"
    return f"each element alone: {said}{after}"


def _spec(mover: Mover, arrays: StoredArrays, expected: NormSpec | None) -> Stored | Pointwise:
    subject = mover.subject
    structure = axis_structure(subject.shape, mover.names, kept=arrays.axes)
    for name in (arrays.scale, arrays.bias):
        if name in subject.state:  # learned parameters have been moved already
            value = subject.state[name]
            subject.write(name, value + mover.rng.uniform(0.3, 0.9, value.shape))
    affine = _neutral(mover, arrays)
    if affine is None:
        return Pointwise("shrinks with the root of a stored array, but is no normalization by it")
    notes: list[str] = [*mover.extras.words]
    if arrays.mean is None:
        notes.append("no stored mean is subtracted")
    inferred = None if expected is None else _inferred(expected)
    known = None if inferred is None else _divisor_of(inferred)
    for divisor in (known, None):
        if divisor is None:
            divisor = _scan(mover, arrays)
            if divisor is None:
                break
        spec = _spec_with(mover, structure, arrays, divisor, affine)
        error = _error(mover, structure, arrays, spec, affine)
        if error <= tolerance(subject.eps):
            if inferred is not None and divisor is known and _same_axes(spec, inferred):
                found = inferred
            else:
                found = replace(spec, pattern=None, sizes=Sizes())
            if known is not None and divisor is not known:
                notes.append("inference uses other constants than training")
            running = None if expected is None else expected.running
            constant = arrays.spread in subject.adapter.constants
            if (
                running is None
                and not constant
                and not subject.restless[True] & subject.state.keys()
            ):
                running = Running(1.0)
            names = tuple(name for name in (arrays.mean, arrays.spread) if name is not None)
            return Stored(
                replace(found, running=running),
                error,
                tuple(notes),
                arrays.axes,
                names,
                arrays.deviation,
            )
    return Pointwise("shrinks with the root of a stored array, but by no known formula")


def _inferred(expected: NormSpec) -> NormSpec:
    """What training leads one to expect of inference by stored statistics."""
    return replace(expected.inference(), pattern=None, sizes=Sizes())


def _divisor_of(spec: NormSpec) -> Divisor:
    below = spec.unit_below
    guard = None if below is None else Guard(below, below, 1.0)
    return Divisor(spec.eps, spec.eps_outside, spec.floor, guard)


def _same_axes(spec: NormSpec, expected: NormSpec) -> bool:
    return (spec.scale, spec.bias, spec.center) == (expected.scale, expected.bias, expected.center)


def _neutral(mover: Mover, arrays: StoredArrays) -> Affine | None:
    """Scale and bias as they are with mean 0 and a large variance, times its root."""
    subject = mover.subject
    if arrays.mean is not None:
        subject.write(arrays.mean, np.zeros(subject.state[arrays.mean].shape))
    root = 1.0
    if arrays.spread is not None:
        # beside a residual, larger inputs hide the rest; half precisions hold no larger squares
        root = 10.0 if mover.extras.residual else 100.0 if mover.half else 1e4
        shape = subject.state[arrays.spread].shape
        subject.write(arrays.spread, np.full(shape, arrays.written(np.array(root))))
    calls = 8 if mover.extras.activation or mover.half else 2
    affine = mover.affine(root * mover.inputs(calls))
    if not affine.residual < max(1e-3, 2 * subject.eps):
        return None
    columns, y = mover.ask(np.zeros((1, *subject.shape)))
    at_zero = mover.extras.undo(y, columns)[0]
    bias = np.where(np.isfinite(at_zero), at_zero, affine.bias)
    return Affine(affine.scale * root, bias, affine.residual)


def _scan(mover: Mover, arrays: StoredArrays) -> Divisor | None:
    """The divisor as a function of the root of the stored variance."""
    subject, structure, name = mover.subject, mover.structure, arrays.spread
    if name is None:
        return Divisor()
    shape = subject.state[name].shape
    count = int(np.prod(shape))
    affine = _neutral(mover, arrays)
    assert affine is not None

    def measure(roots: Floats) -> Curve:
        wanted = np.resize(roots, count)
        subject.write(name, arrays.written(wanted).reshape(shape))
        root = arrays.root(subject.state[name].ravel())
        # the input is free here: large enough to be seen beside the bias
        x = subject.received(_placed(structure, np.maximum(root, 1e-3), arrays.axes))
        columns, y = mover.ask(np.stack([x, -x]))
        outputs = mover.extras.undo(y, columns)
        with np.errstate(all="ignore"):
            slope = (outputs[0] - outputs[1]) / (2 * columns[0])
            inverse = along_axes(structure, slope / affine.scale, arrays.axes).ravel()
            noise = subject.eps * (np.abs(outputs[0]) + np.abs(affine.bias))
            noise = noise / np.abs(affine.scale * columns[0])
            noise = 2 * along_axes(structure, noise, arrays.axes).ravel()
            share = root * inverse
            return Curve(root, share, root * noise + 3 * subject.eps * np.abs(share))

    found = find_divisor(measure, count, 1e3, None)
    if found is None or found.scales:
        return found
    with np.errstate(divide="ignore", invalid="ignore"):
        subject.write(name, np.zeros(shape))
        slope = subject(np.ones(subject.shape), mover.training).reshape(-1, 1) - affine.bias
        at_zero = largest(slope / affine.scale - 1) < 8 * mover.unit
    guarded = at_zero and bool(np.isfinite(slope).all()) and mover.extras == Extras()
    return replace(found, guard=Guard(0.0, 0.0, 1.0)) if guarded else found


def _placed(structure: Structure, values: Floats, axes: tuple[int, ...]) -> Floats:
    sizes = [size if i in axes else 1 for i, size in enumerate(structure.layout.known_sizes)]
    return np.array(np.broadcast_to(values.reshape(sizes), structure.layout.known_sizes))


def _spec_with(
    mover: Mover, structure: Structure, arrays: StoredArrays, divisor: Divisor, affine: Affine
) -> NormSpec:
    scale_axes, bias_axes = mover.varying(affine.scale), mover.varying(affine.bias)
    close = max(1e-4, 8 * mover.unit)
    has_scale = arrays.scale is not None or scale_axes or abs(median(affine.scale) - 1) > close
    has_bias = arrays.bias is not None or largest(affine.bias) > close
    named = [" ".join(mover.names[i] for i in axes) for axes in (scale_axes, bias_axes)]
    nothing = arrays.spread is None
    guard = divisor.guard
    constants = [
        plain_number(value, max(mover.unit, uncertain))
        for value, uncertain in zip(
            (divisor.eps, divisor.eps_outside, divisor.floor), divisor.uncertain, strict=True
        )
    ]
    return NormSpec(
        structure.pattern,
        measure=Measure.NONE if nothing else Measure.VARIANCE,
        eps=constants[0],
        eps_outside=constants[1],
        floor=constants[2],
        unit_below=None if guard is None else tolerance_of(guard, mover.unit),
        center=arrays.mean is not None,
        scale=named[0] if has_scale else None,
        bias=named[1] if has_bias else None,
    )


def _error(
    mover: Mover, structure: Structure, arrays: StoredArrays, spec: NormSpec, affine: Affine
) -> float:
    """The largest error in ulp, over stored variances from far below every epsilon to large."""
    flat = mover.structure
    scale = (
        None if spec.scale is None else along_axes(flat, affine.scale, _indices(mover, spec.scale))
    )
    bias = None if spec.bias is None else along_axes(flat, affine.bias, _indices(mover, spec.bias))
    count = structure.num_sets
    roots = [10.0 ** mover.rng.uniform(-2 if mover.half else -7, 1.5, count) for _ in range(5)]
    if spec.unit_below is not None and arrays.spread is not None:
        roots.append(spec.unit_below * np.resize([0.5, 0.97, 1.03, 2.0], count))
    return max(_error_at(mover, arrays, spec, root, scale, bias) for root in roots)


def _error_at(
    mover: Mover,
    arrays: StoredArrays,
    spec: NormSpec,
    root: Floats,
    scale: Floats | None,
    bias: Floats | None,
) -> float:
    """The error for one stored spread, whose root is given, and a mean of about its size."""
    subject, rng, flat = mover.subject, mover.rng, mover.structure
    size = np.where(root > 0, root, 1.0)
    if arrays.spread is not None:
        shape = subject.state[arrays.spread].shape
        subject.write(arrays.spread, arrays.written(root).reshape(shape))
        root = arrays.root(subject.state[arrays.spread].ravel())
    mean = np.zeros(root.size)
    if arrays.mean is not None:
        mean_shape = subject.state[arrays.mean].shape
        subject.write(arrays.mean, size.reshape(mean_shape) * rng.uniform(-2, 2, mean_shape))
        mean = subject.state[arrays.mean].ravel()
    spread = _placed(flat, size, arrays.axes)
    x = subject.received(spread * rng.uniform(0.5, 2, subject.shape))
    y = subject(x, mover.training)
    z = reference(x, spec, scale=scale, bias=bias, mean=mean, var=root**2)
    # a layer may also compute x * a + b, so what cancels counts too
    parts = np.abs(x) + np.abs(_placed(flat, mean, arrays.axes))
    amplitude = np.abs(z) + np.abs(
        reference(parts, spec, scale=scale, mean=np.zeros_like(mean), var=root**2)
    )
    with np.errstate(all="ignore"):
        expected = mover.extras.apply(z.reshape(-1, 1), x.reshape(-1, 1)).reshape(x.shape)
        error = np.abs(expected - y) / (subject.eps * amplitude)
        error = np.where(expected == y, 0.0, error)
    return float(np.max(np.where(np.isnan(error), np.inf, error)))


def _indices(mover: Mover, names: str) -> tuple[int, ...]:
    return tuple(mover.names.index(name) for name in names.split())

"""A mode that takes no statistic from its input: is it a normalization by stored statistics?

    y = scale * (x - mean) / D(var) + bias

Each array is moved alone. The variance is the one by whose root the result shrinks, the mean the
one that it follows with a minus.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from normscope.identify.divisor import Curve, Divisor, plain_number
from normscope.identify.extras import (
    Activation,
    Extras,
    curves,
    explains,
    name_selu,
    name_straight,
    straights,
)
from normscope.identify.formula import Affine, fit_affine
from normscope.identify.half import PRECISIONS
from normscope.identify.known import largest, median
from normscope.identify.parameters import along_axes, varying_axes
from normscope.identify.scan import find_divisor
from normscope.identify.structure import Structure, axis_structure
from normscope.identify.subject import Floats, Subject
from normscope.identify.verify import tolerance
from normscope.reference import reference
from normscope.spec import NormSpec, Running
from normscope.values import Sizes


@dataclass(frozen=True)
class Stored:
    """A normalization by stored statistics, one along each index of some axes."""

    spec: NormSpec
    max_ulp: float
    notes: tuple[str, ...]
    axes: tuple[int, ...]
    arrays: tuple[str, ...]
    """The names of the arrays that hold the statistics."""


@dataclass(frozen=True)
class Pointwise:
    """No normalization: what each output is made of, in words."""

    words: str


@dataclass(frozen=True)
class _Mover:
    """One mode of a layer that works on each element alone."""

    subject: Subject
    training: bool
    names: tuple[str, ...]
    rng: np.random.Generator
    extras: Extras

    @property
    def structure(self) -> Structure:
        return axis_structure(self.subject.shape, self.names)

    def inputs(self, calls: int) -> Floats:
        """Random inputs; every second one is the negative of the one before."""
        shape = ((calls + 1) // 2, *self.subject.shape)
        normal = self.rng.standard_normal(shape)
        away_from_zero = 2 * normal + np.copysign(0.3, normal)  # where the slope could not be seen
        halves = [self.subject.received(x) for x in away_from_zero]
        return np.stack([sign * x for x in halves for sign in (1, -1)])

    def ask(self, x: Floats) -> tuple[Floats, Floats]:
        """Inputs (calls, axes...) and their outputs, each call as one column."""
        y = np.stack([self.subject(one, self.training) for one in x])
        return x.reshape(len(x), -1, 1), y.reshape(len(x), -1, 1)

    def affine(self, x: Floats) -> Affine:
        columns, y = self.ask(x)
        return fit_affine(columns, self.extras.undo(y, columns), least=2)


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
    mover = _Mover(subject, training, names, rng, Extras())
    inputs = mover.inputs(12)
    inputs[6:] *= 1.5  # some large enough for what cuts off at 6
    x, y = mover.ask(inputs)
    extras = _extras(x, y - residual * x, max(1e-4, 4 * subject.eps))
    if extras is None:
        return Pointwise("a nonlinear function of each element alone")
    extras = replace(extras, residual=residual)
    if extras.activation is not None:  # it is not undone more exactly
        subject.eps = max(subject.eps, PRECISIONS["float32"])
    mover = _Mover(subject, training, names, rng, extras)
    if not subject.state:
        return Pointwise(_in_words(mover, fit_affine(x, extras.undo(y, x)), extras))
    roles = _roles(mover, inputs[:6] if extras.activation else inputs[:2])
    if roles.var is None:
        return Pointwise(_in_words(mover, fit_affine(x, extras.undo(y, x)), extras))
    return _spec(mover, roles, expected)


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


def _in_words(mover: _Mover, affine: Affine, extras: Extras) -> str:
    scale = largest(affine.scale - 1) > 1e-4
    bias = largest(affine.bias) > 1e-4
    parts = []
    for there, values, word in (
        (scale, affine.scale, "multiplied"),
        (bias, affine.bias, "shifted"),
    ):
        if there:
            along = varying_axes(mover.structure, values)
            names = " ".join(mover.names[i] for i in along)
            parts.append(f"{word} by {f'one number per {names}' if names else 'a number'}")
    said = " and ".join(parts) or "passed on unchanged"
    after = "" if extras.activation is None else f", then {extras.activation.name}"
    return f"each element alone: {said}{after}"


@dataclass(frozen=True)
class _Roles:
    mean: str | None
    var: str | None
    scale: str | None
    bias: str | None
    axes: tuple[int, ...]


def _roles(mover: _Mover, x: Floats) -> _Roles:
    """Which array is what, found by moving each alone."""
    subject = mover.subject
    arrays = subject.state  # learned parameters have been moved away from 1 and 0, and so show
    mean = var = scale = bias = None
    axes: tuple[int, ...] = ()
    large = {name: 1e4 * mover.rng.uniform(1, 3, value.shape) for name, value in arrays.items()}
    base = mover.affine(x)
    for name, value in arrays.items():
        scaled = _power(mover, x, name, value, large[name])
        if scaled is not None:
            power, along = scaled
            if abs(power + 0.5) < 0.02:
                var, axes = name, along
            elif power > 0:
                scale = name
            continue
        new = value + mover.rng.uniform(0.5, 1.0, value.shape)
        subject.write(name, new)
        moved = mover.affine(x)
        subject.write(name, value)
        change = median(moved.bias - base.bias)
        if largest(moved.bias - base.bias) < 1e-3:
            continue
        if change > 0 and median(base.scale) > 0:
            bias = name
        else:
            mean = name
    return _Roles(mean, var, scale, bias, axes)


def _power(
    mover: _Mover, x: Floats, name: str, value: Floats, large: Floats
) -> tuple[float, tuple[int, ...]] | None:
    """The power with which the result follows a large array; None if it does not scale it."""
    subject = mover.subject
    second = large * mover.rng.uniform(2, 4, value.shape)
    fits = []
    for new in (large, second):
        subject.write(name, new)
        fits.append(mover.affine(x * 100))
    subject.write(name, value)
    with np.errstate(all="ignore"):
        ratio = fits[1].scale / fits[0].scale
    if not largest(ratio - 1) > 1e-2:
        return None
    along = varying_axes(mover.structure, ratio)
    if along_axes(mover.structure, ratio, along).size != value.size:
        return None
    powers = np.log(np.abs(along_axes(mover.structure, ratio, along).ravel())) / np.log(
        (second / large).ravel()
    )
    return median(powers), along


def _spec(mover: _Mover, roles: _Roles, expected: NormSpec | None) -> Stored | Pointwise:
    subject = mover.subject
    assert roles.var is not None
    structure = axis_structure(subject.shape, mover.names, kept=roles.axes)
    for name in (roles.scale, roles.bias):
        if name in subject.state:  # learned parameters have been moved already
            value = subject.state[name]
            subject.write(name, value + mover.rng.uniform(0.3, 0.9, value.shape))
    affine = _neutral(mover, roles)
    if affine is None:
        return Pointwise("shrinks with the root of a stored array, but is no normalization by it")
    notes: list[str] = [*mover.extras.words]
    if roles.mean is None:
        notes.append("no stored mean is subtracted")
    known = (
        None if expected is None else Divisor(expected.eps, expected.eps_outside, expected.floor)
    )
    for divisor in (known, None):
        if divisor is None:
            divisor = _scan(mover, roles)
            if divisor is None:
                break
        spec = _spec_with(mover, structure, roles, divisor, affine)
        error = _error(mover, structure, roles, spec, affine)
        if error <= tolerance(subject.eps):
            if expected is not None and divisor is known and _same_axes(spec, expected):
                found = replace(expected, pattern=None, sizes=Sizes())
            else:
                found = replace(spec, pattern=None, sizes=Sizes())
            if known is not None and divisor is not known:
                notes.append("inference uses other constants than training")
            running = None if expected is None else expected.running
            constant = roles.var in subject.adapter.constants
            if (
                running is None
                and not constant
                and not subject.restless[True] & subject.state.keys()
            ):
                running = Running(1.0)
            names = tuple(name for name in (roles.mean, roles.var) if name is not None)
            return Stored(replace(found, running=running), error, tuple(notes), roles.axes, names)
    return Pointwise("shrinks with the root of a stored array, but by no known formula")


def _same_axes(spec: NormSpec, expected: NormSpec) -> bool:
    return (spec.scale, spec.bias, spec.center) == (expected.scale, expected.bias, expected.center)


def _neutral(mover: _Mover, roles: _Roles) -> Affine | None:
    """Scale and bias as they are with mean 0 and a large variance, times its root."""
    subject = mover.subject
    assert roles.var is not None
    shape = subject.state.get(roles.var, subject.learned.get(roles.var, np.zeros(0))).shape
    if roles.mean is not None:
        subject.write(roles.mean, np.zeros(subject.state[roles.mean].shape))
    root = 10.0 if mover.extras.residual else 1e4  # beside a residual, larger inputs hide the rest
    subject.write(roles.var, np.full(shape, root**2))
    affine = mover.affine(root * mover.inputs(8 if mover.extras.activation else 2))
    if not affine.residual < 1e-3:
        return None
    columns, y = mover.ask(np.zeros((1, *subject.shape)))
    at_zero = mover.extras.undo(y, columns)[0]
    bias = np.where(np.isfinite(at_zero), at_zero, affine.bias)
    return Affine(affine.scale * root, bias, affine.residual)


def _scan(mover: _Mover, roles: _Roles) -> Divisor | None:
    """The divisor as a function of the root of the stored variance."""
    subject, structure = mover.subject, mover.structure
    assert roles.var is not None
    name = roles.var
    shape = subject.state[name].shape
    count = int(np.prod(shape))
    affine = _neutral(mover, roles)
    assert affine is not None

    def measure(roots: Floats) -> Curve:
        wanted = np.resize(roots, count)
        subject.write(name, (wanted**2).reshape(shape))
        root = np.sqrt(subject.state[name].ravel())
        # the input is free here: large enough to be seen beside the bias
        x = subject.received(_placed(structure, np.maximum(root, 1e-3), roles.axes))
        columns, y = mover.ask(np.stack([x, -x]))
        outputs = mover.extras.undo(y, columns)
        with np.errstate(all="ignore"):
            slope = (outputs[0] - outputs[1]) / (2 * columns[0])
            divisor = affine.scale / slope
            known = along_axes(structure, divisor, roles.axes).ravel()
            noise = (
                subject.eps
                * (np.abs(outputs[0]) + np.abs(affine.bias))
                / np.abs(slope * columns[0])
            )
            sigma = along_axes(structure, noise, roles.axes).ravel()
            share = root / known
        return Curve(root, share, (2 * sigma + 3 * subject.eps) * np.abs(share))

    return find_divisor(measure, count, 1e3, None)


def _placed(structure: Structure, values: Floats, axes: tuple[int, ...]) -> Floats:
    sizes = [size if i in axes else 1 for i, size in enumerate(structure.layout.known_sizes)]
    return np.array(np.broadcast_to(values.reshape(sizes), structure.layout.known_sizes))


def _spec_with(
    mover: _Mover, structure: Structure, roles: _Roles, divisor: Divisor, affine: Affine
) -> NormSpec:
    flat = axis_structure(mover.subject.shape, mover.names)
    scale_axes = varying_axes(flat, affine.scale)
    bias_axes = varying_axes(flat, affine.bias)
    has_scale = roles.scale is not None or scale_axes or abs(median(affine.scale) - 1) > 1e-4
    has_bias = roles.bias is not None or largest(affine.bias) > 1e-4
    named = [" ".join(mover.names[i] for i in axes) for axes in (scale_axes, bias_axes)]
    return NormSpec(
        structure.pattern,
        eps=plain_number(divisor.eps),
        eps_outside=plain_number(divisor.eps_outside),
        floor=plain_number(divisor.floor),
        center=roles.mean is not None,
        scale=named[0] if has_scale else None,
        bias=named[1] if has_bias else None,
    )


def _error(
    mover: _Mover, structure: Structure, roles: _Roles, spec: NormSpec, affine: Affine
) -> float:
    """The largest error in ulp, over stored variances from far below every epsilon to large."""
    subject, rng = mover.subject, mover.rng
    flat = axis_structure(subject.shape, mover.names)
    assert roles.var is not None
    shape = subject.state[roles.var].shape
    scale = (
        None if spec.scale is None else along_axes(flat, affine.scale, _indices(mover, spec.scale))
    )
    bias = None if spec.bias is None else along_axes(flat, affine.bias, _indices(mover, spec.bias))
    worst = 0.0
    for _ in range(5):
        var = 10.0 ** rng.uniform(-14, 3, shape)
        subject.write(roles.var, var)
        var = subject.state[roles.var].ravel()
        mean = np.zeros(var.size)
        size = _placed(flat, np.sqrt(var), roles.axes)
        if roles.mean is not None:
            mean_shape = subject.state[roles.mean].shape
            subject.write(
                roles.mean, np.sqrt(var).reshape(mean_shape) * rng.uniform(-2, 2, mean_shape)
            )
            mean = subject.state[roles.mean].ravel()
        x = subject.received(size * rng.uniform(0.5, 2, subject.shape))
        y = subject(x, mover.training)
        z = reference(x, spec, scale=scale, bias=bias, mean=mean, var=var)
        # a layer may also compute x * a + b, so what cancels counts too
        parts = np.abs(x) + np.abs(_placed(flat, mean, roles.axes))
        amplitude = np.abs(z) + np.abs(
            reference(parts, spec, scale=scale, mean=np.zeros_like(mean), var=var)
        )
        with np.errstate(all="ignore"):
            expected = mover.extras.apply(z.reshape(-1, 1), x.reshape(-1, 1)).reshape(x.shape)
            error = np.abs(expected - y) / (subject.eps * amplitude)
        worst = max(worst, float(np.max(np.where(np.isnan(error), np.inf, error))))
    return worst


def _indices(mover: _Mover, names: str) -> tuple[int, ...]:
    return tuple(mover.names.index(name) for name in names.split())

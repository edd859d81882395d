"""The formula of a normalization by stored statistics: measured by moving what is stored."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from normscope.identify.formula.affine_fit import Affine
from normscope.identify.formula.axes import along_axes
from normscope.identify.formula.constants import tolerance_of
from normscope.identify.formula.divisor import Curve, Divisor, Guard, plain_number
from normscope.identify.formula.scan import find_divisor
from normscope.identify.formula.unsolved import Unsolved
from normscope.identify.memory.stored_arrays import PointwiseProbe, StoredArrays
from normscope.identify.sets.structure import Structure, axis_structure
from normscope.identify.subject.nan_statistics import largest, median
from normscope.identify.subject.subject import Floats
from normscope.identify.surroundings.extras import Extras
from normscope.notation.spec import Measure, NormSpec
from normscope.reference import reference


@dataclass(frozen=True)
class StoredFormula:
    """A spec that reproduces the mode, its divisor, and the largest difference in ulp."""

    spec: NormSpec
    divisor: Divisor
    max_ulp: float


def stored_formula(
    probe: PointwiseProbe, arrays: StoredArrays, known: Divisor | None, allowed: float
) -> StoredFormula | Unsolved:
    """Find the formula.

    Args:
        probe: the mode; its scale and bias are moved away from 1 and 0.
        arrays: what is stored where.
        known: the divisor that training leads one to expect; it is tried first.
        allowed: the difference from the reference, in ulp.
    """
    structure = axis_structure(probe.mode.shape, probe.names, kept=arrays.axes)
    affine = _neutral(probe, arrays)
    if affine is None:
        return Unsolved(
            "shrinks with the root of a stored array, but is no normalization by it", True
        )
    if known is not None:
        found = _with_divisor(probe, structure, arrays, known, affine)
        if found.max_ulp <= allowed:
            return found
    divisor = _scan(probe, arrays)
    if divisor is not None:
        found = _with_divisor(probe, structure, arrays, divisor, affine)
        if found.max_ulp <= allowed:
            return found
    return Unsolved("shrinks with the root of a stored array, but by no known formula", True)


def _with_divisor(
    probe: PointwiseProbe,
    structure: Structure,
    arrays: StoredArrays,
    divisor: Divisor,
    affine: Affine,
) -> StoredFormula:
    """The formula with a divisor, whether or not it reproduces the mode."""
    spec = _spec_with(probe, structure, arrays, divisor, affine)
    return StoredFormula(spec, divisor, _error(probe, structure, arrays, spec, affine))


def _without_mean(probe: PointwiseProbe, arrays: StoredArrays) -> dict[str, Floats]:
    """A stored mean of 0, if there is one."""
    state = probe.mode.subject.state
    return {} if arrays.mean is None else {arrays.mean: np.zeros(state[arrays.mean].shape)}


def _neutral(probe: PointwiseProbe, arrays: StoredArrays) -> Affine | None:
    """Scale and bias as they are with mean 0 and a large variance, times its root."""
    subject, precision = probe.mode.subject, probe.mode.precision
    values = _without_mean(probe, arrays)
    root = 1.0
    if arrays.spread is not None:
        # beside a residual, larger inputs hide the rest; half precisions hold no larger squares
        root = 10.0 if probe.extras.residual else 100.0 if precision.is_half else 1e4
        shape = subject.state[arrays.spread].shape
        values[arrays.spread] = np.full(shape, arrays.written(np.array(root)))
    calls = 8 if probe.extras.activation or precision.is_half else 2
    with subject.moved(values):
        affine = probe.affine(root * probe.inputs(calls))
        if not affine.residual < max(1e-3, 2 * precision.eps):
            return None
        columns, y = probe.ask(np.zeros((1, *subject.shape)))
    at_zero = probe.extras.undo(y, columns)[0]
    bias = np.where(np.isfinite(at_zero), at_zero, affine.bias)
    return Affine(affine.scale * root, bias, affine.residual)


def _scan(probe: PointwiseProbe, arrays: StoredArrays) -> Divisor | None:
    """The divisor as a function of the root of the stored variance."""
    mode, name, structure = probe.mode, arrays.spread, probe.structure
    subject, eps = mode.subject, mode.eps
    if name is None:
        return Divisor()
    shape = subject.state[name].shape
    count = int(np.prod(shape))
    affine = _neutral(probe, arrays)
    assert affine is not None  # it was known a moment ago

    def measure(roots: Floats) -> Curve:
        wanted = np.resize(roots, count)
        with subject.moved({name: arrays.written(wanted).reshape(shape)}):
            root = arrays.root(subject.state[name].ravel())
            # the input is free here: large enough to be seen beside the bias
            x = mode.received(_placed(structure, np.maximum(root, 1e-3), arrays.axes))
            columns, y = probe.ask(np.stack([x, -x]))
        outputs = probe.extras.undo(y, columns)
        with np.errstate(all="ignore"):
            slope = (outputs[0] - outputs[1]) / (2 * columns[0])
            inverse = along_axes(structure, slope / affine.scale, arrays.axes).ravel()
            noise = eps * (np.abs(outputs[0]) + np.abs(affine.bias))
            noise = noise / np.abs(affine.scale * columns[0])
            noise = 2 * along_axes(structure, noise, arrays.axes).ravel()
            share = root * inverse
            return Curve(root, share, root * noise + 3 * eps * np.abs(share))

    with subject.moved(_without_mean(probe, arrays)):
        found = find_divisor(measure, count, 1e3, None)
        if found is None or found.scales:
            return found
        with subject.moved({name: np.zeros(shape)}), np.errstate(divide="ignore", invalid="ignore"):
            slope = mode(np.ones(subject.shape)).reshape(-1, 1) - affine.bias
            at_zero = largest(slope / affine.scale - 1) < 8 * mode.precision.unit
    guarded = at_zero and bool(np.isfinite(slope).all()) and probe.extras == Extras()
    return replace(found, guard=Guard(0.0, 0.0, 1.0)) if guarded else found


def _placed(structure: Structure, values: Floats, axes: tuple[int, ...]) -> Floats:
    sizes = [size if i in axes else 1 for i, size in enumerate(structure.layout.known_sizes)]
    return np.array(np.broadcast_to(values.reshape(sizes), structure.layout.known_sizes))


def _spec_with(
    probe: PointwiseProbe,
    structure: Structure,
    arrays: StoredArrays,
    divisor: Divisor,
    affine: Affine,
) -> NormSpec:
    scale_axes, bias_axes = probe.varying(affine.scale), probe.varying(affine.bias)
    close = max(1e-4, 8 * probe.mode.precision.unit)
    has_scale = arrays.scale is not None or scale_axes or abs(median(affine.scale) - 1) > close
    has_bias = arrays.bias is not None or largest(affine.bias) > close
    named = [" ".join(probe.names[i] for i in axes) for axes in (scale_axes, bias_axes)]
    nothing = arrays.spread is None
    guard = divisor.guard
    constants = [
        plain_number(value, max(probe.mode.precision.unit, uncertain))
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
        unit_below=None if guard is None else tolerance_of(guard, probe.mode.precision.unit),
        center=arrays.mean is not None,
        scale=named[0] if has_scale else None,
        bias=named[1] if has_bias else None,
    )


def _error(
    probe: PointwiseProbe,
    structure: Structure,
    arrays: StoredArrays,
    spec: NormSpec,
    affine: Affine,
) -> float:
    """The largest error in ulp, over stored variances from far below every epsilon to large."""
    flat = probe.structure
    scale = (
        None if spec.scale is None else along_axes(flat, affine.scale, _indices(probe, spec.scale))
    )
    bias = None if spec.bias is None else along_axes(flat, affine.bias, _indices(probe, spec.bias))
    count = structure.num_sets
    roots = [
        10.0 ** probe.mode.rng.uniform(-2 if probe.mode.precision.is_half else -7, 1.5, count)
        for _ in range(5)
    ]
    if spec.unit_below is not None and arrays.spread is not None:
        roots.append(spec.unit_below * np.resize([0.5, 0.97, 1.03, 2.0], count))
    return max(_error_at(probe, arrays, spec, root, scale, bias) for root in roots)


def _error_at(
    probe: PointwiseProbe,
    arrays: StoredArrays,
    spec: NormSpec,
    root: Floats,
    scale: Floats | None,
    bias: Floats | None,
) -> float:
    """The error for one stored spread, whose root is given, and a mean of about its size."""
    subject, rng, flat = probe.mode.subject, probe.mode.rng, probe.structure
    state = subject.state
    size = np.where(root > 0, root, 1.0)
    values = {}
    if arrays.spread is not None:
        values[arrays.spread] = arrays.written(root).reshape(state[arrays.spread].shape)
    if arrays.mean is not None:
        shape = state[arrays.mean].shape
        values[arrays.mean] = size.reshape(shape) * rng.uniform(-2, 2, shape)
    spread = _placed(flat, size, arrays.axes)
    x = probe.mode.received(spread * rng.uniform(0.5, 2, subject.shape))
    mean = np.zeros(root.size)
    with subject.moved(values):
        y = probe.mode(x)
        if arrays.spread is not None:  # as it was rounded
            root = arrays.root(subject.state[arrays.spread].ravel())
        if arrays.mean is not None:
            mean = subject.state[arrays.mean].ravel()
    z = reference(x, spec, scale=scale, bias=bias, mean=mean, var=root**2)
    # a layer may also compute x * a + b, so what cancels counts too
    parts = np.abs(x) + np.abs(_placed(flat, mean, arrays.axes))
    amplitude = np.abs(z) + np.abs(
        reference(parts, spec, scale=scale, mean=np.zeros_like(mean), var=root**2)
    )
    with np.errstate(all="ignore"):
        expected = probe.extras.apply(z.reshape(-1, 1), x.reshape(-1, 1)).reshape(x.shape)
        error = np.abs(expected - y) / (probe.mode.eps * amplitude)
        error = np.where(expected == y, 0.0, error)
    return float(np.max(np.where(np.isnan(error), np.inf, error)))


def _indices(probe: PointwiseProbe, names: str) -> tuple[int, ...]:
    return tuple(probe.names.index(name) for name in names.split())

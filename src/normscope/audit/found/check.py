"""Whether a spec that was found elsewhere reproduces a site: few calls, arrays moved at random."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray

from normscope.identify.formula.verify import tolerance
from normscope.identify.subject.subject import Subject
from normscope.notation.spec import NormSpec
from normscope.reference import reference

Floats = NDArray[np.float64]

_FLOAT32 = 2.0**-23


@dataclass(frozen=True)
class Checked:
    """A spec that reproduces a site in one mode.

    Attributes:
        max_ulp: the largest difference.
        names: of the arrays of the site by role, as far as they could be told.
        arrays: their numbers in the model, by name.
    """

    max_ulp: float
    names: Mapping[str, str] = field(default_factory=dict)
    arrays: Mapping[str, NDArray[Any]] = field(default_factory=dict)


def check(subject: Subject, training: bool, spec: NormSpec) -> Checked | None:
    """The largest difference from the reference; None if the spec does not reproduce the site.

    Args:
        subject: the layer or the site, at a small shape.
        training: the mode.
        spec: what it should be.
    """
    rng = np.random.default_rng(20151)
    moved = {name: rng.uniform(0.4, 1.6, a.shape) for name, a in _floats(subject).items()}
    try:
        with subject.moved(moved):
            if spec.pattern is None:
                return _by_stored(subject, training, spec, rng)
            return _by_input(subject, training, spec, rng)
    except Exception:  # a layer may refuse by any exception; then it is not reproduced
        return None


def _floats(subject: Subject) -> dict[str, Floats]:
    return {**subject.learned, **subject.state}


def _inputs(shape: tuple[int, ...], eps: float, rng: np.random.Generator) -> Iterator[Floats]:
    """Ordinary numbers, some whose spread is that of the epsilon, some with a mean far from 0."""
    yield rng.standard_normal(shape) + rng.uniform(-1, 1, shape[:1] + (1,) * (len(shape) - 1))
    yield rng.standard_normal(shape) * max(np.sqrt(eps), 1e-3)
    yield rng.standard_normal(shape) + 3


def _by_input(
    subject: Subject, training: bool, spec: NormSpec, rng: np.random.Generator
) -> Checked | None:
    bare = replace(spec, scale=None, bias=None, scale_shift=0, running=None)
    xs, ys = [], []
    for x in _inputs(subject.shape, max(spec.eps, spec.eps_outside**2), rng):
        xs.append(subject.received(x))
        ys.append(subject(x, training))
    if any(y.shape != subject.shape for y in ys):
        return None
    zs = [reference(x, bare) for x in xs]
    layout = spec.layout(subject.shape)
    y, z = (np.stack([a.reshape(layout.known_sizes) for a in many]) for many in (ys, zs))
    along = sorted({n for text in (spec.scale, spec.bias) if text for n in layout.named(text)})
    rest = tuple(n for n in range(z.ndim) if n - 1 not in along)
    scale, bias = _fitted(z, y, rest, spec)
    error = np.abs(y - (z * scale + bias))
    size = np.abs(y).max(axis=tuple(range(1, y.ndim)), keepdims=True) + np.abs(bias)
    # a layer of float64 may compute in float32 inside
    for eps in dict.fromkeys((subject.precision.eps, max(subject.precision.eps, _FLOAT32))):
        with np.errstate(all="ignore"):
            ulp = float(np.max(np.where(error == 0, 0.0, error / (eps * size))))
        if ulp <= tolerance(eps):
            found = _named(subject, {"scale": scale, "bias": bias}, spec, 64 * eps)
            return Checked(ulp, found)
    return None


def _fitted(z: Floats, y: Floats, rest: tuple[int, ...], spec: NormSpec) -> tuple[Floats, Floats]:
    """Scale and bias of least squares, one along each index of their axes; 1 and 0 without them."""
    ones = np.ones_like(z.mean(axis=rest, keepdims=True))
    if spec.scale is None and spec.bias is None:
        return ones, 0 * ones
    if spec.scale is None:
        return ones, (y - z).mean(axis=rest, keepdims=True)
    if spec.bias is None:
        return (y * z).sum(rest, keepdims=True) / (z * z).sum(rest, keepdims=True), 0 * ones
    dz = z - z.mean(axis=rest, keepdims=True)
    scale = (dz * y).sum(rest, keepdims=True) / (dz * dz).sum(rest, keepdims=True)
    return scale, (y - scale * z).mean(axis=rest, keepdims=True)


def _named(
    subject: Subject, fitted: dict[str, Floats], spec: NormSpec, tolerated: float
) -> dict[str, str]:
    """Which arrays are scale and bias: those whose numbers are the fitted ones."""
    found: dict[str, str] = {}
    for role, values in fitted.items():
        if (spec.scale if role == "scale" else spec.bias) is None:
            continue
        shift = spec.scale_shift if role == "scale" else 0
        for name, array in _floats(subject).items():
            same = array.size == values.size
            if same and np.allclose(
                values.ravel(), array.ravel() + shift, rtol=max(tolerated, 1e-4)
            ):
                found[role] = name
    return found


def _by_stored(
    subject: Subject, training: bool, spec: NormSpec, rng: np.random.Generator
) -> Checked | None:
    """Each element alone, scaled and shifted as one choice of the arrays would have it."""
    first, second = rng.standard_normal((2, *subject.shape))
    second = first + 2 + np.abs(second)
    y1, y2 = subject(first, training), subject(second, training)
    x1, x2 = subject.received(first), subject.received(second)
    slope = (y2 - y1) / (x2 - x1)
    shift = y1 - slope * x1
    eps = subject.precision.eps
    # half precisions are so coarse that wrong choices pass too: the right one is the closest
    told = (
        one
        for arrays in _along_axes(subject)
        for one in _fitting(spec, arrays, (x1, y1), slope, shift, eps)
    )
    return min(told, key=lambda one: one.max_ulp, default=None)


def _fitting(
    spec: NormSpec,
    arrays: Mapping[str, Floats],
    given: tuple[Floats, Floats],
    slope: Floats,
    shift: Floats,
    eps: float,
) -> Iterator[Checked]:
    """The choices of arrays by which each element is scaled and shifted."""
    x1, y1 = given
    tolerated = max(64 * eps, 1e-5)
    divisors = {name: _divisor(spec, a) for name, a in arrays.items()}
    scales: dict[str, Any] = {"": 1.0} if spec.scale is None else dict(arrays)
    biases: dict[str, Any] = {"": 0.0} if spec.bias is None else dict(arrays)
    means: dict[str, Any] = {"": 0.0} if not spec.center else dict(arrays)
    for (var, divisor), (scale, factor) in product(divisors.items(), scales.items()):
        found_slope = (factor + spec.scale_shift) / divisor
        if var == scale or not _close(slope, found_slope, tolerated):
            continue
        for (mean, center), (bias, offset) in product(means.items(), biases.items()):
            taken = [name for name in (var, scale, mean, bias) if name]
            found_shift = offset - center * found_slope
            if len(set(taken)) < len(taken) or not _close(shift, found_shift, tolerated):
                continue
            roles = {"scale": scale, "bias": bias, "running_mean": mean, "running_var": var}
            error = np.abs(y1 - (x1 * found_slope + found_shift)).max() / (eps * np.abs(y1).max())
            yield Checked(float(error), {role: name for role, name in roles.items() if name})


def _divisor(spec: NormSpec, stored: Floats) -> Floats:
    running = spec.running
    root = stored if running is not None and running.deviation else np.sqrt(stored + spec.eps)
    if running is not None and running.deviation and not running.plus_eps and spec.eps:
        root = np.sqrt(stored**2 + spec.eps)
    result: Floats = np.maximum(root + spec.eps_outside, spec.floor)
    return result


def _along_axes(subject: Subject) -> Iterator[dict[str, Floats]]:
    """The arrays, each laid along an axis that it fits, in all ways; those that fit none are left.

    Arrays of one length lie along the same axis: first along axis 1, where channels often are.
    """
    rank = len(subject.shape)
    arrays = _floats(subject)
    fitting = {
        length: sorted(
            (n for n, size in enumerate(subject.shape) if size == length),
            key=lambda n: (n != 1, -n),
        )
        for length in {array.size for array in arrays.values()} - {1}
    }
    fitting = {length: axes for length, axes in fitting.items() if axes}
    for choice in product(*fitting.values()):
        along = dict(zip(fitting, choice, strict=True))
        found: dict[str, Floats] = {}
        for name, array in arrays.items():
            if array.size == 1:
                found[name] = array.reshape([1] * rank)
            elif array.size in along:
                found[name] = array.reshape(
                    [-1 if n == along[array.size] else 1 for n in range(rank)]
                )
        yield found


def _close(measured: Floats, expected: Any, tolerated: float) -> bool:
    size = float(np.abs(measured).max(initial=0.0)) + 1e-30
    return bool(np.all(np.abs(measured - expected) <= tolerated * 4 * size))

"""Learned parameters: move one, and see which scales and biases follow, along which axes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import permutations

import numpy as np

from normscope.identify.first_fit import FirstFit
from normscope.identify.formula import Affine
from normscope.identify.known import largest, median
from normscope.identify.probe import Probe
from normscope.identify.structure import Structure
from normscope.identify.subject import Floats

_VARIES = 8.0  # times the rounding of the fits: smaller relative differences are rounding
_LINEAR = 33.0

FUNCTIONS: dict[str, Callable[[Floats], Floats]] = {
    "{}": lambda w: w,
    "exp({})": np.exp,
    "softplus({})": lambda w: np.logaddexp(0.0, w),
    "sigmoid({})": lambda w: 1 / (1 + np.exp(-w)),
    "{}**2": lambda w: w**2,
}
"""How a stored parameter may become the scale."""


@dataclass(frozen=True)
class Scale:
    """The scale: s = factor * (w + shift), along some atomic axes; `function` of the stored w."""

    axes: tuple[int, ...]
    factor: float | None
    shift: int = 0
    name: str | None = None
    function: str = "{}"


@dataclass(frozen=True)
class Roles:
    """What the learned parameters do.

    Attributes:
        scale, bias: None if there is none; the bias as its atomic axes.
        bias_name: the parameter that is the plain bias, so that 0 takes it away.
        others: parameters that neither scale nor shift large inputs.
        shaping: parameters that change the statistics themselves.
        puzzling: parameters that scale or shift in a way that is not understood.
        notes: what is unusual.
    """

    scale: Scale | None
    bias: tuple[int, ...] | None
    bias_name: str | None
    others: tuple[str, ...]
    shaping: tuple[str, ...]
    puzzling: tuple[str, ...]
    notes: tuple[str, ...]


def find_roles(probe: Probe, first: FirstFit) -> Roles:
    """Move each parameter alone, and put it back."""
    subject, base = probe.subject, first.fit.affine
    x = first.x[:7] if first.extras.activation else first.x[:3]
    moved: dict[str, tuple[Floats, Floats, Affine]] = {}
    for name, value in subject.learned.items():
        factor = probe.rng.choice([0.5, 0.6, 0.7, 1.4, 1.5, 1.6], value.shape)
        new = np.where(value == 0, 0.5, value) * factor
        subject.write(name, new)
        moved[name] = value, subject.learned[name], probe.affine(first.fit, first.extras, x)
        subject.write(name, value)

    limit = 30 * max(base.residual, probe.rounding / 3)
    unit = probe.rounding
    shaping = tuple(n for n, (_, _, affine) in moved.items() if not affine.residual < limit)
    scaling = [n for n in moved if n not in shaping and _scales(base, moved[n][2], unit)]
    shifting = [
        n
        for n in moved
        if n not in shaping and n not in scaling and _shifts(base, moved[n][2], unit)
    ]
    notes: list[str] = []
    scale = _scale(probe.structure, base, {name: moved[name] for name in scaling}, notes, unit)
    bias, bias_name = _bias(probe.structure, base, {n: moved[n] for n in shifting}, notes, unit)
    others = tuple(n for n in moved if n not in (*shaping, *scaling, *shifting))
    puzzling = []
    if scale is not None and not _enough(probe.structure, scale.axes, scaling, moved):
        puzzling += scaling
    if bias is not None and not _enough(probe.structure, bias, [*scaling, *shifting], moved):
        puzzling += shifting
    return Roles(scale, bias, bias_name, others, shaping, tuple(puzzling), tuple(notes))


def _enough(
    structure: Structure,
    axes: tuple[int, ...],
    names: list[str],
    moved: dict[str, tuple[Floats, Floats, Affine]],
) -> bool:
    """Whether these parameters, if any, hold as many values as vary along the axes."""
    sizes = [structure.layout.known_sizes[i] for i in axes]
    return not names or int(np.prod(sizes)) <= sum(moved[name][0].size for name in names)


def _scales(before: Affine, after: Affine, unit: float) -> bool:
    with np.errstate(all="ignore"):
        change = np.abs(after.scale - before.scale) / np.abs(before.scale)
    return largest(change) > _LINEAR * unit


def _shifts(before: Affine, after: Affine, unit: float) -> bool:
    size = median(np.abs(before.scale)) + largest(before.bias)
    return largest(after.bias - before.bias) > _LINEAR * unit * size


def _scale(
    structure: Structure,
    base: Affine,
    moved: dict[str, tuple[Floats, Floats, Affine]],
    notes: list[str],
    unit: float,
) -> Scale | None:
    if len(moved) == 1:
        ((name, (before, after, affine)),) = moved.items()
        with np.errstate(all="ignore"):
            axes = varying_axes(structure, affine.scale / base.scale, unit)
        scale = _linear(structure, name, axes, (before, after), (base.scale, affine.scale), unit)
        if scale is not None:
            if scale.function != "{}":
                notes.append(f"the scale is {scale.function.format(name)}")
            return scale
    axes = varying_axes(structure, base.scale, unit)
    if moved:
        names = " and ".join(moved)
        notes.append(f"the scale depends on {names}, but is no plain w or 1 + w")
        return Scale(axes, None)
    if not axes:
        constant = median(base.scale)
        return Scale((), constant) if abs(constant) > 0 else None
    return Scale(axes, None)


def _linear(
    structure: Structure,
    name: str,
    axes: tuple[int, ...],
    stored: tuple[Floats, Floats],
    scales: tuple[Floats, Floats],
    unit: float,
) -> Scale | None:
    """S = factor * (f(w) + shift), if so for one order of the axes."""
    sizes = [structure.layout.known_sizes[i] for i in axes]
    if int(np.prod(sizes)) != stored[0].size:
        return None
    if any(not set(varying_axes(structure, scale, unit)) <= set(axes) for scale in scales):
        return None
    along = [along_axes(structure, scale, axes) for scale in scales]
    for order in permutations(range(len(axes))):
        s = np.concatenate([a.transpose(order).ravel() for a in along])
        for written, function in FUNCTIONS.items():
            w = np.concatenate([function(value.ravel()) for value in stored])
            factor, intercept = np.polyfit(w, s, 1)
            spread = np.std(s)
            if np.max(np.abs(factor * w + intercept - s)) > _LINEAR * unit * max(spread, 1e-12):
                continue
            if not (np.isfinite(factor) and factor):
                continue
            shift = intercept / factor
            if abs(shift - round(shift)) < 160 * unit and round(shift) in (0, 1):
                exact = float(np.mean(s * (w + round(shift))) / np.mean((w + round(shift)) ** 2))
                return Scale(axes, exact, round(shift), name, written)
    return None


def _bias(
    structure: Structure,
    base: Affine,
    moved: dict[str, tuple[Floats, Floats, Affine]],
    notes: list[str],
    unit: float,
) -> tuple[tuple[int, ...] | None, str | None]:
    if not moved:
        if largest(base.bias) < 4 * unit * (1 + median(np.abs(base.scale))):
            return None, None
        return varying_axes(structure, base.bias, unit), None
    if len(moved) > 1:
        notes.append(f"several parameters are added: {', '.join(moved)}")
        return varying_axes(structure, base.bias, unit), None
    ((name, (before, after, affine)),) = moved.items()
    change = affine.bias - base.bias
    axes = varying_axes(structure, change, unit)
    sizes = [structure.layout.known_sizes[i] for i in axes]
    if int(np.prod(sizes)) == before.size:
        moved_by = (after - before).ravel()
        along = along_axes(structure, change, axes)
        for order in permutations(range(len(axes))):
            if np.allclose(
                along.transpose(order).ravel(), moved_by, rtol=33 * unit, atol=33 * unit
            ):
                return axes, name
    notes.append(f"the parameter {name} is added before the scale, or with a factor")
    return varying_axes(structure, base.bias, unit), None


def varying_axes(structure: Structure, sets: Floats, unit: float = 3e-5) -> tuple[int, ...]:
    """The atomic axes along which an array in set form varies; NaN says nothing.

    Args:
        structure: the axes.
        sets: the array.
        unit: the relative error of its values.
    """
    apart = structure.apart(sets)
    size = largest(apart)
    found = []
    with np.errstate(all="ignore"):
        for axis in range(apart.ndim):
            if apart.shape[axis] == 1:
                continue
            known = np.where(np.isfinite(apart), apart, np.nan)
            width = np.max(_filled(known, -np.inf).max(axis) - _filled(known, np.inf).min(axis))
            if width > _VARIES * unit * size:
                found.append(axis)
    return tuple(found)


def _filled(values: Floats, by: float) -> Floats:
    return np.where(np.isnan(values), by, values)


def along_axes(structure: Structure, sets: Floats, axes: tuple[int, ...]) -> Floats:
    """The values along some atomic axes: the mean over all others."""
    apart = structure.apart(sets)
    others = tuple(i for i in range(apart.ndim) if i not in axes)
    known = np.isfinite(apart)
    with np.errstate(all="ignore"):
        mean: Floats = np.where(known, apart, 0.0).sum(axis=others) / known.sum(axis=others)
    return mean


def names_of(structure: Structure, axes: tuple[int, ...]) -> str:
    """The names of atomic axes, as a spec writes them."""
    return " ".join(structure.layout.axes[i].name for i in axes)

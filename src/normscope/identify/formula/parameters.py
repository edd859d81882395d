"""Learned parameters: move one, and see which scales and biases follow, along which axes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import permutations

import numpy as np

from normscope.identify.formula.affine_fit import Affine, FirstFit
from normscope.identify.formula.axes import along_axes, varying_axes
from normscope.identify.formula.probe import Probe
from normscope.identify.sets.structure import Structure
from normscope.identify.subject.nan_statistics import largest, median
from normscope.identify.subject.subject import Floats
from normscope.sight.changes import IS_HALF

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
    """The scale: s = factor * (w + shift), along some atomic axes; `function` of the stored w.

    Without a factor, it is fixed inside the layer, or `learned` in some other way.
    """

    axes: tuple[int, ...]
    factor: float | None
    shift: int = 0
    name: str | None = None
    function: str = "{}"
    learned: bool = False


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
    """Move each parameter alone."""
    subject, base = probe.subject, first.fit.affine
    coarse = first.extras.activation is not None or probe.precision.is_half
    x = first.x[:7] if coarse else first.x[:3]
    unit = probe.precision.unit
    moved = {}
    for name, value in subject.learned.items():
        factor = probe.rng.choice([0.5, 0.6, 0.7, 1.4, 1.5, 1.6], value.shape)
        moved[name] = _moved(probe, first, x, name, np.where(value == 0, 0.5, value) * factor)
        for low, high in () if coarse else _OTHER_SIZES:
            if not _silent(base, moved[name][2], unit):
                break  # what is clamped shows only at some sizes
            other = probe.rng.uniform(low, high, value.shape)
            moved[name] = _moved(probe, first, x, name, other)

    limit = 30 * max(base.residual, probe.precision.rounding / 3)
    shaping = tuple(n for n, (_, _, affine) in moved.items() if limit <= affine.residual < np.inf)
    # an activation may cut off so much that nothing is known
    puzzling = [n for n, (_, _, affine) in moved.items() if not np.isfinite(affine.residual)]
    rest = [n for n in moved if n not in shaping and n not in puzzling]
    scaling = [n for n in rest if _scales(base, moved[n][2], unit)]
    shifting = [n for n in rest if n not in scaling and _shifts(base, moved[n][2], unit)]
    notes: list[str] = []
    scale = _scale(probe.structure, base, {name: moved[name] for name in scaling}, notes, unit)
    bias, bias_name = _bias(probe.structure, base, {n: moved[n] for n in shifting}, notes, unit)
    others = tuple(n for n in rest if n not in scaling and n not in shifting)
    if scale is not None and not _enough(probe.structure, scale.axes, scaling, moved):
        puzzling += scaling
    if bias is not None and not _enough(probe.structure, bias, [*scaling, *shifting], moved):
        puzzling += shifting
    return Roles(scale, bias, bias_name, others, shaping, tuple(puzzling), tuple(notes))


_OTHER_SIZES = ((0.05, 0.5), (2.0, 4.0))
"""Where a parameter is tried that shows nothing at its own size."""


def _moved(
    probe: Probe, first: FirstFit, x: Floats, name: str, new: Floats
) -> tuple[Floats, Floats, Affine]:
    """A parameter before and after it is moved, and what it then does."""
    subject = probe.subject
    before = subject.learned[name]
    with subject.moved({name: new}):
        return before, subject.learned[name], probe.affine(first.fit, first.extras, x)


def _silent(before: Affine, after: Affine, unit: float) -> bool:
    """Whether large inputs show nothing of a parameter."""
    if not np.isfinite(after.residual):
        return False
    return not (_scales(before, after, unit) or _shifts(before, after, unit))


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
        with np.errstate(all="ignore"):
            changes = [affine.scale / base.scale for _, _, affine in moved.values()]
        varied = [varying_axes(structure, change, unit) for change in changes]
        along = tuple(sorted({*axes, *(axis for found in varied for axis in found)}))
        return Scale(along, None, learned=True)
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
        known = np.isfinite(s)  # below an activation, a few may not be
        if known.mean() < 0.5:
            return None
        s = s[known]
        for written, function in FUNCTIONS.items():
            w = np.concatenate([function(value.ravel()) for value in stored])[known]
            factor, intercept = np.polyfit(w, s, 1)
            spread = np.std(s)
            if np.max(np.abs(factor * w + intercept - s)) > _LINEAR * unit * max(spread, 1e-12):
                continue
            if not (np.isfinite(factor) and factor):
                continue
            shift = intercept / factor
            if abs(shift - round(shift)) < min(160 * unit, 0.1) and round(shift) in (0, 1):
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
    # an output of a half precision is rounded as a whole, however small the bias in it
    beside = median(np.abs(base.scale)) + largest(base.bias) if unit > IS_HALF else 0.0
    if not moved:
        if largest(base.bias) < 4 * unit * (1 + median(np.abs(base.scale))):
            return None, None
        return varying_axes(structure, base.bias, unit, beside), None
    if len(moved) > 1:
        notes.append(f"several parameters are added: {', '.join(moved)}")
        return varying_axes(structure, base.bias, unit, beside), None
    ((name, (before, after, affine)),) = moved.items()
    change = affine.bias - base.bias
    axes = varying_axes(structure, change, unit, beside)
    sizes = [structure.layout.known_sizes[i] for i in axes]
    if int(np.prod(sizes)) == before.size:
        moved_by = (after - before).ravel()
        along = along_axes(structure, change, axes)
        for order in permutations(range(len(axes))):
            found = along.transpose(order).ravel()
            known = np.isfinite(found)
            error = _LINEAR * unit * max(1.0, beside)
            if known.any() and np.allclose(found[known], moved_by[known], rtol=error, atol=error):
                return axes, name
    notes.append(f"the parameter {name} is added before the scale, or with a factor")
    return tuple(sorted({*axes, *varying_axes(structure, base.bias, unit, beside)})), None

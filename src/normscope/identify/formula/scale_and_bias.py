"""The scale and the bias: along which axes they vary, and how stored parameters become them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import permutations

import numpy as np

from normscope.identify.formula.affine_fit import Affine
from normscope.identify.formula.axes import along_axes, varying_axes
from normscope.identify.sets.structure import Structure
from normscope.identify.subject.nan_statistics import largest, median
from normscope.identify.subject.subject import Floats
from normscope.sight.changes import is_half

NOTICED = 33.0
"""Times the rounding of the fits: smaller relative differences are rounding."""

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
class Bias:
    """The bias.

    Attributes:
        axes: the atomic axes along which it varies.
        name: the parameter that is the plain bias, so that 0 takes it away; None if none is.
    """

    axes: tuple[int, ...]
    name: str | None = None


@dataclass(frozen=True)
class Moved:
    """A parameter that was moved alone.

    Attributes:
        before, after: its values.
        affine: the scale and bias of each element that it then gives.
    """

    before: Floats
    after: Floats
    affine: Affine


Notes = tuple[str, ...]


def scale_of(
    structure: Structure, base: Affine, moved: Mapping[str, Moved], unit: float
) -> tuple[Scale | None, Notes]:
    """The scale, and what is unusual of it.

    Args:
        structure: the axes.
        base: scale and bias of each element before a parameter was moved.
        moved: the parameters that change the scale.
        unit: the relative error of the fits.
    """
    if len(moved) == 1:
        ((name, one),) = moved.items()
        scale = _linear(structure, name, base, one, unit)
        if scale is not None:
            plain = scale.function == "{}"
            return scale, () if plain else (f"the scale is {scale.function.format(name)}",)
    axes = varying_axes(structure, base.scale, unit)
    if moved:
        with np.errstate(all="ignore"):
            changes = [one.affine.scale / base.scale for one in moved.values()]
        varied = [varying_axes(structure, change, unit) for change in changes]
        along = tuple(sorted({*axes, *(axis for found in varied for axis in found)}))
        names = " and ".join(moved)
        words = f"the scale depends on {names}, but is no plain w or 1 + w"
        return Scale(along, None, learned=True), (words,)
    if not axes:
        constant = median(base.scale)
        return (Scale((), constant) if abs(constant) > 0 else None), ()
    return Scale(axes, None), ()


def _linear(
    structure: Structure,
    name: str,
    base: Affine,
    moved: Moved,
    unit: float,
) -> Scale | None:
    """S = factor * (f(w) + shift), if so for one order of the axes."""
    stored, scales = (moved.before, moved.after), (base.scale, moved.affine.scale)
    with np.errstate(all="ignore"):
        axes = varying_axes(structure, scales[1] / scales[0], unit)
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
            if np.max(np.abs(factor * w + intercept - s)) > NOTICED * unit * max(spread, 1e-12):
                continue
            if not (np.isfinite(factor) and factor):
                continue
            shift = intercept / factor
            if abs(shift - round(shift)) < min(160 * unit, 0.1) and round(shift) in (0, 1):
                exact = float(np.mean(s * (w + round(shift))) / np.mean((w + round(shift)) ** 2))
                return Scale(axes, exact, round(shift), name, written)
    return None


def bias_of(
    structure: Structure, base: Affine, moved: Mapping[str, Moved], unit: float
) -> tuple[Bias | None, Notes]:
    """The bias, and what is unusual of it.

    Args:
        structure: the axes.
        base: scale and bias of each element before a parameter was moved.
        moved: the parameters that change the bias alone.
        unit: the relative error of the fits.
    """
    # an output of a half precision is rounded as a whole, however small the bias in it
    beside = median(np.abs(base.scale)) + largest(base.bias) if is_half(unit) else 0.0
    if not moved and largest(base.bias) < 4 * unit * (1 + median(np.abs(base.scale))):
        return None, ()
    axes = varying_axes(structure, base.bias, unit, beside)
    if not moved:
        return Bias(axes), ()
    if len(moved) > 1:
        return Bias(axes), (f"several parameters are added: {', '.join(moved)}",)
    ((name, one),) = moved.items()
    change = one.affine.bias - base.bias
    along = varying_axes(structure, change, unit, beside)
    if _is_plain(structure, along, change, one, NOTICED * unit * max(1.0, beside)):
        return Bias(along, name), ()
    words = f"the parameter {name} is added before the scale, or with a factor"
    return Bias(tuple(sorted({*along, *axes}))), (words,)


def _is_plain(
    structure: Structure, axes: tuple[int, ...], change: Floats, moved: Moved, error: float
) -> bool:
    """Whether the bias changes by just what the parameter was moved by."""
    sizes = [structure.layout.known_sizes[i] for i in axes]
    if int(np.prod(sizes)) != moved.before.size:
        return False
    moved_by = (moved.after - moved.before).ravel()
    along = along_axes(structure, change, axes)
    for order in permutations(range(len(axes))):
        found = along.transpose(order).ravel()
        known = np.isfinite(found)
        if known.any() and np.allclose(found[known], moved_by[known], rtol=error, atol=error):
            return True
    return False

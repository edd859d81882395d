"""What the learned parameters do: each is moved alone, and scale and bias are fitted anew."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from normscope.identify.formula.affine_fit import Affine, FirstFit
from normscope.identify.formula.probe import Probe
from normscope.identify.formula.scale_and_bias import (
    NOTICED,
    Bias,
    Moved,
    Scale,
    bias_of,
    scale_of,
)
from normscope.identify.sets.structure import Structure
from normscope.identify.subject.nan_statistics import largest, median
from normscope.identify.subject.subject import Floats


@dataclass(frozen=True)
class Roles:
    """What the learned parameters do.

    Attributes:
        scale, bias: None if there is none.
        others: parameters that neither scale nor shift large inputs.
        shaping: parameters that change the statistics themselves.
        puzzling: parameters that scale or shift in a way that is not understood.
        notes: what is unusual.
    """

    scale: Scale | None
    bias: Bias | None
    others: tuple[str, ...]
    shaping: tuple[str, ...]
    puzzling: tuple[str, ...]
    notes: tuple[str, ...]


def find_roles(probe: Probe, first: FirstFit) -> Roles:
    """Move each parameter alone, and tell what it does from what then changes."""
    base, unit = first.fit.affine, probe.precision.unit
    moved = _moved_alone(probe, first)
    limit = 30 * max(base.residual, probe.precision.rounding / 3)
    shaping = tuple(n for n, one in moved.items() if limit <= one.affine.residual < np.inf)
    # an activation may cut off so much that nothing is known
    puzzling = [n for n, one in moved.items() if not np.isfinite(one.affine.residual)]
    rest = [n for n in moved if n not in shaping and n not in puzzling]
    scaling = [n for n in rest if _scales(base, moved[n].affine, unit)]
    shifting = [n for n in rest if n not in scaling and _shifts(base, moved[n].affine, unit)]
    structure = probe.structure
    scale, of_scale = scale_of(structure, base, {n: moved[n] for n in scaling}, unit)
    bias, of_bias = bias_of(structure, base, {n: moved[n] for n in shifting}, unit)
    others = tuple(n for n in rest if n not in scaling and n not in shifting)
    if scale is not None and not _enough(structure, scale.axes, scaling, moved):
        puzzling += scaling
    if bias is not None and not _enough(structure, bias.axes, [*scaling, *shifting], moved):
        puzzling += shifting
    return Roles(scale, bias, others, shaping, tuple(puzzling), (*of_scale, *of_bias))


_OTHER_SIZES = ((0.05, 0.5), (2.0, 4.0))
"""Where a parameter is tried that shows nothing at its own size."""


def _moved_alone(probe: Probe, first: FirstFit) -> dict[str, Moved]:
    """What each parameter does when it is moved by a factor, or else to other sizes."""
    base = first.fit.affine
    coarse = first.extras.activation is not None or probe.precision.is_half
    x = first.x[:7] if coarse else first.x[:3]
    found = {}
    for name, value in probe.subject.learned.items():
        factor = probe.rng.choice([0.5, 0.6, 0.7, 1.4, 1.5, 1.6], value.shape)
        found[name] = _moved(probe, first, x, name, np.where(value == 0, 0.5, value) * factor)
        for low, high in () if coarse else _OTHER_SIZES:
            if not _silent(base, found[name].affine, probe.precision.unit):
                break  # what is clamped shows only at some sizes
            other = probe.rng.uniform(low, high, value.shape)
            found[name] = _moved(probe, first, x, name, other)
    return found


def _moved(probe: Probe, first: FirstFit, x: Floats, name: str, new: Floats) -> Moved:
    subject = probe.subject
    before = subject.learned[name]
    with subject.moved({name: new}):
        return Moved(before, subject.learned[name], probe.affine(first.fit, first.extras, x))


def _silent(before: Affine, after: Affine, unit: float) -> bool:
    """Whether large inputs show nothing of a parameter."""
    if not np.isfinite(after.residual):
        return False
    return not (_scales(before, after, unit) or _shifts(before, after, unit))


def _enough(
    structure: Structure,
    axes: tuple[int, ...],
    names: list[str],
    moved: Mapping[str, Moved],
) -> bool:
    """Whether these parameters, if any, hold as many values as vary along the axes."""
    sizes = [structure.layout.known_sizes[i] for i in axes]
    return not names or int(np.prod(sizes)) <= sum(moved[name].before.size for name in names)


def _scales(before: Affine, after: Affine, unit: float) -> bool:
    with np.errstate(all="ignore"):
        change = np.abs(after.scale - before.scale) / np.abs(before.scale)
    return largest(change) > NOTICED * unit


def _shifts(before: Affine, after: Affine, unit: float) -> bool:
    size = median(np.abs(before.scale)) + largest(before.bias)
    return largest(after.bias - before.bias) > NOTICED * unit * size

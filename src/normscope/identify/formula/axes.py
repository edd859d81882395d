"""Along which axes of the pattern numbers in set form vary, and their values along them."""

from __future__ import annotations

import numpy as np

from normscope.identify.sets.structure import Structure
from normscope.identify.subject.nan_statistics import largest
from normscope.identify.subject.subject import Floats

_VARIES = 8.0  # times the rounding of the fits: smaller relative differences are rounding


def varying_axes(
    structure: Structure, sets: Floats, unit: float = 3e-5, beside: float = 0.0
) -> tuple[int, ...]:
    """The atomic axes along which an array in set form varies; NaN says nothing.

    Args:
        structure: the axes.
        sets: the array.
        unit: the relative error of its values.
        beside: the size of what they were seen together with, whose error they share.
    """
    apart = structure.apart(sets)
    size = max(largest(apart), beside)
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

"""Loops: how the memory of all arrays of a call is stepped through along the axes of a layout.

Every array takes part by its strides along the atomic axes, 0 where it does not vary; so
parameters, a mask, broadcast and transposed inputs are all the same case.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from normscope.kernels.contract import OUT, X
from normscope.notation.layout import Layout

Strides = tuple[int, ...]


@dataclass(frozen=True)
class Loop:
    """One loop.

    Attributes:
        size: its length.
        shared: whether the elements along it belong to one statistics set.
        strides: of each array, in the order of the nest: see `normscope.kernels.contract`.
        axes: the atomic axes that it covers.
    """

    size: int
    shared: bool
    strides: Strides
    axes: tuple[int, ...] = ()

    def joins(self, inner: Loop, arrays: Sequence[int]) -> bool:
        """Whether this loop around `inner` steps through `arrays` as one loop would."""
        return all(self.strides[a] == inner.strides[a] * inner.size for a in arrays)

    def joined(self, inner: Loop) -> Loop:
        """The one loop; `joins` holds for the arrays that matter."""
        return Loop(self.size * inner.size, inner.shared, inner.strides, self.axes + inner.axes)


def atomic_strides(layout: Layout, strides: Sequence[int], itemsize: int) -> Strides:
    """The strides, in elements, of an array of the layout's shape along its atomic axes."""
    found = []
    for axis, atom in enumerate(layout.axes):
        inner = [a.size or 0 for a in layout.axes[axis + 1 :] if a.dim == atom.dim]
        found.append(strides[atom.dim] // itemsize * math.prod(inner))
    return tuple(found)


def parameter_strides(layout: Layout, axes: Sequence[int]) -> Strides:
    """The strides of a contiguous parameter along `axes`, in that order."""
    strides = [0] * len(layout.axes)
    step = 1
    for axis in reversed(axes):
        strides[axis] = step
        step *= layout.known_sizes[axis]
    return tuple(strides)


def atoms_of(
    layout: Layout, arrays: Sequence[Strides | None], parameters: Sequence[tuple[int, ...]]
) -> list[Loop]:
    """One loop per atomic axis, outermost in memory first; axes of length 1 are left out."""
    none = (0,) * len(layout.axes)
    full = [strides or none for strides in arrays]
    learned = [parameter_strides(layout, axes) for axes in parameters]
    sets = parameter_strides(layout, layout.kept)
    loops = [
        Loop(size, axis.shared, tuple(s[i] for s in (*full, *learned, sets)), (i,))
        for i, (axis, size) in enumerate(zip(layout.axes, layout.known_sizes, strict=True))
        if size != 1
    ]
    return sorted(loops, key=lambda loop: -abs(loop.strides[X] or loop.strides[OUT]))


def merged(loops: Sequence[Loop], arrays: Sequence[int]) -> list[Loop]:
    """Join neighbouring loops of one role where the strides of `arrays` allow it."""
    found: list[Loop] = []
    for loop in loops:
        if found and found[-1].shared == loop.shared and found[-1].joins(loop, arrays):
            found[-1] = found[-1].joined(loop)
        else:
            found.append(loop)
    return found

"""The content of a picture of one statistics set, before it is drawn: a few cells, and their sets.

Each axis is shrunk to its first few indices, so the picture is a true corner of the array: two
cells have the same number exactly if they lie in the same statistics set. `svg` and `terminal`
draw from here.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate

import numpy as np
from numpy.typing import NDArray

from normscope.notation.axis import AtomicAxis, Part, runs
from normscope.notation.axis_roles import atomic_label
from normscope.notation.layout import Layout
from normscope.notation.shape import Size, product

Numbers = NDArray[np.int64]

MOST_UNKNOWN = 3
"""The number of cells that stand for an axis of unknown length."""

MOST_PARTS = 4
"""The parts of a split axis that are drawn apart; further ones show their first index only."""


LONGEST_LABEL = 20


@dataclass(frozen=True)
class DrawnPart(Part[Size]):
    """A part of an axis, of which so many indices are drawn."""

    name: str
    drawn: int


@dataclass(frozen=True)
class DrawnAxis:
    """One axis of the array, and how much of it is drawn. Only a split axis has several parts."""

    label: str
    size: Size
    parts: tuple[DrawnPart, ...]

    @property
    def drawn(self) -> int:
        """The number of cells."""
        return math.prod(part.drawn for part in self.parts)

    @property
    def shared(self) -> bool:
        """True if a statistics set takes in the whole axis."""
        return bool(self.parts) and all(part.shared for part in self.parts)

    @property
    def extent(self) -> str:
        """The true size in words: `= 128`, `= 4 × 32`, `: any size`."""
        if len(self.parts) < 2:
            return ": any size" if self.size is None else f" = {self.size}"
        return " = " + " × ".join(
            f"any {part.name}" if part.size is None else str(part.size) for part in self.parts
        )

    @property
    def note(self) -> str:
        """The number of its cells that are drawn, unless all are: `(4 drawn)`."""
        counts = [part.drawn for part in self.parts] or [1]
        return "" if self.drawn == self.size else f"({' × '.join(map(str, counts))} drawn)"

    @property
    def caption(self) -> str:
        """The axis in one line: `c = 128 (4 drawn)`."""
        return f"{self.label}{self.extent} {self.note}".rstrip()

    @property
    def owners(self) -> Numbers:
        """For each cell, its place among the sets that lie one after the other along the axis."""
        places = np.zeros(1, np.int64)
        for part in self.parts:
            step = np.zeros(part.drawn, np.int64) if part.shared else np.arange(part.drawn)
            places = np.add.outer(places * (1 if part.shared else part.drawn), step).ravel()
        return places

    @property
    def breaks(self) -> tuple[int, ...]:
        """For each cell, how many levels of groups begin with it; 0 at the start of the axis.

        >>> parts = (DrawnPart(4, False, "g", 3), DrawnPart(32, True, "c", 2))
        >>> DrawnAxis("(g c)", 128, parts).breaks
        (0, 0, 1, 0, 1, 0)
        """
        inner = list(accumulate((part.drawn for part in self.parts[:0:-1]), lambda a, b: a * b))
        return tuple(
            sum(index % length == 0 for length in inner) if index else 0
            for index in range(self.drawn)
        )

    def place(self, index: int) -> str:
        """The cell in words: `c=2`, or `g=1 c=0` on a split axis."""
        if len(self.parts) < 2:
            return f"{self.label}={index}"
        indices = np.unravel_index(index, [part.drawn for part in self.parts])
        return " ".join(f"{p.name}={i}" for p, i in zip(self.parts, indices, strict=True))


NO_AXIS = DrawnAxis("", 1, ())
"""Stands for the rows and the depth that an array of low rank does not have."""


@dataclass(frozen=True, eq=False)
class Picture:
    """The cells to draw. `numbers`: for each cell, its statistics set; `chosen`: the coloured one.

    `set_size` says how many values one set holds; `others` names the other sets, "" without any.
    """

    pattern: str
    axes: tuple[DrawnAxis, ...]
    set_size: str
    others: str

    @property
    def solid(self) -> bool:
        """True if the last three axes are drawn as a block, of which three sides can be seen."""
        return len(self.axes) > 3

    @cached_property
    def numbers(self) -> Numbers:
        """One number for each cell, in the shape of the drawn cells."""
        numbers = np.zeros((), np.int64)
        for axis in self.axes:
            count = math.prod(part.drawn for part in axis.parts if not part.shared)
            numbers = np.add.outer(numbers * count, axis.owners)
        return numbers

    @cached_property
    def chosen(self) -> int:
        """The set that shows most: on blocks the one with most visible faces, else the first."""
        faces = np.ones_like(self.numbers)
        if self.solid:
            faces[:] = 0
            faces[..., :1, :, :] += 1  # the front
            faces[..., :, :1, :] += 1  # the top
            faces[..., :, :, -1:] += 1  # the right side
        seen = np.bincount(self.numbers.ravel(), faces.ravel())
        return int(np.argmax(seen)) if seen.size else -1

    @property
    def description(self) -> str:
        """The picture in two sentences, for those who do not see it."""
        axes = ", ".join(axis.label + axis.extent for axis in self.axes) or "no axes"
        if not self.numbers.size:
            return f"An array with {axes} has no elements."
        parts = [
            (part.shared, axis.label if len(axis.parts) == 1 else part.name)
            for axis in self.axes
            for part in axis.parts
        ]
        along = _listed([name for shared, name in parts if shared]) or "no axis"
        each = _listed([name for shared, name in parts if not shared])
        separate = f", with a separate set for each {each}" if each else " and is the only one"
        return (
            f"An array with {axes}. "
            f"One statistics set, coloured, holds {self.set_size}: it runs along {along}{separate}."
        )


def picture(layout: Layout, labels: Sequence[str]) -> Picture:
    """Choose what to draw of a layout.

    Args:
        layout: a pattern fitted to a shape.
        labels: a display name for each axis of the array.

    Returns:
        The `Picture`.

    Example:
        >>> from normscope import spec
        >>> shown = picture(spec("b [c]").layout((None, 4)), ["b", "c"])
        >>> [axis.caption for axis in shown.axes], shown.set_size
        (['b: any size (3 drawn)', 'c = 4'], '4 values')
        >>> shown.numbers
        array([[0, 0, 0, 0],
               [1, 1, 1, 1],
               [2, 2, 2, 2]])
    """
    labels = [shorter(label, LONGEST_LABEL) for label in labels]
    most = _most_drawn(len(labels))
    axes = [
        DrawnAxis(label, size, _parts(layout.parts(dim), most[dim]))
        for dim, (label, size) in enumerate(zip(labels, layout.shape, strict=True))
    ]
    return Picture(layout.pattern.text, tuple(axes), _set_size(layout, labels), _others(layout))


def _most_drawn(rank: int) -> list[int]:
    """The most cells of each axis: fewer where there are more axes, outermost fewest."""
    innermost_first = {0: [], 1: [6], 2: [6, 6], 3: [6, 6, 4], 4: [5, 5, 4, 3]}.get(
        rank, [4, 4, 3, 3, 2, 2, 2] + [1] * rank
    )
    return innermost_first[:rank][::-1]


def _parts(axes: Sequence[AtomicAxis], most: int) -> tuple[DrawnPart, ...]:
    """The parts of one axis; neighbours alike are one, and one of a single index splits nothing."""
    longer = [axis for axis in axes if axis.size != 1] or axes
    alike = runs(longer)
    sizes = [product([axis.size for axis in run]) for run in alike]
    return tuple(
        DrawnPart(size, run[0].shared, " ".join(axis.name for axis in run), drawn)
        for run, size, drawn in zip(alike, sizes, _drawn(sizes, most), strict=True)
    )


def _drawn(sizes: Sequence[Size], most: int) -> list[int]:
    """The cells of each part: three groups of two, two groups of three, or two of two..."""
    if len(sizes) == 1:
        wanted = [most]
    elif len(sizes) == 2 and most > 3:
        wanted = [2, 3] if sizes[0] == 2 else [3, 2]
    else:
        wanted = [min(2, most)] * MOST_PARTS + [1] * len(sizes)
    return [
        min(count, MOST_UNKNOWN if size is None else size)
        for count, size in zip(wanted, sizes, strict=False)
    ]


def _set_size(layout: Layout, labels: Sequence[str]) -> str:
    """The number of values in one set, in words: `56 values`, `3,136 × b values`."""
    shared = [layout.axes[i] for i in layout.shared]
    known = math.prod(axis.size for axis in shared if axis.size is not None)
    unknown = [atomic_label(layout, axis, labels) for axis in shared if axis.size is None]
    factors = ([f"{known:,}"] if known != 1 or not unknown else []) + unknown
    return " × ".join(factors) + (" value" if factors == ["1"] else " values")


def _others(layout: Layout) -> str:
    if layout.num_sets is None:
        return "the other sets"
    count = layout.num_sets - 1
    return {-1: "", 0: "", 1: "the other set"}.get(count, f"the other {count:,} sets")


def _listed(names: Sequence[str]) -> str:
    """`b, c and h`."""
    return ", ".join(names[:-1]) + (" and " if names[1:] else "") + "".join(names[-1:])


def shorter(text: str, most: int) -> str:
    """The text, cut where it has more characters."""
    return text if len(text) <= most else text[: most - 1] + "…"

"""From what was seen to a pattern: names for the axes, and the array taken apart into its sets."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from normscope.identify.subject.subject import Floats
from normscope.notation.axis import Part
from normscope.notation.layout import Layout, lay_out
from normscope.notation.pattern import parse
from normscope.notation.spec import NormSpec


@dataclass(frozen=True)
class Structure:
    """The statistics sets of one shape, with the pattern that says them.

    Arrays in *set form* are 2-D: one row per statistics set, one column per element of it.
    """

    pattern: str
    sizes: dict[str, int]
    layout: Layout

    @property
    def num_sets(self) -> int:
        """The number of statistics sets."""
        return math.prod(self.layout.known_sizes[i] for i in self.layout.kept)

    @property
    def set_size(self) -> int:
        """The number of elements of one statistics set."""
        return math.prod(self.layout.known_sizes[i] for i in self.layout.shared)

    @property
    def _order(self) -> tuple[int, ...]:
        return (*self.layout.kept, *self.layout.shared)

    def to_sets(self, x: Floats) -> Floats:
        """An array of the input's shape, in set form."""
        apart = np.asarray(x, np.float64).reshape(self.layout.known_sizes)
        return apart.transpose(self._order).reshape(self.num_sets, self.set_size)

    def from_sets(self, sets: Floats) -> Floats:
        """An array in set form, back in the input's shape."""
        sizes = [self.layout.known_sizes[i] for i in self._order]
        apart = np.broadcast_to(sets, (self.num_sets, self.set_size)).reshape(sizes)
        back: Floats = apart.transpose(np.argsort(self._order)).reshape(
            [size or 0 for size in self.layout.shape]
        )
        return back

    def apart(self, sets: Floats) -> Floats:
        """An array in set form, with one axis per atomic axis, in the order of the pattern."""
        return self.from_sets(sets).reshape(self.layout.known_sizes)


def structure(
    shape: tuple[int, ...], names: tuple[str, ...], sets: tuple[tuple[Part[int], ...], ...]
) -> Structure:
    """The pattern for axes that split so.

    >>> grouped = (Part(4, False), Part(2, True))
    >>> found = structure((3, 8), ("b", "c"), ((Part(3, False),), grouped))
    >>> found.pattern, found.sizes
    ('b (g [c])', {'g': 4})
    """
    taken = set(names)
    words: list[str] = []
    sizes: dict[str, int] = {}
    for name, split in zip(names, sets, strict=True):
        if len(split) <= 1:
            words.append(f"[{name}]" if split and split[0].shared else name)
            continue
        inner = []
        named = False
        for number, part in enumerate(split):
            if part.shared and not named:
                called, named = name, True
            else:
                called = _new_name("g" if not part.shared else name, taken)
            if called != name or number:
                sizes[called] = part.size
            inner.append(f"[{called}]" if part.shared else called)
        # one size of a group follows from the others
        sizes.pop(name, None)
        words.append(f"({' '.join(inner)})")
    pattern = " ".join(words).replace("] [", " ")
    return Structure(pattern, sizes, NormSpec(pattern, sizes=sizes).layout(shape))


def axis_structure(
    shape: tuple[int, ...], names: tuple[str, ...], kept: tuple[int, ...] | None = None
) -> Structure:
    """Whole axes: those in `kept` tell sets apart, the others are shared; None keeps all.

    >>> axis_structure((2, 3), ("b", "c"), kept=(1,)).pattern
    '[b] c'
    """
    words = [
        name if kept is None or number in kept else f"[{name}]" for number, name in enumerate(names)
    ]
    pattern = " ".join(words).replace("] [", " ")
    return Structure(pattern, {}, lay_out(parse(pattern), shape))


def _new_name(wanted: str, taken: set[str]) -> str:
    name, number = wanted, 1
    while name in taken:
        number += 1
        name = f"{wanted}{number}"
    taken.add(name)
    return name

"""Sets of unequal size along one axis: a batch in parts, and a remainder.

Such a layer may well be a normalization; no pattern says so, for a pattern splits evenly.
"""

from __future__ import annotations

import numpy as np

from normscope.identify.subject.mode import Mode
from normscope.sight.changes import changes
from normscope.sight.sight import Sight

_MOST = 24
"""More sets are not looked for."""


def unequal_sets(mode: Mode, sight: Sight) -> tuple[int, tuple[int, ...]] | None:
    """The axis that splits into sets of unequal size, and their sizes; None if none does so.

    Args:
        mode: the mode.
        sight: what was seen, with no sets.
    """
    if not (sight.product and sight.same_shape):
        return None
    strange = [number for number, axis in enumerate(sight.axes) if axis.parts is None]
    if len(strange) != 1:
        return None
    axis = strange[0]
    along = _AlongAxis(mode, axis)
    sets: list[frozenset[int]] = []
    while left := set(range(mode.shape[axis])).difference(*sets):
        seen = along.at(min(left), corner=0)
        if min(left) not in seen or seen & set().union(*sets) or len(sets) == _MOST:
            return None
        sets.append(seen)
    if len({len(one) for one in sets}) == 1:
        return None
    # another place along the other axes, and another index of a set, see the same
    again = max(sets, key=len)
    return (axis, tuple(len(one) for one in sets)) if along.at(max(again), -1) == again else None


class _AlongAxis:
    """Which indices along one axis change with one element."""

    def __init__(self, mode: Mode, axis: int) -> None:
        self.mode, self.axis = mode, axis
        x = mode.rng.standard_normal(mode.shape)
        self.x = mode.received(x + np.copysign(0.5, x))
        self.y = mode(self.x)
        self.disturbance = max(40.0, 0.3 * float(np.sqrt(x.size)))

    def at(self, index: int, corner: int) -> frozenset[int]:
        """The indices seen from one, at the first or the last place along the other axes."""
        place = [corner] * self.x.ndim
        place[self.axis] = index
        disturbed = self.x.copy()
        disturbed[tuple(place)] += self.disturbance
        changed = changes(self.y, self.mode(disturbed), self.mode.eps)
        others = tuple(d for d in range(changed.ndim) if d != self.axis)
        return frozenset(np.flatnonzero(changed.any(axis=others)).tolist())


def unequal_in_words(axis: str, sizes: tuple[int, ...]) -> str:
    """What was seen, and what would be seen as a pattern.

    >>> unequal_in_words("b", (3, 2))
    'the elements that see each other form sets of 3 and 2 along b; a pattern splits an axis evenly'
    """
    first, last = ", ".join(map(str, sizes[:-1])), sizes[-1]
    return (
        f"the elements that see each other form sets of {first} and {last} along {axis}; a pattern "
        "splits an axis evenly"
    )

"""`Sight`: what was seen in one mode, when elements of the input were changed one by one."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from normscope.notation.axis import Part
from normscope.sight.changes import Bools, projected
from normscope.sight.index_sets import AxisSight, axis_sight, other_length
from normscope.wording import counted


@dataclass(frozen=True)
class Sight:
    """What was seen in one mode.

    Attributes:
        axes: one entry per axis of the input; empty if the shape changes too much to tell.
        product: whether the elements that change are all combinations of the indices seen per axis.
        reach: how many outputs change with one input: the least and the most that was seen.
        stochastic: two equal calls differ.
        same_shape: the output has the input's shape.
        finite: the outputs are finite numbers.
        output_shape: of the output.
        meeting: an output changed with two of the inputs that were tried, or of two halves.
        examples: what some of the inputs change, in words.
        tried: how many inputs were changed one by one.
        silent: the places of those with which no output changes.
    """

    axes: tuple[AxisSight, ...] = ()
    product: bool = False
    reach: tuple[int, int] = (0, 0)
    stochastic: bool = False
    same_shape: bool = True
    finite: bool = True
    output_shape: tuple[int, ...] = ()
    meeting: bool = False
    examples: tuple[str, ...] = field(default=())
    tried: int = 0
    silent: tuple[tuple[int, ...], ...] = ()

    @property
    def sets(self) -> tuple[tuple[Part[int], ...], ...] | None:
        """How each axis splits, if the elements that see each other form statistics sets."""
        if not (self.product and self.same_shape and self.axes):
            return None
        splits = [axis.parts for axis in self.axes]
        return None if None in splits else tuple(split for split in splits if split is not None)

    @property
    def pointwise(self) -> bool:
        """Each output depends on the input at its own place only."""
        alone = ("independent", "not known")  # of a single index there is nothing else to see
        return self.sets is not None and all(a.word in alone for a in self.axes)

    @property
    def alone(self) -> bool:
        """No output depends on more than one input."""
        return self.pointwise or (self.reach[1] == 1 and not self.meeting)

    def apart(self, axis: int) -> bool | None:
        """Whether no index along an axis sees another; None where that is not known."""
        return self.axes[axis].apart if axis < len(self.axes) else None

    @property
    def words(self) -> tuple[str, ...]:
        """The word of each axis."""
        return tuple(axis.word for axis in self.axes)


def read(
    shape: tuple[int, ...],
    out: tuple[int, ...],
    seen: list[tuple[tuple[int, ...], Bools]],
    filled: float,
    dead: Bools | None = None,
) -> Sight:
    """The sight of one mode, from what each place that was tried has changed.

    Args:
        shape: of the input.
        out: the shape of the output.
        seen: places of the input, and which elements of the output changed with each.
        filled: of a product of index sets, at least such a share must have changed.
        dead: the outputs that never change, if that is known.
    """
    counts = [int(changed.sum()) for _, changed in seen]
    axes: tuple[AxisSight, ...] = ()
    if len(out) == len(shape):
        axes = tuple(_along(dim, shape[dim], out[dim], seen, dead) for dim in range(len(shape)))
    return Sight(
        axes=axes,
        product=all(_is_product(changed, filled) for _, changed in seen),
        reach=(min(counts), max(counts)),
        same_shape=out == shape,
        output_shape=out,
        tried=len(seen),
        silent=tuple(place for place, changed in seen if not changed.any()),
        meeting=bool((np.sum([changed for _, changed in seen], axis=0) > 1).any()),
        examples=tuple(
            f"input {place} changes {count} of {counted(changed.size, 'output')}"
            for (place, changed), count in zip(seen, counts, strict=True)
        ),
    )


def _along(
    dim: int,
    size: int,
    out: int,
    seen: list[tuple[tuple[int, ...], Bools]],
    dead: Bools | None,
) -> AxisSight:
    """What is seen along one axis, whatever happens along the others."""
    found: dict[int, frozenset[int]] = {}
    for place, changed in seen:
        indices = frozenset(np.flatnonzero(projected(changed, dim)).tolist())
        found[place[dim]] = found.get(place[dim], frozenset()) | indices
    if out != size:
        return other_length(out, found)
    if dead is None:
        return axis_sight(size, found)
    alive = np.flatnonzero(projected(~dead, dim)).tolist()
    return axis_sight(size, found, frozenset(range(size)).difference(alive))


def _is_product(changed: Bools, filled: float) -> bool:
    spanned = float(np.prod([projected(changed, dim).sum() for dim in range(changed.ndim)]))
    return bool(changed.sum() >= filled * spanned)

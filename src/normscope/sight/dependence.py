"""From what changed to words: which axis of an output follows an axis of an input, and how."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from normscope.sight.changes import Bools, projected
from normscope.sight.index_sets import axis_sight, other_length
from normscope.sight.index_table import IndexTable


@dataclass(frozen=True)
class AxisDependence:
    """How an output depends on the positions along one axis of an input.

    Attributes:
        axis: its number.
        name: of the axis.
        size: of the axis.
        output_axis: the axis of the output that runs along with it, or None.
        output_size: of that axis, or None.
        word: one of independent, shared, grouped N, interleaved N, window N, causal, anticausal,
            mixed; "none" where nothing changed, "not known" of a single index. Without an axis that
            runs along, "shared" says that all probed positions matter and "mixed" that some do.
        seen: for each probed index of the input, the indices along the output's axis that changed.
    """

    axis: int
    name: str
    size: int
    output_axis: int | None
    output_size: int | None
    word: str
    seen: tuple[tuple[int, frozenset[int]], ...]

    @property
    def table(self) -> IndexTable | None:
        """Which inputs each output sees; None without a second index or an axis that runs along."""
        if self.output_size is None or self.size < 2:
            return None
        return IndexTable.of(self.name, self.size, self.output_size, dict(self.seen))


@dataclass(frozen=True)
class Dependence:
    """How one output depends on one input, axis by axis.

    Attributes:
        input: its name.
        output: its name.
        output_shape: of the output.
        axes: one entry per axis of the input that was probed.
    """

    input: str
    output: str
    output_shape: tuple[int, ...]
    axes: tuple[AxisDependence, ...]

    def along(self, axis: int) -> AxisDependence:
        """The entry of an axis of the input that was probed."""
        return next(entry for entry in self.axes if entry.axis == axis)

    @property
    def none(self) -> bool:
        """The output does not depend on the input."""
        return all(axis.word == "none" for axis in self.axes)


Changed = Mapping[int, Bools]
"""For each probed index along one axis of an input: which elements of an output changed."""


def axis_dependences(
    names: tuple[str, ...], shape: tuple[int, ...], changed: tuple[Changed, ...]
) -> tuple[AxisDependence, ...]:
    """One word per axis of an input that was probed.

    Args:
        names: of the axes of the input.
        shape: of the input.
        changed: for each axis, what changed in the output; empty for one that was not probed.

    Example:
        >>> rows = {0: np.array([[True, False]] * 3), 1: np.array([[False, True]] * 3)}
        >>> axis_dependences(("b",), (2,), (rows,))[0].output_axis
        1
    """
    partners = _partners(shape, changed)
    return tuple(
        _described(axis, names[axis], shape[axis], partners.get(axis), changed[axis])
        for axis in range(len(shape))
        if changed[axis]
    )


def _partners(shape: tuple[int, ...], changed: tuple[Changed, ...]) -> dict[int, int]:
    """The axis of the output that runs along with each axis of the input, where there is one.

    Of those of equal size it is the one along which the least changes, so that a transposition
    is followed; between equals the one at the same place.
    """
    out = next(mask.shape for masks in changed for mask in masks.values())
    choices = sorted(
        (_share(changed[axis], partner), abs(axis - partner), axis, partner)
        for axis, size in enumerate(shape)
        if changed[axis]
        for partner, length in enumerate(out)
        if size == length
    )
    found: dict[int, int] = {}
    for _, _, axis, partner in choices:
        if axis not in found and partner not in found.values():
            found[axis] = partner
    if len(out) == len(shape):
        for axis in range(len(shape)):
            if changed[axis] and axis not in found and axis not in found.values():
                found[axis] = axis  # another length at the same place, as after pooling
    return found


def _share(changed: Changed, partner: int) -> float:
    """Which share of an output's axis changes with an index that changes anything; 1 if none."""
    shares = [projected(mask, partner).mean() for mask in changed.values() if mask.any()]
    return float(np.mean(shares)) if shares else 1.0


def _described(
    axis: int, name: str, size: int, partner: int | None, changed: Changed
) -> AxisDependence:
    if partner is None:
        matters = [mask.any() for mask in changed.values()]
        word = "shared" if all(matters) else "mixed" if any(matters) else "none"
        return AxisDependence(axis, name, size, None, None, word, ())
    seen = {
        index: frozenset(np.flatnonzero(projected(mask, partner)).tolist())
        for index, mask in changed.items()
    }
    length = next(mask.shape[partner] for mask in changed.values())
    word = _word(size, length, seen)
    return AxisDependence(axis, name, size, partner, length, word, tuple(seen.items()))


def _word(size: int, length: int, seen: Mapping[int, frozenset[int]]) -> str:
    return (axis_sight(size, seen) if size == length else other_length(length, seen)).word

"""How much one index of an output changes, where another index of an input has other values."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from normscope.frameworks.arrays import Values
from normscope.scope.calls import Calls, Outputs
from normscope.scope.probe import TRIALS, Probed
from normscope.scope.replacement import Replacement


@dataclass(frozen=True)
class Effect:
    """A change of an output that was measured.

    Attributes:
        output: its name.
        seeing: the index along its axis that changed.
        seen: the index of the input that was given other values.
        change: the largest, of one element.
        spread: the standard deviation of that output.
    """

    output: str
    seeing: int
    seen: int
    change: float
    spread: float

    def __str__(self) -> str:
        return f"by up to {self.change:.3g} (the output's deviation is {self.spread:.3g})"


def effect(
    calls: Calls, training: bool, axes: Sequence[int | None], seeing: int, seen: int
) -> Effect | None:
    """The largest change of one index along an axis with another; None if none was measured.

    Args:
        calls: of the model.
        training: the mode.
        axes: of each input, the axis of which both are indices.
        seeing: the index whose output is measured.
        seen: the index whose input is given other values of those present.
    """
    found: list[Effect] = []
    for number, array in enumerate(calls.inputs.arrays):
        axis = axes[number]
        if axis is None or max(seeing, seen) >= array.shape[axis]:
            continue
        asked = Probed(number, array, axis, Replacement(array))
        for trial in TRIALS[:2] if asked.replacement.possible else ():
            base = calls.outputs(training, stream=trial.stream)
            other = asked.changed(trial, axis, seen)
            changed = calls.outputs(training, {number: other}, trial.stream)
            found += _changes(base, changed, (axis, array.shape[axis]), seeing, seen)
    return max(found, key=lambda one: one.change, default=None)


def _changes(
    base: Outputs, changed: Outputs, along: tuple[int, int], seeing: int, seen: int
) -> list[Effect]:
    found = []
    for name, values in base.items():
        other = changed.get(name)
        at = _axis(values, *along)
        if other is None or other.shape != values.shape or at is None:
            continue
        differ = values.changed(other).take(seeing, at)
        if differ.any():
            moved = np.abs(values.array - other.array).take(seeing, at)[differ]
            change, spread = float(moved.max()), float(values.array.std())
            if np.isfinite(change):
                found.append(Effect(name, seeing, seen, change, spread))
    return found


def _axis(values: Values, axis: int, size: int) -> int | None:
    """The axis of an output that is as long: at its own place, else the first."""
    usual = [at for at in (axis, 0) if at < len(values.shape) and values.shape[at] == size]
    return usual[0] if usual else None

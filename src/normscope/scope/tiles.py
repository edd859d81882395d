"""Is a part of an input treated as the whole is? Seen by calls, on halves and with another half."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from normscope.frameworks.trees import Array
from normscope.scope.calls import Calls, Outputs
from normscope.scope.replacement import Replacement
from normscope.wording import one_line

_SEED = 20152


@dataclass(frozen=True)
class Tiles:
    """What was seen along one axis of the inputs.

    The outer quarter of an output is the one at an end: what reaches it from the other half of the
    input has come across a quarter of the axis or more.

    Attributes:
        far: whether an outer quarter of an output changes with the other half of the input; None
            where no output could be asked.
        difference: the largest, of an output element, between the whole and two tiles; None where
            that could not be measured.
        away: the same in the outer quarters, away from the cut.
        spread: the standard deviation of that output.
        why: why something could not be seen; "" if all was.
    """

    far: bool | None = None
    difference: float | None = None
    away: float | None = None
    spread: float | None = None
    why: str = ""


def tiles(
    calls: Calls, training: bool, axes: Sequence[int | None], outputs: Mapping[str, int]
) -> Tiles:
    """What is seen along an axis, when one half of it is given other values, or is left away.

    Args:
        calls: of the model.
        training: the mode.
        axes: of each input, the axis; None for an input without it.
        outputs: the axis of each output that has it, by the name of the output.
    """
    sizes = {
        array.shape[axis]
        for array, axis in zip(calls.inputs.arrays, axes, strict=True)
        if axis is not None
    } - {1}
    if not outputs:
        return Tiles(why="no output has this axis")
    if len(sizes) != 1 or min(sizes) < 4:
        return Tiles(why="it is too short to be halved; give at least 4 along it")
    cut = min(sizes) // 2
    try:
        # ends that differ, as the sky and the ground of a photograph do
        given, other = (_halves(calls, axes, first) for first in (False, True))
        seen = _far(calls, training, given, other, outputs)
    except Exception as error:  # a model may refuse other values by any exception
        return Tiles(why=f"the model raised {type(error).__name__}: {one_line(error)}")
    try:
        return _compared(calls, training, axes, (given, cut), outputs, seen)
    except Exception as error:  # nor need it take inputs of another shape
        why = f"it takes no tiles: {type(error).__name__}: {one_line(error, 100)}"
        return Tiles(far=seen, why=why)


def with_other_half(array: Array, axis: int, first: bool) -> Array:
    """An input with other values, the larger ones of those present, in one half of an axis.

    >>> x = np.arange(8).reshape(1, 8)
    >>> made = with_other_half(x, 1, first=False)
    >>> (made[:, :4] == x[:, :4]).all(), made[:, 4:].min() >= 4
    (np.True_, np.True_)
    """
    made = array.copy()
    half = np.moveaxis(made, axis, 0)
    cut = array.shape[axis] // 2
    half = half[:cut] if first else half[cut:]
    present = Replacement(array).present
    half[...] = np.random.default_rng(_SEED).choice(present[present.size // 2 :], half.shape)
    return made


def _halves(calls: Calls, axes: Sequence[int | None], first: bool) -> dict[int, Array]:
    """The inputs with other values in one half, by their numbers; those that can have others."""
    return {
        number: with_other_half(array, axis, first)
        for number, (array, axis) in enumerate(zip(calls.inputs.arrays, axes, strict=True))
        if axis is not None and array.shape[axis] > 1 and Replacement(array).possible
    }


def _far(
    calls: Calls,
    training: bool,
    second: dict[int, Array],
    first: dict[int, Array],
    outputs: Mapping[str, int],
) -> bool | None:
    """Whether an outer quarter of an output changes with the other half of the input."""
    if not first:
        return None
    base = calls.outputs(training)
    seen = []
    for changed, at_end in (
        (calls.outputs(training, second), False),
        (calls.outputs(training, first), True),
    ):
        for name, axis in outputs.items():
            values, other = base.get(name), changed.get(name)
            if values is None or other is None:
                continue
            if values.shape != other.shape:
                return True
            seen.append(_outer(values.changed(other), axis, at_end).any())
    return bool(any(seen)) if seen else None


def _outer(array: Array, axis: int, at_end: bool) -> Array:
    """The outer quarter of an axis, of at least one index."""
    size = array.shape[axis]
    quarter = max(size // 4, 1)
    return array.take(range(size - quarter, size) if at_end else range(quarter), axis)


def _compared(
    calls: Calls,
    training: bool,
    axes: Sequence[int | None],
    halves: tuple[dict[int, Array], int],
    outputs: Mapping[str, int],
    far: bool | None,
) -> Tiles:
    """The whole and two tiles."""
    given, cut = halves
    whole = calls.outputs(training, given)
    again = calls.outputs(training, given, stream=None)
    if any(whole[name].changed(again[name]).any() for name in whole):
        return Tiles(far, why="it draws random numbers, others for a tile than for the whole")
    parts = []
    for at_end in (False, True):
        tile = {
            number: np.array(
                np.moveaxis(np.moveaxis(given.get(number, array), axis, 0)[cut:], 0, axis)
                if at_end
                else np.moveaxis(np.moveaxis(given.get(number, array), axis, 0)[:cut], 0, axis)
            )
            for number, (array, axis) in enumerate(zip(calls.inputs.arrays, axes, strict=True))
            if axis is not None and array.shape[axis] > 1
        }
        parts.append(calls.outputs(training, tile))
    return _largest(whole, parts[0], parts[1], outputs, far)


def _largest(
    whole: Outputs, left: Outputs, right: Outputs, outputs: Mapping[str, int], far: bool | None
) -> Tiles:
    found = []
    for name, axis in outputs.items():
        one, two, all_of = left[name].array, right[name].array, whole[name].array
        joined = np.concatenate([one, two], axis)
        if joined.shape != all_of.shape:
            continue
        differ = np.abs(joined - all_of)
        away = max(float(_outer(differ, axis, at_end).max()) for at_end in (False, True))
        if np.isfinite(differ).all():
            found.append((float(differ.max()), away, float(all_of.std())))
    if not found:
        return Tiles(far, why="the outputs of two tiles do not make up that of the whole")
    difference, away, spread = max(found)
    return Tiles(far, difference, away, spread)

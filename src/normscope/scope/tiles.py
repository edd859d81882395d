"""Is a part of an input treated as the whole is? Seen by calls, on halves and with another half."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

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
        early: whether the first quarter changes with the second half, as where statistics of all
            steps reach the first ones.
        difference: the largest, of an output element, between the whole and two tiles; None where
            that could not be measured.
        away: the same in the outer quarters, away from the cut.
        spread: the standard deviation of that output.
        why: why something could not be seen; "" if all was.
    """

    far: bool | None = None
    early: bool | None = None
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
        outputs: the axis of each output that has it, by the name of the output in its graph.
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
    # ends that differ, as the sky and the ground of a photograph do
    second, first = (_halves(calls, axes, half) for half in (False, True))
    if not first:
        return Tiles(why="an input of one value tells of no other; give different values")
    try:
        base, *changed = (calls.outputs(training, made) for made in ({}, second, first))
    except Exception as error:  # a model may refuse other values by any exception
        return Tiles(why=f"the model raised {type(error).__name__}: {one_line(error)}")
    at = {name: axis for name, axis in _named(base, outputs) if all(name in m for m in changed)}
    if not at:
        return Tiles(why="it is not known which output has this axis")
    early, late = (
        any(
            own.shape != made[name].shape
            or bool(_outer(own.changed(made[name]), at[name], at_end).any())
            for name, own in base.items()
            if name in at
        )
        for made, at_end in zip(changed, (False, True), strict=True)
    )
    seen = Tiles(early or late, early)
    again = calls.outputs(training, second, stream=None)
    if any(changed[0][name].changed(again[name]).any() for name in at if name in again):
        return replace(seen, why="it draws random numbers, others for a tile than for the whole")
    cut = min(sizes) // 2
    try:
        parts = [
            calls.outputs(training, _tile(calls, axes, second, part))
            for part in (slice(cut), slice(cut, None))
        ]
    except Exception as error:  # nor need it take inputs of another shape
        why = f"it takes no tiles: {type(error).__name__}: {one_line(error, 100)}"
        return replace(seen, why=why)
    return _largest(changed[0], parts, at, seen)


def _named(base: Outputs, outputs: Mapping[str, int]) -> Iterator[tuple[str, int]]:
    """The outputs of a call by their own names, which have the path before that of the graph."""
    if len(base) == len(outputs) == 1:
        yield next(iter(base)), next(iter(outputs.values()))
        return
    for name, axis in outputs.items():
        alike = [own for own in base if own == name or own.endswith((f".{name}", f"[{name!r}]"))]
        if len(alike) == 1:
            yield alike[0], axis


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


def _outer(array: Array, axis: int, at_end: bool) -> Array:
    """The outer quarter of an axis, of at least one index."""
    size = array.shape[axis]
    quarter = max(size // 4, 1)
    return array.take(range(size - quarter, size) if at_end else range(quarter), axis)


def _tile(
    calls: Calls, axes: Sequence[int | None], given: Mapping[int, Array], part: slice
) -> dict[int, Array]:
    """A part of the inputs along the axis."""
    return {
        number: given.get(number, array)[(slice(None),) * axis + (part,)].copy()
        for number, (array, axis) in enumerate(zip(calls.inputs.arrays, axes, strict=True))
        if axis is not None and array.shape[axis] > 1
    }


def _largest(
    whole: Outputs, parts: Sequence[Outputs], outputs: Mapping[str, int], seen: Tiles
) -> Tiles:
    """The output in which the whole and the tiles differ most."""
    found = []
    for name, axis in outputs.items():
        if not all(name in part for part in parts):
            continue
        joined = np.concatenate([part[name].array for part in parts], axis)
        all_of = whole[name].array
        if joined.shape != all_of.shape:
            continue
        differ = np.abs(joined - all_of)
        away = max(float(_outer(differ, axis, at_end).max()) for at_end in (False, True))
        if np.isfinite(differ).all():
            found.append((float(differ.max()), away, float(all_of.std())))
    if not found:
        return replace(seen, why="the outputs of two tiles do not make up that of the whole")
    difference, away, spread = max(found)
    return replace(seen, difference=difference, away=away, spread=spread)

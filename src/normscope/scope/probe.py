"""`Probe`: what changes in the outputs when a part of an input is given other values."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from normscope.frameworks.trees import Array
from normscope.scope.calls import Calls, Outputs
from normscope.scope.replacement import Replacement
from normscope.sight.changes import Bools
from normscope.sight.dependence import AxisDependence, axis_dependences

Enough = Callable[[Mapping[str, Sequence[AxisDependence]], int], bool]
"""Whether what was seen of each output, along an axis of an input, tells what is asked."""

Masks = dict[int, dict[str, Bools]]
"""For each probed index along an axis: which elements of each output changed."""

ALL_UP_TO = 4  # so many indices of an axis are probed one by one; of more, some
_MORE_UP_TO = 64  # so many, where none of those changes the output but another axis does


@dataclass(frozen=True)
class Trial:
    """One way to probe an axis; what one hides, such as a ReLU or a dropout, another shows.

    Attributes:
        upper: the new values are from the upper half of those present, else from the lower: a
            condition on the values may hold either way.
        turned: by so many places the samples are turned before: each index holds another sample.
        stream: of random numbers, where the model draws any.
    """

    upper: bool
    turned: int = 0
    stream: int = 0


TRIALS = (
    Trial(upper=True),
    Trial(upper=False, stream=1),
    Trial(upper=True, turned=1, stream=2),
    Trial(upper=False, turned=2),
    Trial(upper=False, turned=1, stream=1),
    Trial(upper=True, turned=2, stream=2),
)
_FOR_SAMPLES = 3  # trials of the axis of the samples
_STOCHASTIC = 3  # of every axis where random numbers are drawn


@dataclass(frozen=True)
class Probed:
    """The input that is probed; equal trials give it equal values."""

    number: int
    array: Array
    sample_axis: int
    replacement: Replacement

    def turned(self, places: int) -> Array:
        """Each sample at the place of another."""
        return np.roll(self.array, places, self.sample_axis) if places else self.array

    def changed(self, trial: Trial, axis: int, index: int) -> Array:
        """The input of a trial, with other values at one index of one axis."""
        return self.replacement.at(self.turned(trial.turned), axis, index, trial.upper)


class Probe:
    """The probing of one mode of a model.

    Attributes:
        all_up_to: of a longer axis only some indices are given other values.
        all_axes: all axes are probed, else those of the samples only.
        enough: tells of what was seen along the axis of the samples that no more need be; None if
            all is to be seen. It is asked after each trial.
        last_first: it is asked after each index too, from the last on.
        base: the outputs for the inputs as given.
        stochastic: the model draws random numbers.
        changing_shape: the outputs whose shape depends on the values.
        refused: for some inputs, what the model raised on other values of them.
    """

    def __init__(
        self,
        calls: Calls,
        training: bool,
        all_axes: bool = True,
        all_up_to: int = ALL_UP_TO,
        enough: Enough | None = None,
        last_first: bool = False,
    ) -> None:
        self.calls = calls
        self.all_axes = all_axes
        self.all_up_to = all_up_to
        self.enough = None if all_axes else enough
        self.last_first = last_first
        self.training = training
        self.stochastic = False
        self.changing_shape: set[str] = set()
        self.refused: dict[str, Exception] = {}
        self.base = calls.outputs(training)
        self._bases: dict[tuple[int, int, int], Outputs] = {}

    def input(
        self, number: int, names: tuple[str, ...], sample_axis: int
    ) -> dict[str, tuple[AxisDependence, ...]]:
        """How each output depends on one input; nothing if the model refuses all other values."""
        array = self.calls.inputs.arrays[number]
        asked = Probed(number, array, sample_axis, Replacement(array))
        probed = range(array.ndim) if self.all_axes else [sample_axis]
        seen: list[Masks] = [{} for _ in array.shape]
        left = {}  # for each axis, the trials that are left for what is still unclear
        for axis in probed:
            masks = seen[axis]
            count = _FOR_SAMPLES if axis == sample_axis else 1
            count = max(count, _STOCHASTIC if self.stochastic else 1)
            for trial in TRIALS[:count]:
                for indices in self._portions(array.shape[axis]):
                    self._try(asked, axis, trial, masks, indices)
                    if self.enough is not None and masks:
                        found = dict(self._words(names, array.shape, seen))
                        if self.enough(found, axis):
                            return found
            if not masks:
                return {}
            left[axis] = list(TRIALS[count:])
        for axis in self._silent(seen, probed):
            others = [i for i in range(min(array.shape[axis], _MORE_UP_TO)) if i not in seen[axis]]
            for trial in TRIALS[:2]:
                self._try(asked, axis, trial, seen[axis], others)
        while True:
            found = dict(self._words(names, array.shape, seen))
            words = {(axis.axis, axis.word) for axes in found.values() for axis in axes}
            mixed = {n for n in left if (n, "mixed") in words}
            # what shows nothing new is as it is
            grew = {n for n in mixed if left[n] and self._try(asked, n, left[n].pop(0), seen[n])}
            if not grew:
                return found
            left = {n: left[n] for n in grew}

    def _words(
        self, names: tuple[str, ...], shape: tuple[int, ...], seen: list[Masks]
    ) -> Iterator[tuple[str, tuple[AxisDependence, ...]]]:
        for output in self.base:
            changed = tuple({i: masks[output] for i, masks in along.items()} for along in seen)
            yield output, axis_dependences(names, shape, changed)

    @staticmethod
    def _silent(seen: list[Masks], probed: Sequence[int]) -> list[int]:
        """The axes of which no probed index changes anything, or what another axis changes."""
        changing = {
            axis: {n for masks in seen[axis].values() for n, mask in masks.items() if mask.any()}
            for axis in probed
        }
        every = set().union(*changing.values())
        return [axis for axis, names in changing.items() if names != every or not names]

    def _try(
        self,
        asked: Probed,
        axis: int,
        trial: Trial,
        seen: Masks,
        indices: list[int] | None = None,
    ) -> bool:
        """Add what one trial shows along one axis; whether that is more than was seen before."""
        grew = False
        for index in self._indices(asked.array.shape[axis]) if indices is None else indices:
            try:
                masks = self._changed(asked, axis, index, trial)
            except Exception as error:  # other values may be refused by any exception
                self.refused[self.calls.inputs.names[asked.number]] = error
                continue
            known = seen.get(index)
            seen[index] = masks if known is None else {n: known[n] | m for n, m in masks.items()}
            grew |= known is None or any((m & ~known[n]).any() for n, m in masks.items())
        return grew

    def _indices(self, size: int) -> list[int]:
        """All of a short axis; of a long one both ends with a neighbour, and the middle."""
        middle = size // 2
        some = {0, 1, middle - 1, middle, size - 2, size - 1}
        return list(range(size)) if size <= self.all_up_to else sorted(some)

    def _portions(self, size: int) -> list[list[int]]:
        """The indices of an axis that are given other values before it is asked to stop."""
        indices = self._indices(size)
        return [[index] for index in reversed(indices)] if self.last_first else [indices]

    def _changed(self, asked: Probed, axis: int, index: int, trial: Trial) -> dict[str, Bools]:
        """Which elements of each output change; all, where it is gone or has another shape."""
        stream = trial.stream if self.stochastic else 0
        turned = asked.turned(trial.turned)
        base = self._base(asked.number, turned, (trial.turned, stream))
        other = asked.changed(trial, axis, index)
        outputs = self.calls.outputs(self.training, {asked.number: other}, stream)
        masks = {}
        for name, first in self.base.items():
            one, two = base.get(name), outputs.get(name)
            if one is None or two is None or not first.shape == one.shape == two.shape:
                self.changing_shape.add(name)
                masks[name] = np.ones(first.shape, bool)
            else:
                masks[name] = one.changed(two)
        return masks

    def _base(self, number: int, turned: Array, way: tuple[int, int]) -> Outputs:
        """The outputs to compare with: those of the same trial without other values."""
        if way == (0, 0):
            return self.base
        key = (number if way[0] else -1, *way)
        if key not in self._bases:
            self._bases[key] = self.calls.outputs(self.training, {number: turned}, way[1])
        return self._bases[key]


def samples_meet(found: Mapping[str, Sequence[AxisDependence]], sample_axis: int) -> bool:
    """Whether a sample was seen to depend on another."""
    return any(
        seeing != seen
        for axes in found.values()
        for axis in axes
        if axis.axis == sample_axis
        and axis.output_axis in (0, sample_axis)
        and axis.size == axis.output_size
        for seen, indices in axis.seen
        for seeing in indices
    )

"""One mode of a model, from the first call to a verdict."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from normscope.frameworks.mode_telling import advice_on
from normscope.graph.proof import Verdict as Proved
from normscope.notation.axis_roles import sample_axis
from normscope.scope.calls import Calls, Outputs
from normscope.scope.first import First, SamplePair, first_place
from normscope.scope.probe import ALL_UP_TO, TRIALS, Probe, Probed, samples_meet
from normscope.scope.proved import Traced, judged, traced
from normscope.scope.replacement import Replacement
from normscope.scope.result import ModeScope
from normscope.scope.samples import Coupling, Verdict, one_sample
from normscope.sight.dependence import Dependence
from normscope.sight.index_table import MOST
from normscope.sight.verdict import Samples, Through, Word
from normscope.wording import one_line


class Examination:
    """The examination of one model: its modes, with common inputs and random numbers.

    Attributes:
        calls: of the model.
        names: of the axes of each input.
        show: "indices", if all indices of short axes are asked for.
        all_axes: all axes are probed, also where the samples are proved to be apart.
        names_first: the submodule is looked for through which samples see each other first.
        sample_axes: the axis of the samples in each input that has axes, by name.
    """

    def __init__(
        self,
        calls: Calls,
        names: list[tuple[str, ...]],
        show: str | None = None,
        all_axes: bool = False,
        names_first: bool = True,
    ) -> None:
        self.names_first = names_first
        self.show = show
        self.all_axes = all_axes or show is not None
        self.calls = calls
        self.names = names
        self.sample_axes = {
            name: sample_axis(axes)
            for name, axes in zip(calls.inputs.names, names, strict=True)
            if axes
        }

    def mode(self, training: bool, found: Traced | None = None) -> ModeScope:
        """Examine one mode: by its operators, then what they leave open by calls.

        Whatever the model raises is evidence.

        Args:
            training: the mode.
            found: what its operators say, where they were followed before.
        """
        inputs = self.calls.inputs
        axes = [self.sample_axes.get(name) for name in inputs.names]
        found = found or traced(self.calls.model, inputs, training, axes)
        if found.proof.verdict is Proved.APART and not self.all_axes:
            samples = Samples(Word.PROVED, None, found.proof.why)
            notes: tuple[str, ...] = (f"proved {samples.why}",)
            return ModeScope((), True, None, None, found.draws, notes, samples)
        try:
            mode = self._mode(training, found.proof.verdict is Proved.MEET)
        except Exception as error:  # a model may answer a call by any exception
            notes = _raised("the model raised", error), *self._single_samples()
            mode = ModeScope(notes=notes)
        return self._judged(mode, found)

    def _judged(self, mode: ModeScope, found: Traced) -> ModeScope:
        """Together with what the operators say."""
        first = None if mode.first is None else Through(mode.first.path, mode.first.type)
        independent = mode.samples_independent
        if found.proof.verdict is Proved.APART and independent is None and mode.dependences:
            independent = True  # proved, also where no probe tells
        samples = judged(found.proof, independent, first)
        notes = mode.notes
        if samples.verdict is Word.UNKNOWN and found.proof.verdict is Proved.MEET:
            independent, notes = None, (samples.why, *notes)
        elif samples.verdict is Word.PROBED:
            notes = (f"not proved: {samples.why}", *notes)
        elif samples.verdict is Word.PROVED:
            notes = (f"proved {samples.why}", *notes)
        elif samples.through is not None:  # where they meet is known, though nothing was watched
            notes = tuple(note for note in notes if note != self.calls.model.opaque)
        return replace(mode, samples_independent=independent, samples=samples, notes=notes)

    def _mode(self, training: bool, hasty: bool) -> ModeScope:
        most = MOST if self.show else ALL_UP_TO
        probe = Probe(self.calls, training, self.all_axes, most, samples_meet if hasty else None)
        if not any(np.isfinite(values.array).any() for values in probe.base.values()):
            return ModeScope(notes=("the output holds no finite number",))
        probe.stochastic = _differs(probe.base, self.calls.outputs(training, stream=None))
        if probe.stochastic and _differs(probe.base, self.calls.outputs(training)):
            return ModeScope(stochastic=True, notes=(_UNREPEATABLE,))
        dependences = tuple(self._dependences(probe))
        verdict = Verdict.of(dependences, self.sample_axes)
        coupling, first, notes = verdict.coupling, None, verdict.notes
        if coupling is not None and self.names_first:
            first, notes = self._first(training, coupling)
        return ModeScope(
            dependences,
            verdict.independent,
            None if coupling is None else (coupling.seeing, coupling.seen),
            first,
            probe.stochastic,
            (*notes, *_notes(probe), *_silent(dependences)),
        )

    def _dependences(self, probe: Probe) -> Iterator[Dependence]:
        inputs = self.calls.inputs
        for number, (name, array) in enumerate(zip(inputs.names, inputs.arrays, strict=True)):
            if array.size and array.ndim and Replacement(array).possible:
                found = probe.input(number, self.names[number], self.sample_axes[name])
                for output, axes in found.items():
                    yield Dependence(name, output, probe.base[output].shape, axes)

    def _first(self, training: bool, coupling: Coupling) -> tuple[First | None, tuple[str, ...]]:
        """Where the two samples meet first, from runs in which the submodules are watched."""
        if self.calls.model.opaque:
            return None, (self.calls.model.opaque,)
        number = self.calls.inputs.names.index(coupling.input)
        array, axis = self.calls.inputs.arrays[number], self.sample_axes[coupling.input]
        asked = Probed(number, array, axis, Replacement(array))
        samples = SamplePair(array.shape[axis], axis, coupling.seeing)
        try:
            for trial in TRIALS:  # of which one has shown that the samples see each other
                base, seen, seeing = (
                    self.calls.steps(training, {number: value}, trial.stream)
                    for value in (
                        asked.turned(trial.turned),
                        asked.changed(trial, axis, coupling.seen),
                        asked.changed(trial, axis, coupling.seeing),
                    )
                )
                place = first_place(base, seen, seeing, samples)
                if place is not None:
                    return place, ()
        except Exception as error:  # a model may refuse to be watched by any exception
            return None, (_raised("its submodules cannot be watched:", error),)
        return None, ("no submodule was found through which samples see each other",)

    def notes(self) -> Iterator[str]:
        """What holds of the inputs in every mode."""
        for name, array in zip(self.calls.inputs.names, self.calls.inputs.arrays, strict=True):
            if array.size and array.ndim and not Replacement(array).possible:
                yield (
                    f"{name} holds one value only, so no other valid value is known and nothing "
                    "can be said of it: give different values"
                )

    def _single_samples(self) -> Iterator[str]:
        for name, array in zip(self.calls.inputs.names, self.calls.inputs.arrays, strict=True):
            if array.ndim and array.shape[self.sample_axes[name]] == 1:
                yield one_sample(name)


_UNREPEATABLE = (
    "two equal calls give different outputs, and no generator that is known repeats them: make the "
    "model repeatable, for example by a seed that it takes"
)


def _differs(base: Outputs, again: Outputs) -> bool:
    return again.keys() != base.keys() or any(base[n].changed(again[n]).any() for n in again)


def _notes(probe: Probe) -> Iterator[str]:
    if probe.stochastic:
        yield "it draws random numbers; calls that are compared were given the same ones"
    for name in sorted(probe.changing_shape):
        yield f"the shape of {name} depends on the values"
    for name, error in probe.refused.items():
        yield _raised(f"with other values of {name} the model raised", error)


def _silent(dependences: tuple[Dependence, ...]) -> Iterator[str]:
    """Which indices of an input change nothing in an output that others change."""
    for pair in dependences:
        for axis in pair.axes:
            silent = [str(index) for index, changed in axis.seen if not changed]
            if silent and axis.word != "none":
                plural = "indices" if len(silent) > 1 else "index"
                some = ", ".join(silent[:6]) + (", ..." if len(silent) > 6 else "")
                where = f"{plural} {some} of {axis.name} in {pair.input}"
                yield f"{pair.output} does not change with {where}"


def _raised(before: str, error: Exception) -> str:
    advice = "".join(f"; {note}" for note in advice_on(error))
    return f"{before} {type(error).__name__}: {one_line(error)}{advice}"

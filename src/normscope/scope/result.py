"""`Scope`: which positions of a model's outputs depend on which positions of its inputs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from normscope.notebook import Report
from normscope.scope.first import First
from normscope.sight.dependence import Dependence as Dependence
from normscope.sight.verdict import Samples as Samples

MODES = ("training", "inference")


@dataclass(frozen=True)
class ModeScope:
    """The findings in one mode.

    Attributes:
        dependences: one for each pair of an input and an output, along the axes that were probed;
            none where a proof made probing needless.
        samples_independent: whether no sample's output depends on another sample; None if unknown.
        pair: two samples, of which the first sees the second; None if none does.
        first: the submodule through which it sees it first; None if none does or none was found.
        stochastic: random numbers are drawn. Each call was given the same ones.
        notes: the evidence.
        samples: whether samples see each other, whether that is proved, and through what.
    """

    dependences: tuple[Dependence, ...] = ()
    samples_independent: bool | None = None
    pair: tuple[int, int] | None = None
    first: First | None = None
    stochastic: bool = False
    notes: tuple[str, ...] = ()
    samples: Samples = field(default_factory=Samples)


@dataclass(frozen=True, repr=False)
class Scope(Report):
    """The dependence of a model's outputs on its inputs, proved on its operators or seen in calls.

    Where a model has one mode only, both modes say the same.

    Attributes:
        title: the model, in words.
        inputs: the shape of each input, by name.
        names: the names of each input's axes.
        training: what was found in training.
        inference: what was found in inference.
        one_mode: nothing tells the model a mode.
        evidence: lines that say what was seen.
        calls: how often the model was called.
        indices: tables of who sees whom, index by index, were asked for.
    """

    title: str
    inputs: Mapping[str, tuple[int, ...]]
    names: Mapping[str, tuple[str, ...]]
    training: ModeScope
    inference: ModeScope
    one_mode: bool
    evidence: tuple[str, ...]
    calls: int
    indices: bool = False

    @property
    def samples_independent(self) -> dict[str, bool | None]:
        """For each mode, whether no sample's output depends on another sample."""
        return {mode: self._of(mode).samples_independent for mode in MODES}

    @property
    def samples(self) -> dict[str, Samples]:
        """For each mode, whether samples see each other, how that is known, and through what."""
        return {mode: self._of(mode).samples for mode in MODES}

    @property
    def first(self) -> dict[str, First | None]:
        """For each mode, the submodule through which a sample sees another first."""
        return {mode: self._of(mode).first for mode in MODES}

    @property
    def stochastic(self) -> dict[str, bool]:
        """For each mode, whether random numbers are drawn."""
        return {mode: self._of(mode).stochastic for mode in MODES}

    @property
    def axes(self) -> dict[str, dict[str, dict[str, dict[str, str]]]]:
        """One word for each mode, input, output and axis of the input that was probed."""
        return {
            mode: {
                name: {
                    pair.output: {axis.name: axis.word for axis in pair.axes}
                    for pair in self._of(mode).dependences
                    if pair.input == name
                }
                for name in self.inputs
            }
            for mode in MODES
        }

    def _of(self, mode: str) -> ModeScope:
        return self.training if mode == "training" else self.inference

    def to_dict(self) -> dict[str, Any]:
        """Everything as JSON types; the modes are called train and infer, as in all results."""
        modes = {"train": self.training, "infer": self.inference}
        return {
            "model": self.title,
            "inputs": {name: list(shape) for name, shape in self.inputs.items()},
            "sample_independent": {m: mode.samples_independent for m, mode in modes.items()},
            "samples": {m: mode.samples.to_dict() for m, mode in modes.items()},
            "first": {m: _first_dict(mode.first) for m, mode in modes.items()},
            "pair": {m: mode.pair and list(mode.pair) for m, mode in modes.items()},
            "stochastic": {m: mode.stochastic for m, mode in modes.items()},
            **{
                f"{m}_axes": [_pair_dict(pair, self.indices) for pair in mode.dependences]
                for m, mode in modes.items()
            },
            "evidence": list(self.evidence),
        }

    def __str__(self) -> str:
        from normscope.scope.report import report

        return report(self)


def _first_dict(first: First | None) -> dict[str, Any] | None:
    if first is None:
        return None
    return {"path": first.path, "type": first.type, "call": first.call, "where": first.where}


def _pair_dict(pair: Dependence, indices: bool) -> dict[str, Any]:
    axes: dict[str, dict[str, Any]] = {
        axis.name: {"word": axis.word, "output_axis": axis.output_axis} for axis in pair.axes
    }
    for axis in pair.axes if indices else ():
        table = axis.table
        rows = None if table is None else table.rows
        axes[axis.name]["indices"] = rows and [list(row) for row in rows]
    return {"input": pair.input, "output": pair.output, "axes": axes}

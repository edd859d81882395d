"""Does a step see a later one? Proved on the operators, else seen by giving steps other values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from normscope.errors import SpecError
from normscope.frameworks.inputs import Inputs
from normscope.graph.proof import Proof, Verdict, causal
from normscope.scope.calls import Calls
from normscope.scope.probe import Probe
from normscope.scope.proved import place_of, proof_of
from normscope.scope.replacement import Replacement
from normscope.scope.scope import asked_model
from normscope.sight.dependence import AxisDependence
from normscope.sight.verdict import Through


@dataclass(frozen=True)
class Leak:
    """A step of an output that was seen to depend on a later step of an input."""

    output: str
    step: int
    input: str
    later: int

    def __str__(self) -> str:
        return f"step {self.step} of {self.output} changes with step {self.later} of {self.input}"

    @property
    def ahead(self) -> int:
        """How many steps it looks ahead."""
        return self.later - self.step


@dataclass(frozen=True)
class Causality:
    """Whether a step of an output depends on a later step of an input, in one mode.

    Attributes:
        causal: None if it is not known.
        proved: it follows from the operators; else it was seen, or not seen, by calls.
        through: where a step sees a later one first, or what leaves it open.
        why: the reason, in words.
        leak: the step that was seen to look the furthest ahead; None if none was.
    """

    causal: bool | None
    proved: bool
    through: Through | None
    why: str
    leak: Leak | None = None


def causality(
    model: Any,
    inputs: Any,
    axis: int | str,
    axes: str | Mapping[str, str] | None = None,
) -> dict[str, Causality]:
    """Whether steps see later ones, for each mode; where there is one mode, both are the same.

    Args:
        model: as `scope` takes it.
        inputs: as `scope` takes them.
        axis: of time: a number, or one of the names in `axes`.
        axes: names of the axes, as `scope` takes them.

    Raises:
        SpecError: no input has such an axis; and as `scope` does.
    """
    live, given, names = asked_model(model, inputs, axes)
    at = axes_called(given, names, axis)
    found = {}
    with live.kept():
        calls = Calls(live, given)
        for training in live.modes:
            proof = proof_of(live, given, training, lambda graph: causal(graph, at))
            found["training" if training else "inference"] = causality_in(
                calls, training, at, proof
            )
    (either, *_) = found.values()
    return {mode: found.get(mode, either) for mode in ("training", "inference")}


def axes_called(given: Inputs, names: list[tuple[str, ...]], axis: int | str) -> list[int | None]:
    """Of each input, the axis of a number or name; None where it has none.

    Raises:
        SpecError: no input has it.
    """
    found: list[int | None] = []
    for array, own in zip(given.arrays, names, strict=True):
        if isinstance(axis, str):
            found.append(own.index(axis) if axis in own else None)
        else:
            found.append(axis % array.ndim if -array.ndim <= axis < array.ndim else None)
    if not any(place is not None for place in found):
        there = "; ".join(
            f"{n}: {' '.join(own)}" for n, own in zip(given.names, names, strict=True)
        )
        raise SpecError(
            f"no input has an axis {axis!r} ({there}); give its number, or name the axes, such as "
            'axes="b t c"'
        )
    return found


def causality_in(calls: Calls, training: bool, axes: list[int | None], proof: Proof) -> Causality:
    """Whether steps see later ones in one mode.

    Args:
        calls: of the model, which is called where the proof leaves it open.
        training: the mode.
        axes: of each input, that of time.
        proof: what the graph of the mode says.
    """
    if proof.verdict is Verdict.APART:
        return Causality(True, True, None, proof.why)
    through = place_of(proof.node)
    try:
        leaks, asked = _later_steps(calls, training, axes)
    except Exception as error:  # a model may refuse to be called by any exception
        why = f"{proof.why}; the model raised {type(error).__name__}: {error}"
        return Causality(None, False, through, why)
    if leaks:
        furthest = max(leaks, key=lambda leak: leak.ahead)
        if proof.verdict is not Verdict.MEET:
            return Causality(False, False, None, f"{leaks[0]}", furthest)
        why = f"a step sees a later one, first in {through}; {leaks[0]}"
        return Causality(False, True, through, why, furthest)
    if proof.verdict is Verdict.MEET or not asked:
        return Causality(None, False, through, f"{proof.why}, but no probe shows it")
    return Causality(True, False, through, f"by probing; not proved: {proof.why}")


def _later_steps(calls: Calls, training: bool, axes: list[int | None]) -> tuple[list[Leak], bool]:
    """Steps that were seen to depend on later ones, the first few; and whether any was probed."""
    inputs = calls.inputs
    asked = False
    for number, (name, array) in enumerate(zip(inputs.names, inputs.arrays, strict=True)):
        axis = axes[number]
        if axis is None or array.shape[axis] < 2 or not Replacement(array).possible:
            continue
        probe = Probe(
            calls,
            training,
            all_axes=False,
            enough=lambda seen, _: bool(_leaks("", seen)),
            last_first=True,  # what the last step changes tells how far a step looks ahead
        )
        labels = tuple(f"axis {n}" for n in range(array.ndim))
        seen = probe.input(number, labels, axis)
        asked |= any(
            entry.size == entry.output_size and entry.word != "none"
            for entries in seen.values()
            for entry in entries
        )
        found = _leaks(name, seen)
        if found:
            return found, asked
    return [], asked


def _leaks(name: str, seen: Mapping[str, Sequence[AxisDependence]]) -> list[Leak]:
    """The steps of outputs that changed with a later step of an input of this name."""
    return [
        Leak(output, min(changed), name, step)
        for output, entries in seen.items()
        for entry in entries
        if entry.size == entry.output_size
        for step, changed in entry.seen
        if changed and min(changed) < step
    ]

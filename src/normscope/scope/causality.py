"""Does a step see a later one? Proved on the operators, else seen by giving steps other values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from normscope.errors import SpecError
from normscope.frameworks.inputs import Inputs
from normscope.graph.proof import Verdict, causal
from normscope.scope.calls import Calls
from normscope.scope.probe import Probe
from normscope.scope.proved import place_of, proof_of
from normscope.scope.replacement import Replacement
from normscope.scope.scope import asked_model
from normscope.sight.verdict import Through


@dataclass(frozen=True)
class Causality:
    """Whether a step of an output depends on a later step of an input, in one mode.

    Attributes:
        causal: None if it is not known.
        proved: it follows from the operators; else it was seen, or not seen, by calls.
        through: where a step sees a later one first, or what leaves it open.
        why: the reason, in words.
    """

    causal: bool | None
    proved: bool
    through: Through | None
    why: str


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
    at = _time_axes(given, names, axis)
    found = {}
    with live.kept():
        calls = Calls(live, given)
        for training in live.modes:
            found["training" if training else "inference"] = _mode(calls, training, at)
    (either, *_) = found.values()
    return {mode: found.get(mode, either) for mode in ("training", "inference")}


def _time_axes(given: Inputs, names: list[tuple[str, ...]], axis: int | str) -> list[int | None]:
    """Of each input, the axis of time."""
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


def _mode(calls: Calls, training: bool, axes: list[int | None]) -> Causality:
    proof = proof_of(calls.model, calls.inputs, training, lambda graph: causal(graph, axes))
    if proof.verdict is Verdict.APART:
        return Causality(True, True, None, proof.why)
    through = place_of(proof.node)
    try:
        seen, asked = _later_step(calls, training, axes)
    except Exception as error:  # a model may refuse to be called by any exception
        why = f"{proof.why}; the model raised {type(error).__name__}: {error}"
        return Causality(None, False, through, why)
    if seen:
        if proof.verdict is not Verdict.MEET:
            return Causality(False, False, None, seen)
        return Causality(
            False, True, through, f"a step sees a later one, first in {through}; {seen}"
        )
    if proof.verdict is Verdict.MEET or not asked:
        return Causality(None, False, through, f"{proof.why}, but no probe shows it")
    return Causality(True, False, through, f"by probing; not proved: {proof.why}")


def _later_step(calls: Calls, training: bool, axes: list[int | None]) -> tuple[str, bool]:
    """A step that was seen to depend on a later one, in words; and whether any step was probed."""
    probe = Probe(calls, training, all_axes=False)
    asked = False
    inputs = calls.inputs
    for number, (name, array) in enumerate(zip(inputs.names, inputs.arrays, strict=True)):
        axis = axes[number]
        if axis is None or array.shape[axis] < 2 or not Replacement(array).possible:
            continue
        labels = tuple(f"axis {n}" for n in range(array.ndim))
        for output, entries in probe.input(number, labels, axis).items():
            for entry in entries:
                if entry.size != entry.output_size:
                    continue
                asked |= entry.word != "none"
                for step, changed in entry.seen:
                    if changed and min(changed) < step:
                        return (
                            f"step {min(changed)} of {output} changes with step {step} of {name}",
                            True,
                        )
    return "", asked

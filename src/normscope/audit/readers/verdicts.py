"""Whether samples see each other in each mode: proved on the graphs, else seen by probing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from normscope.audit.samples import Samples
from normscope.errors import NormscopeError
from normscope.graph.operators import Graph, Node
from normscope.graph.proof import Proof, Verdict, samples_apart
from normscope.scope import ModeScope, Scope, scope

MODES = {True: "training", False: "inference"}


def samples_of(
    model: Any,
    inputs: Any,
    axes: str | Mapping[str, str] | None,
    graphs: Mapping[bool, Graph],
    sample_axes: Sequence[int | None],
    modes: Sequence[bool],
) -> dict[str, Samples]:
    """The verdict of each mode; a mode that the model does not have is like the one that it has.

    Args:
        model: is called where the graphs leave it open.
        inputs: with which it is called.
        axes: the names of their axes.
        graphs: of the modes, True is training.
        sample_axes: of each input, the axis of the samples.
        modes: that the model has; a file may hold that of training alone.
    """
    proofs = {training: _proof(graph, sample_axes) for training, graph in graphs.items()}
    settled = all(proof.verdict is Verdict.APART for proof in proofs.values())
    seen: Scope | str = "" if settled else _seen(model, inputs, axes)
    found = {training: _samples(proof, training, seen) for training, proof in proofs.items()}
    either = next(iter(found.values()))
    missing = Samples("unknown", None, "the model could not be followed in this mode")
    return {
        name: found.get(training, missing if training in modes else either)
        for training, name in MODES.items()
    }


def _proof(graph: Graph, sample_axes: Sequence[int | None]) -> Proof:
    if graph.blind:
        return Proof(Verdict.UNKNOWN, None, graph.blind)
    return samples_apart(graph, sample_axes)


def _seen(model: Any, inputs: Any, axes: str | Mapping[str, str] | None) -> Scope | str:
    """What probing shows, or why it shows nothing."""
    try:
        return scope(model, inputs, axes=axes)
    except NormscopeError as error:
        return str(error)


def _samples(proof: Proof, training: bool, seen: Scope | str) -> Samples:
    through = _through(proof.node)
    if proof.verdict is Verdict.APART:
        return Samples("proved apart", None, proof.why)
    if isinstance(seen, str):
        return Samples("unknown", through, "; ".join(filter(None, (proof.why, seen))))
    mode: ModeScope = seen.training if training else seen.inference
    if mode.samples_independent:
        if proof.verdict is Verdict.MEET:
            return Samples("unknown", through, f"{proof.why}, and no probe shows it")
        return Samples("apart, by probing", through, proof.why)
    if mode.samples_independent is None:
        return Samples("unknown", through, "; ".join((proof.why, *mode.notes)))
    if proof.verdict is not Verdict.MEET and mode.first is not None:
        first = mode.first
        through = {"path": first.path, "type": first.type, "operator": "", "source": ""}
    return Samples("mixed", through, proof.why)


def _through(node: Node | None) -> dict[str, str] | None:
    if node is None:
        return None
    call = node.call
    named = {"path": call.path, "type": call.type}
    return {**named, "operator": node.operator, "source": node.source}

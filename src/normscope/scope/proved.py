"""What the operators of a model prove of its samples, and what that says beside a probing."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from normscope.frameworks.inputs import Inputs
from normscope.frameworks.live import Live
from normscope.graph.operators import CannotTraceError, Graph, Node
from normscope.graph.proof import Proof, Verdict, samples_apart
from normscope.graph.rules import Fixed
from normscope.sight.verdict import Samples, Through, Word


@dataclass(frozen=True)
class Traced:
    """What a graph says of one mode.

    Attributes:
        proof: of its samples.
        draws: random numbers are drawn.
    """

    proof: Proof
    draws: bool = False


def traced(live: Live, given: Inputs, training: bool, axes: Sequence[int | None]) -> Traced:
    """What the operators of one call prove; nothing, if they cannot be seen.

    Args:
        live: the model; its state may change.
        given: its inputs.
        training: the mode.
        axes: of each input, the axis of the samples; None for one without samples.
    """
    draws = False

    def asked(graph: Graph) -> Proof:
        nonlocal draws
        draws = _draws(graph)
        return samples_apart(graph, axes)

    return Traced(proof_of(live, given, training, asked), draws)


def proof_of(live: Live, given: Inputs, training: bool, ask: Callable[[Graph], Proof]) -> Proof:
    """What a question of the graph of one call answers; unknown, if there is no graph."""
    try:
        live.put_back()
        return ask(live.trace(given, training))
    except CannotTraceError as error:
        return Proof(Verdict.UNKNOWN, None, str(error))
    except Exception as error:  # a model may answer by any exception; calling it will tell
        why = f"its operators cannot be followed: {type(error).__name__}: {error}"
        return Proof(Verdict.UNKNOWN, None, why)


def judged(proof: Proof, independent: bool | None, seen_through: Through | None) -> Samples:
    """The verdict of a proof and a probing.

    Args:
        proof: of the graph.
        independent: what probing shows; None if it shows nothing.
        seen_through: the layer in which samples were seen to meet, where that is known.
    """
    through = place_of(proof.node)
    if independent is False:
        if proof.verdict is not Verdict.MEET:
            # what leaves the proof open may be another place than where they meet
            through = seen_through if seen_through is not None else through
        return Samples(Word.MIXED, through, f"{proof.why or 'samples meet'}; a probe shows it")
    if independent is None:
        return Samples(Word.UNKNOWN, through, proof.why)
    if proof.verdict is Verdict.APART:
        return Samples(Word.PROVED, None, proof.why)
    if proof.verdict is Verdict.MEET:
        return Samples(Word.UNKNOWN, through, f"{proof.why}, but no probe shows it")
    return Samples(Word.PROBED, through, proof.why)


def place_of(node: Node | None) -> Through | None:
    """The place of an operator of a graph."""
    if node is None:
        return None
    return Through(node.path, node.call.type, node.called, node.source)


def _draws(graph: Graph) -> bool:
    graphs = (graph, *graph.bodies())
    return any(
        isinstance(node.rule, Fixed) and node.rule.drawn and "empty" not in node.operator
        for each in graphs
        for node in each.nodes
    )

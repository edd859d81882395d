"""NS604 final-norm-missing-or-unused: a norm is held and not called, or the last is missing.

What it finds:
    A normalization layer that a model holds and that no mode of it calls, although the layer that
    holds it runs. And a model whose residual blocks normalize first (pre-norm) and whose last sum
    reaches the head, or the output, without any normalization.

Why it matters:
    A layer that is not called does nothing: its parameters get no gradient, which distributed
    training refuses, and a checkpoint that has trained it is not used as it was. Without a final
    norm the sum of all branches grows with depth, and so do logits or features.

How it is found:
    A live model tells its layers; those called in training or at inference, and those whose arrays
    an operator takes, are used. Parts that as a whole are not called are optional and left out.
    The stream is followed in the graph, from the last residual addition to the output.

Measured:
    How many residual additions the stream is made of.

Known limits:
    A file holds only what is called. Without a head the end of a stream may be normalized by what
    uses the model, so this is told for four additions or more, and as an info.

Use instead:
    Call the layer, or remove it; normalize the last sum before the head.

References:
    mlc-llm PR 3456, NVIDIA/Model-Optimizer PR 1846, transformers#13461, vllm PR 8106, DoLa#9
"""

from __future__ import annotations

from collections.abc import Iterator

from normscope.audit.finding import Finding, Severity
from normscope.audit.model_graph import ModelGraph
from normscope.audit.rule import Rule, Symptom

_FEWEST_WITH_HEAD = 2
_FEWEST_WITHOUT = 4
"""One block of two branches is often audited alone."""


class FinalNormMissingOrUnused(Rule):
    code, name, since = "NS604", "final-norm-missing-or-unused", "0.1"
    severity = Severity.WARNING
    symptoms = (Symptom.PARAMETERS, Symptom.PORT, Symptom.LEARNING)

    def check_model(self, graph: ModelGraph) -> Iterator[Finding]:
        for layer in graph.unused:
            has = "has parameters but" if layer.learned else "is held but"
            yield self.finding(
                layer.path,
                f"{layer.title} {has} is never called, in training or at inference",
                fix="call it where it belongs, or remove it",
                evidence={"type": layer.title, "learned": layer.learned},
                severity=Severity.WARNING if layer.learned else Severity.INFO,
            )
        if not any(layer.learned for layer in graph.unused):  # it may be that which is missing
            yield from self._missing(graph)

    def _missing(self, graph: ModelGraph) -> Iterator[Finding]:
        for end in graph.residuals.unnormalized:
            number = _in_stream(graph, end.last)
            fewest = _FEWEST_WITHOUT if end.head is None else _FEWEST_WITH_HEAD
            if number < fewest:
                continue
            last = graph.residuals.additions[end.last]
            where = "the output" if end.head is None else end.head or "the head"
            yield self.finding(
                last.path,
                f"its sum reaches {where} without a normalization: each of its {number} residual "
                "additions normalizes only what its branch takes, so the sum grows with each",
                fix=f"normalize the sum once, before {where}",
                evidence={"additions": number, "head": end.head},
                severity=Severity.INFO if end.head is None else Severity.WARNING,
            )


def _in_stream(graph: ModelGraph, last: int) -> int:
    """How many additions a stream is made of; 0 if a branch of it does not begin with a norm."""
    number: int | None = last
    count = 0
    while number is not None:
        one = graph.residuals.additions[number]
        if not one.begins or one.ends is not None:
            return 0
        count += 1
        number = one.before
    return count

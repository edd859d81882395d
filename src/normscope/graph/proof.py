"""Proofs on a graph: samples do not see each other; a step in time does not see a later one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from normscope.graph.operators import Graph, Node


class Verdict(StrEnum):
    """What a graph proves."""

    APART = "apart"  # proved, for these shapes, constants and this path through the program
    MEET = "meet"  # elements meet in an operator that computes with them
    UNKNOWN = "unknown"


@dataclass(frozen=True)
class Proof:
    """What follows from a graph.

    Attributes:
        verdict: the word.
        node: the first operator in which they meet, or that leaves it open; None if there is none.
        why: the reason, in words.
    """

    verdict: Verdict
    node: Node | None = None
    why: str = ""


def samples_apart(graph: Graph, axes: Sequence[int | None]) -> Proof:
    """Whether each sample's output depends on that sample alone.

    Args:
        graph: of one mode of a model.
        axes: of each input, the axis of the samples; None for an input without samples.
    """
    raise NotImplementedError


def causal(graph: Graph, axes: Sequence[int | None]) -> Proof:
    """Whether no step of an output depends on a later step of an input.

    Args:
        graph: of one mode of a model.
        axes: of each input, the axis of time; None for an input that is there from the beginning.
    """
    raise NotImplementedError

"""Where a graph normalizes: statistics that come back onto their source, composite operators."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from normscope.graph.operators import Call, Graph, Node, Value


class Form(Enum):
    """How a site normalizes."""

    COMPOSITE = "by one operator"
    COMPOSED = "by a statistic that comes back onto its source"
    CENTRED = "by a mean that is subtracted, with no division"
    STORED = "by statistics that the model holds"


@dataclass(frozen=True, eq=False)
class Site:
    """One place where a graph normalizes, or seems to.

    Attributes:
        form: how.
        x, y: what is normalized, before and after; scale, bias and casts belong to it.
        nodes: the operators from x to y, in order.
        statistics: those of them that compute statistics.
        call: the innermost layer that holds them all.
        dismissed: why it is no normalization after all; "" if it is one as far as the graph tells.
    """

    form: Form
    x: Value
    y: Value
    nodes: tuple[Node, ...]
    statistics: tuple[Node, ...]
    call: Call
    dismissed: str = ""

    @property
    def path(self) -> str:
        """The layer, as its user names it."""
        return self.call.path

    @property
    def operator(self) -> str:
        """The native name of the operator, or of the first statistic."""
        return (self.statistics or self.nodes)[0].operator

    @property
    def source(self) -> str:
        """The line of the program, "file.py:12"; "" if it is not known."""
        return next((node.source for node in self.nodes if node.source), "")


def find_sites(graph: Graph) -> tuple[Site, ...]:
    """All sites of a graph, those of the graphs that its nodes run too, in order."""
    raise NotImplementedError

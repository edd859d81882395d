"""What is known of the numbers of constants, where no call draws them anew."""

from __future__ import annotations

from normscope.graph.lattice import Ints, constant
from normscope.graph.masks import Fact, facts_of
from normscope.graph.operators import Graph, Node, Value
from normscope.graph.replay import CannotReplayError, known_numbers
from normscope.graph.rules import Fixed


class Constants:
    """The constants of a graph, which are looked at once each."""

    def __init__(self, graph: Graph) -> None:
        self._graph = graph
        self._facts: dict[Value, Ints] = {}
        self._drawn: dict[Node, bool] = {}

    def facts(self, value: Value) -> Ints:
        """What is known of the numbers of a value that depends on no input."""
        if value not in self._facts:
            self._facts[value] = constant(len(value.shape), Fact.ORDINARY)
            if self.are_same(value):
                try:
                    numbers = known_numbers(self._graph, value)
                except CannotReplayError:
                    return self._facts[value]
                self._facts[value] = facts_of(numbers, value.dtype, learned=_is_learned(value))
        return self._facts[value]

    def are_same(self, value: Value) -> bool:
        """Whether its numbers are the same in every call."""
        return not value.live and (value.node is None or not self._is_drawn(value.node))

    def _is_drawn(self, node: Node) -> bool:
        stack = [node]
        while stack:
            top = stack[-1]
            makers = [v.node for v in top.operands if v.node is not None and not v.live]
            missing = [maker for maker in makers if maker not in self._drawn]
            if isinstance(top.rule, Fixed):
                self._drawn[stack.pop()] = top.rule.drawn
            elif missing:
                stack += missing
            else:
                self._drawn[stack.pop()] = any(self._drawn[maker] for maker in makers)
        return self._drawn[node]


def _is_learned(value: Value) -> bool:
    """Whether it is a parameter, or a part of one."""
    while value.node is not None and value.node.moves and not value.node.live:
        value = value.node.operands[0]
    return value.is_parameter

"""Which steps and composite operators are one normalization together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from normscope.graph.operators import Graph, Node, Role, Value
from normscope.graph.statistics_flow import Step, Way, between, place, steps


@dataclass(frozen=True, eq=False)
class Group:
    """Steps, and perhaps a composite operator, that are one normalization.

    Attributes:
        x, y: of the first and of the last of them.
        nodes: the operators of all.
        statistics: those that take statistics, in order.
        ways: how the statistics come back.
        composite: the composite operator; None if there is none.
    """

    x: Value
    y: Value
    nodes: frozenset[Node]
    statistics: tuple[Node, ...]
    ways: frozenset[Way]
    composite: Node | None = None


def joined(graph: Graph) -> list[Group]:
    """The normalizations of a graph: of steps that share an operator, or follow on a centring."""
    parts: list[Group] = [
        Group(n.operands[0], n.results[0], frozenset({n}), (n,), frozenset({Way.DIVIDED}), n)
        for n in graph.nodes
        if n.role is Role.NORMALIZATION and n.operands and n.operands[0].live
    ]
    parts += [_of_step(step) for step in steps(graph)]
    together = _Classes(len(parts))
    owner: dict[Node, int] = {}
    for number, part in enumerate(parts):
        for node in part.nodes:
            together.join(owner.setdefault(node, number), number)
    # what divides as well, as x * inverse - mean * inverse does, is whole: the next one is another
    centrings = [
        number
        for numbers in together.classes()
        if all(parts[n].ways == {Way.SHIFT} for n in numbers)
        for number in numbers
    ]
    shifted = {parts[n].y: n for n in centrings}
    for number, part in enumerate(parts):
        if part.x in shifted:
            together.join(shifted[part.x], number)
    return [_merged([parts[n] for n in numbers]) for numbers in together.classes()]


def _of_step(step: Step) -> Group:
    return Group(step.x, step.y, step.nodes, (step.statistic,), frozenset({step.way}))


def _merged(parts: Sequence[Group]) -> Group:
    if len(parts) == 1:
        return parts[0]
    x = min((part.x for part in parts), key=place)
    y = max((part.y for part in parts), key=place)
    nodes = between(x, y).union(*(part.nodes for part in parts))
    statistics = sorted({n for part in parts for n in part.statistics}, key=lambda n: n.number)
    return Group(
        x,
        y,
        nodes,
        tuple(statistics),
        frozenset(way for part in parts for way in part.ways),
        next((part.composite for part in parts if part.composite is not None), None),
    )


class _Classes:
    """Numbers in classes that are joined (union-find)."""

    def __init__(self, count: int) -> None:
        self._parent = list(range(count))

    def find(self, one: int) -> int:
        while self._parent[one] != one:
            self._parent[one] = self._parent[self._parent[one]]
            one = self._parent[one]
        return one

    def join(self, one: int, other: int) -> None:
        self._parent[self.find(other)] = self.find(one)

    def classes(self) -> list[list[int]]:
        found: dict[int, list[int]] = {}
        for one in range(len(self._parent)):
            found.setdefault(self.find(one), []).append(one)
        return list(found.values())

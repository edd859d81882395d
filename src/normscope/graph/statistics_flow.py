"""Statistics that come back onto the values that they were taken from, step by step."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from heapq import heappop, heappush

from normscope.graph.operators import Graph, Node, Role, Value
from normscope.graph.rules import Scatter

_MOST_SOURCES = 40
"""So many values upstream are looked at; further ones are no part of the same normalization."""

_BOUNDED = (Role.SQUASH, Role.EXPONENTIAL)
_COMES_BACK_BY = (Role.SHIFT, Role.MULTIPLY, Role.DIVIDE, Role.POINTWISE)


class Way(Enum):
    """How a statistic comes back."""

    DIVIDED = "the value is divided by it"
    FACTOR = "the value is multiplied by it"
    GATE = "the value is multiplied by a sigmoid or exponential of it"
    SHIFT = "it is added or subtracted"


@dataclass(frozen=True, eq=False)
class Step:
    """A statistic that comes back.

    Attributes:
        x: the value that it was taken from, and onto which it comes back.
        y: the result.
        statistic: what takes it.
        way: how it comes back.
        nodes: the operators on all ways from x to y.
    """

    x: Value
    y: Value
    statistic: Node
    way: Way
    nodes: frozenset[Node]


def steps(graph: Graph) -> Iterator[Step]:
    """Every statistic of a graph that comes back onto its source."""
    bare = _of_statistics_alone(graph)
    for node in graph.nodes:
        source = source_of(node) if node.live else None
        if source is not None:
            yield from _steps_of(node, source, bare)


def source_of(node: Node) -> Value | None:
    """What a statistic is taken from; None if the operator takes none.

    A sum by indices is one too, and so is a product of a value with itself.
    """
    value: Value | None = None
    if isinstance(node.rule, Scatter) and node.rule.adds:
        value = node.operands[node.rule.source]
    elif node.role in (Role.STATISTIC, Role.EXTREME, Role.RUNNING) and node.operands:
        value = node.operands[0]
    elif node.role is Role.PRODUCT and len(node.operands) == 2:
        left, right = (before_moves(operand) for operand in node.operands)
        value = left if left is right and node.results[0].size < left.size else None
    return value if value is not None and value.live and value.is_float else None


def before_moves(value: Value) -> Value:
    """The value of which this one has all elements, moved or cast."""
    while value.node is not None and value.live and is_shape(value.node):
        (operand, *more) = value.node.live_operands
        if more or operand.size != value.size:
            break
        value = operand
    return value


def is_shape(node: Node) -> bool:
    """Whether it moves or casts elements and computes none."""
    adds = isinstance(node.rule, Scatter) and node.rule.adds
    return node.role is Role.COPY or (node.role is Role.MOVE and not adds)


def is_walked(node: Node) -> bool:
    """Whether a normalization may hold such an operator."""
    return node.role.elementwise or is_shape(node) or source_of(node) is not None


def between(x: Value, y: Value) -> frozenset[Node]:
    """The operators on all ways from x to y, as far as a normalization may hold them."""
    first = place(x)
    back: set[Node] = set()
    todo = [y]
    while todo:
        value = todo.pop()
        node = value.node
        if value is x or node is None or node in back or not node.live or node.number <= first:
            continue
        if is_walked(node) or node.role is Role.NORMALIZATION or value is y:
            back.add(node)
            todo += node.operands
    reached, found = {x}, set()
    for node in sorted(back, key=lambda node: node.number):
        if not reached.isdisjoint(node.operands):
            reached.update(node.results)
            found.add(node)
    return frozenset(found)


def sources(value: Value, slack: int = 1) -> dict[Value, int]:
    """A value and what it comes from, element by element, with the number of operators between.

    Args:
        value: whose sources are looked for.
        slack: sources may be so many times smaller, as before a padding.
    """
    found, todo = {value: 0}, [value]
    for one in todo:
        node = one.node
        if node is None or not node.live or len(found) > _MOST_SOURCES:
            continue
        if node.role.elementwise or is_shape(node):
            for operand in node.live_operands:
                if (
                    operand not in found
                    and operand.is_float
                    and (operand.size * slack >= value.size)
                ):
                    found[operand] = found[one] + 1
                    todo.append(operand)
    return found


def _of_statistics_alone(graph: Graph) -> dict[Value, int]:
    """The values of which nothing but statistics is known, with the number of the first of these.

    What was pooled before is a value like any other to the statistics that are taken of it.
    """
    found: dict[Value, int] = {}
    for node in graph.nodes:
        if not node.live:
            continue
        flows = node.role.elementwise or is_shape(node)
        operands = [operand for operand in node.live_operands if operand.is_float]
        if source_of(node) is not None:
            found.update(dict.fromkeys(node.results, node.number))
        elif flows and operands and found.keys() >= set(operands):
            first = min(found[operand] for operand in operands)
            found.update(dict.fromkeys(node.results, first))
    return found


@dataclass(frozen=True)
class _Reach:
    """How a value depends on a statistic: by a division, and then not through what is bounded."""

    divided: bool = False
    bounded: bool = False

    def way(self, node: Node, places: list[int]) -> Way:
        """How it comes back by an operator that takes it at these places."""
        if node.role is Role.SHIFT:
            return Way.SHIFT
        if self.bounded:
            return Way.GATE
        divisor = node.role is Role.DIVIDE and 1 in places
        return Way.DIVIDED if self.divided or divisor else Way.FACTOR


def _steps_of(statistic: Node, source: Value, bare: dict[Value, int]) -> Iterator[Step]:
    reach = {value: _Reach() for value in statistic.results}
    begin = place(source)
    mine: dict[Value, int] | None = None
    todo: list[tuple[int, Node]] = []
    seen: set[Node] = set()

    def ask(value: Value) -> None:
        for user in value.users:
            if user not in seen and is_walked(user):
                seen.add(user)
                heappush(todo, (user.number, user))

    for value in statistic.results:
        ask(value)
    while todo:
        _, node = heappop(todo)
        # integers and truth values only choose, such as the places of rows
        others = [
            v
            for v in node.live_operands
            if v.is_float and v not in reach and bare.get(v, -1) <= begin
        ]
        # what is still small is a factor in the making, whatever else went into it
        small = statistic.role is not Role.RUNNING and node.results[0].size < source.size
        if not others or (small and node.role.elementwise):
            passed = _passed(node, [reach[v] for v in node.operands if v in reach], reach)
            for value in node.results:
                reach[value] = passed
                ask(value)
        elif node.role in _COMES_BACK_BY:
            slack = 3 if statistic.role is Role.RUNNING else 1
            mine = sources(source, slack) if mine is None else mine
            step = _step(statistic, node, others, mine, reach)
            if step is not None:
                yield step


def _passed(node: Node, operands: list[_Reach], reach: dict[Value, _Reach]) -> _Reach:
    if node.role in _BOUNDED:
        return _Reach(bounded=True)
    divided = node.role is Role.INVERSE or any(one.divided for one in operands)
    divided |= node.role is Role.DIVIDE and any(value in reach for value in node.operands[1:])
    return _Reach(divided, any(one.bounded for one in operands))


def _step(
    statistic: Node,
    node: Node,
    others: list[Value],
    mine: dict[Value, int],
    reach: dict[Value, _Reach],
) -> Step | None:
    y = node.results[0]
    for other in others:
        if not other.is_float or other.size != y.size:
            continue
        theirs = sources(other)
        common = [value for value in theirs if value in mine]
        if not common:
            continue
        x = min(common, key=lambda value: (theirs[value] + mine[value], -place(value)))
        places = [number for number, value in enumerate(node.operands) if value in reach]
        if not places:  # it came by another statistic, which tells of it
            return None
        ways = [reach[node.operands[number]].way(node, places) for number in places]
        way = next(w for w in Way if w in ways)
        return Step(x, y, statistic, way, between(x, y) | {statistic, node})
    return None


def place(value: Value) -> int:
    """Of a value in the order of computation; what no operator makes comes first."""
    return -1 if value.node is None else value.node.number

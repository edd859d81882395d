"""With what a value is multiplied that depends on the input too, as queries are with keys."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from normscope.graph.operators import Graph, Node, Role, Value
from normscope.graph.replay import known_numbers
from normscope.graph.rules import NOTHING, Labels, Move

_MOST_NODES = 64
_MOST_NAMES = 2**22

Elements = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class ValueProduct:
    """A product of a value with another that depends on the input, summed along some elements.

    Attributes:
        node: the product.
        along: the axes of the value along which one sum runs.
        length: how many of its elements one sum takes.
    """

    node: Node
    along: tuple[int, ...]
    length: int


def value_products(graph: Graph, value: Value) -> tuple[ValueProduct, ...]:
    """The products that a value reaches through moves and operators on single elements.

    Args:
        graph: whose value it is.
        value: of at most some millions of elements; of a larger one nothing is told.
    """
    reached = _reached(value)
    products = [(node, operand) for node, operand in reached if node.role is Role.PRODUCT]
    if not products or value.size > _MOST_NAMES:
        return ()
    elements: dict[Value, Elements] = {value: np.arange(value.size).reshape(value.shape)}
    for node, operand in reached:
        if operand in elements and node.role is not Role.PRODUCT:
            elements.update(_after(graph, node, elements))
    found: list[ValueProduct] = []
    for node, operand in products:
        if operand in elements:
            found += _product(node, operand, elements[operand], value)
    return tuple(found)


def _reached(value: Value) -> list[tuple[Node, Value]]:
    """The operators downstream, each with the operand by which it was reached, in order."""
    found: dict[Node, Value] = {}
    todo = [value]
    while todo and len(found) < _MOST_NODES:
        one = todo.pop()
        for node in one.users:
            if node in found:
                continue
            if node.role is Role.PRODUCT:
                others = [operand for operand in node.live_operands if operand.is_float]
                if isinstance(node.rule, Labels) and len(others) > 1:
                    found[node] = one
            elif isinstance(node.rule, Move) or _keeps_places(node, one):
                found[node] = one
                todo += [result for result in node.results if result.is_float]
    return sorted(found.items(), key=lambda item: item[0].number)


def _keeps_places(node: Node, operand: Value) -> bool:
    return node.role.elementwise and all(r.shape == operand.shape for r in node.results)


def _after(graph: Graph, node: Node, elements: Mapping[Value, Elements]) -> dict[Value, Elements]:
    """Which elements stand where in the results of an operator."""
    rule = node.rule
    if not isinstance(rule, Move):
        known = [elements[operand] for operand in node.operands if operand in elements]
        return dict.fromkeys(node.results, known[0])

    def given() -> Iterator[NDArray[Any]]:
        for number, operand in enumerate(node.operands):
            if number not in rule.data:
                yield known_numbers(graph, operand)
            else:
                yield elements.get(operand, np.full(operand.shape, NOTHING))

    if any(value.size > _MOST_NAMES for value in (*node.operands, *node.results)):
        return {}
    try:
        return dict(zip(node.results, rule.replay(list(given())), strict=True))
    except Exception:  # whatever the operator raises on names, it is not known then
        return {}


def _product(
    node: Node, operand: Value, elements: Elements, value: Value
) -> Iterator[ValueProduct]:
    rule = node.rule
    assert isinstance(rule, Labels)
    for number, own in enumerate(node.operands):
        dims = rule.operands.get(number)
        if own is not operand or dims is None or not elements.size:
            continue
        summed = [label is None or label not in rule.results[0] for label in dims]
        line = elements[tuple(slice(None) if one else -1 for one in summed)]
        taken = np.unique(line[line != NOTHING])
        if not any(summed) or not taken.size:
            continue
        places = np.unravel_index(taken, value.shape)
        along = tuple(axis for axis, at in enumerate(places) if len(np.unique(at)) > 1)
        yield ValueProduct(node, along, len(taken))

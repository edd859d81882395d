"""Where a normalization begins and ends: casts, scale and bias, reshapes that are undone."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from normscope.graph.operators import Call, Graph, Node, Role, Value
from normscope.graph.replay import CannotReplayError, known_numbers
from normscope.graph.rules import Move
from normscope.graph.statistics_flow import is_shape

_MOST_NAMES = 2**24
"""Larger values are not followed through moves element by element; their shapes must do."""


def widened(graph: Graph, x: Value, y: Value, call: Call) -> tuple[Value, Value]:
    """X and y with the casts, scale and bias around them, in the shape that the caller knows.

    Reshapes and transpositions belong to it where they are undone.

    Args:
        graph: whose values they are.
        x, y: where the statistics are taken, and where they have come back.
        call: the layer that holds them; what stands outside of it is not looked at.
    """
    before, after = _upstream(x, call), _downstream(graph, y, call)
    for last in range(len(after) - 1, -1, -1):
        for first in range(len(before) - 1, -1, -1):
            start, end = before[first], after[last]
            if start.shape == end.shape and _in_place(
                graph, before[: first + 1], after[: last + 1]
            ):
                return start, end
    return x, y


def common_call(nodes: Iterable[Node]) -> Call | None:
    """The innermost layer that holds all of some operators."""
    common: list[Call] | None = None
    last: Call | None = None
    for node in nodes:
        if node.call is last:
            continue
        last = node.call
        lineage = _lineage(node.call)
        if common is None:
            common = lineage
        else:
            same = [a is b for a, b in zip(common, lineage, strict=False)]
            common = common[: same.index(False) if False in same else len(same)]
    return common[-1] if common else None


def _lineage(call: Call) -> list[Call]:
    """A call and those that it was made in, the outermost first."""
    found: list[Call] = []
    one: Call | None = call
    while one is not None:
        found.append(one)
        one = one.parent
    return found[::-1]


def _inside(node: Node, call: Call) -> bool:
    return call in _lineage(node.call)


def _upstream(x: Value, call: Call) -> list[Value]:
    """x, and what it was before casts and moves of all its elements."""
    chain = [x]
    while (node := chain[-1].node) is not None and is_shape(node) and _inside(node, call):
        live = node.live_operands
        if len(live) != 1 or live[0].size != x.size or not live[0].is_float:
            break
        chain.append(live[0])
    return chain


def _downstream(graph: Graph, y: Value, call: Call) -> list[Value]:
    """y, and what it is after scale, bias, casts and moves of all elements, each its only use."""
    chain = [y]
    outputs = set(graph.outputs)
    while len(chain[-1].users) == 1 and chain[-1] not in outputs:
        last = chain[-1]
        (node,) = last.users
        if len(node.results) != 1 or node.live_operands != (last,) or not _inside(node, call):
            break
        affine = node.role in (Role.SHIFT, Role.MULTIPLY)
        affine |= node.role is Role.DIVIDE and node.operands[0] is last
        affine &= sum(operand is last for operand in node.operands) == 1
        if not (affine or is_shape(node)) or node.results[0].size != y.size:
            break
        chain.append(node.results[0])
    return chain


def _in_place(graph: Graph, before: list[Value], after: list[Value]) -> bool:
    """Whether each element of the first value is normalized to that at its place in the last."""
    moves = [value.node for value in (*before[:-1][::-1], *after[1:]) if value.node is not None]
    moves = [node for node in moves if node.role is Role.MOVE]
    if not moves or before[0].shape != after[0].shape or before[0].size > _MOST_NAMES:
        return True
    names = np.arange(before[-1].size).reshape(before[-1].shape)
    try:
        for node in moves:
            names = _moved(graph, node, names)
    except Exception:  # whatever the operator raises on names, it is not known then
        return False
    return bool(np.array_equal(names.ravel(), np.arange(names.size)))


def _moved(graph: Graph, node: Node, names: NDArray[np.int64]) -> NDArray[np.int64]:
    """The names of the elements after a move."""
    if not isinstance(node.rule, Move):
        raise CannotReplayError(f"it is not known how {node.operator} moves elements")
    given = [
        names if number in node.rule.data else known_numbers(graph, operand)
        for number, operand in enumerate(node.operands)
    ]
    return node.rule.replay(given)[0]

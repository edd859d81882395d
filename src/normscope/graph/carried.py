"""What a value is carried from: the same numbers before moves, casts, dropouts and factors."""

from __future__ import annotations

from collections.abc import Iterator

from normscope.graph.dropouts import Dropouts
from normscope.graph.operators import Node, Role, Value
from normscope.graph.rules import Scatter
from normscope.graph.statistics_flow import is_shape


def carried_from(value: Value, dropouts: Dropouts, *, affine: bool = False) -> Iterator[Value]:
    """A value, and what it was before, the nearest first.

    Args:
        value: the value.
        dropouts: of its graph.
        affine: whether learned scales and shifts are looked through too, such as those of
            LayerScale; else only single factors are.
    """
    one: Value | None = value
    while one is not None:
        yield one
        one = _before(one, dropouts, affine)


def _before(value: Value, dropouts: Dropouts, affine: bool) -> Value | None:
    node = value.node
    if node is None or not value.live or value is not node.results[0]:
        return None
    live = [operand for operand in node.live_operands if operand.is_float]
    if len(live) != 1:
        return None
    (x,) = live
    if is_shape(node) and not isinstance(node.rule, Scatter):
        return x if x in node.operands[:1] or node.role is Role.COPY else None
    if x.size != value.size or len(node.live_operands) != 1:
        return None
    if affine and _is_affine(node, x):
        return x
    passes = dropouts.factor(node) or dropouts.rate(node)
    return x if passes else None


def _is_affine(node: Node, x: Value) -> bool:
    """Whether an operator scales or shifts by what depends on no input."""
    divides = node.role is Role.DIVIDE and node.operands[0] is x
    return node.role in (Role.SHIFT, Role.MULTIPLY) or divides

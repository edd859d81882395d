"""Statistics that the model holds: what is multiplied by 1 / sqrt(a stored variance)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from normscope.graph.operators import Graph, Node, Role, Value
from normscope.graph.replay import CannotReplayError, replay

_DEEPEST = 12
"""So many operators stand at most between stored statistics and the factor made of them."""

_SIZES = (2.0**12, 2.0**14)
"""Numbers by which a factor is tried; float16 holds both."""


def stored_steps(graph: Graph, taken: set[Node]) -> Iterator[tuple[Value, Value, tuple[Node, ...]]]:
    """x, y and the operators of each normalization by statistics that the model holds.

    Args:
        graph: the graph.
        taken: operators that belong to other sites.
    """
    for node in graph.nodes:
        if not node.live or node in taken or node.role not in (Role.MULTIPLY, Role.DIVIDE):
            continue
        if len(node.live_operands) != 1 or len(node.operands) != 2:
            continue
        (x,) = node.live_operands
        places = [number for number, value in enumerate(node.operands) if not value.live]
        if len(places) != 1 or (node.role is Role.DIVIDE and places != [1]) or not x.is_float:
            continue
        factor = node.operands[places[0]]
        centred = _centred(x, node)
        divides = node.role is Role.DIVIDE
        # an array without a name may be anything, unless another is subtracted before
        if _by_a_root(graph, factor, divides, centred is None) or (
            centred is not None and _by_a_deviation(graph, factor, divides)
        ):
            nodes = (node,) if centred is None else (centred, node)
            start = x if centred is None else centred.live_operands[0]
            yield start, node.results[0], nodes


def takes_a_root(nodes: Sequence[Node]) -> bool:
    """Whether what operators take from the model has gone through a root or a negative power."""
    held = [operand for node in nodes for operand in node.operands if not operand.live]
    return any(_holds(operand, (Role.ROOT, Role.INVERSE, Role.POWER)) for operand in held)


def _centred(x: Value, user: Node) -> Node | None:
    """What has added or subtracted an array that the model holds, if that is how x came about.

    The bias of the layer before is none of it.
    """
    node = x.node
    if node is None or node.role is not Role.SHIFT or len(node.operands) != 2:
        return None
    if node.call is not user.call or len(x.users) > 1:
        return None
    held = [value for value in node.operands if not value.live]
    return node if len(held) == 1 and any(v.size > 1 for v in _parameters(held[0], False)) else None


def _by_a_root(graph: Graph, factor: Value, divides: bool, named: bool) -> bool:
    """Whether a factor (or divisor) goes with the -1/2 (1/2) power of an array of the model."""
    if factor.node is None or not _holds(factor, (Role.ROOT, Role.INVERSE, Role.POWER)):
        return False
    return _grows(graph, factor, 0.5 if divides else -0.5, named)


def _by_a_deviation(graph: Graph, factor: Value, divides: bool) -> bool:
    """Whether something is divided by an array of the model itself."""
    if divides:
        return any(value.size > 1 for value in _parameters(factor)) and _grows(graph, factor, 1.0)
    return _holds(factor, (Role.INVERSE, Role.DIVIDE, Role.POWER)) and _grows(graph, factor, -1.0)


def _grows(graph: Graph, factor: Value, power: float, named: bool = True) -> bool:
    """Whether a factor goes with this power of one of the arrays that it is made of."""
    for parameter in _parameters(factor, named):
        if parameter.size == 1 or not parameter.is_float:
            continue
        try:
            small, large = (_with(graph, factor, parameter, size) for size in _SIZES)
        except CannotReplayError:
            continue
        with np.errstate(all="ignore"):
            ratio = large / small
        if np.all(np.isfinite(ratio)) and np.allclose(ratio, 4.0**power, rtol=0.02):
            return True
    return False


def _with(graph: Graph, factor: Value, parameter: Value, number: float) -> NDArray[np.float64]:
    """A factor, were all numbers of an array of the model this one."""
    filled = graph.arrays.from_numpy(np.full(parameter.shape, number), parameter.dtype)
    (made,) = replay(graph, [factor], {parameter: filled}, anew=True)
    return graph.arrays.to_numpy(made).astype(np.float64)


def _holds(value: Value, roles: tuple[Role, ...]) -> bool:
    """Whether one of these roles is among what an array of the model went through."""
    return any(node.role in roles for node in _made_by(value))


def _parameters(value: Value, named: bool = True) -> list[Value]:
    """The arrays of the model that a value is made of, or all constant ones, element by element."""
    leaves = [value] if value.node is None else []
    for node in _made_by(value):
        leaves += [operand for operand in node.operands if operand.node is None]
    return [leaf for leaf in dict.fromkeys(leaves) if leaf.is_parameter or not named]


def _made_by(value: Value) -> list[Node]:
    """The elementwise operators and moves that make a value, as far as they are few."""
    found: list[Node] = []
    todo = [value]
    while todo and len(found) < _DEEPEST:
        node = todo.pop().node
        if (
            node is not None
            and node not in found
            and (node.role.elementwise or node.role is Role.MOVE)
        ):
            found.append(node)
            todo += node.operands
    return found

"""Why what looks like a normalization is none."""

from __future__ import annotations

import numpy as np

from normscope.graph.operators import Graph, Role, Value
from normscope.graph.site_groups import Group
from normscope.graph.statistics_flow import Way, before_moves, is_shape, source_of, sources

_PROBABILITIES = (Role.EXPONENTIAL, Role.SOFTMAX, Role.SQUASH)
_FOLLOWED = (Role.MULTIPLY, Role.LIMIT, Role.SHIFT, Role.ORDER)


def reason_against(graph: Graph, group: Group, y: Value) -> str:
    """Why steps are no normalization after all; "" if they are one, as far as the graph tells.

    Args:
        graph: of the steps.
        group: the steps.
        y: their result, with scale and bias.
    """
    if group.composite is not None:
        return ""
    if Way.DIVIDED not in group.ways and group.ways != {Way.SHIFT}:
        return "a gate: a statistic acts as a factor, and nothing is divided by it"
    roles = {node.role for node in group.statistics}
    if group.ways == {Way.SHIFT} and roles == {Role.RUNNING}:
        return "a running mean is added or subtracted, and nothing is divided"
    if group.ways == {Way.SHIFT} and roles == {Role.EXTREME}:
        return "an extreme is subtracted, as before a softmax"
    if group.ways == {Way.SHIFT} and any(n.role is Role.EXPONENTIAL for n in group.nodes):
        return "the logarithm of a softmax"
    if group.ways == {Way.DIVIDED} and _is_probability(group.x) and _sums(graph, group):
        return "a softmax, or weights that sum to one"
    if _gates_its_source(group.x, y):
        return "a gate: the result acts through a sigmoid, as a factor of its own source"
    if _is_weight(group.x):
        return "a parameter is normalized, scaled by what depends on the input"
    return ""


def _is_probability(value: Value) -> bool:
    """Whether a value comes from an exponential, a softmax or a sigmoid."""
    while value.node is not None and value.live:
        node = value.node
        if node.role in _PROBABILITIES:
            return True
        live = [operand for operand in node.live_operands if operand.is_float]
        followed = is_shape(node) or node.role in _FOLLOWED
        if node.role in (Role.DIVIDE, Role.SELECT):  # divided already, or masked
            live = [v for v in live if v.size == value.size][:1]
        elif not followed or len(live) != 1:
            return False
        if not live:
            return False
        value = live[0]
    return False


def _sums(graph: Graph, group: Group) -> bool:
    """Whether the statistics are sums or means, which change their sign with their source."""
    for node in group.statistics:
        source = source_of(node)
        if source is None or before_moves(source) is not before_moves(group.x):
            return False
        if node.run is None or len(node.operands) > 1:
            continue
        ones = np.ones(source.shape)
        try:
            up, down = (
                graph.arrays.to_numpy(
                    node.run([graph.arrays.from_numpy(sign * ones, source.dtype)])[0]
                )
                for sign in (1, -1)
            )
        except Exception:  # whatever the operator raises, it is not known then
            continue
        if not np.allclose(up, -down):
            return False
    return True


def _gates_its_source(x: Value, y: Value) -> bool:
    """Whether y goes nowhere but through a sigmoid or exponential back onto x, as a factor."""
    value = y
    while len(value.users) == 1:
        (node,) = value.users
        if not node.role.elementwise and not is_shape(node):
            return False
        others = [operand for operand in node.live_operands if operand is not value]
        if node.role is Role.MULTIPLY and others:
            bounded = value is not y and value.node is not None and _went_through(value, y)
            return bounded and any(x in sources(one) or one in sources(x) for one in others)
        if others:
            return False
        value = node.results[0]
    return False


def _went_through(value: Value, y: Value) -> bool:
    """Whether a sigmoid or exponential stands between y and a value made of it alone."""
    while value is not y and value.node is not None:
        if value.node.role in (Role.SQUASH, Role.EXPONENTIAL):
            return True
        value = next(operand for operand in value.node.operands if operand.live)
    return False


def _is_weight(x: Value) -> bool:
    """Whether x is a parameter of the same size, times what is smaller."""
    node = x.node
    if node is None or node.role is not Role.MULTIPLY:
        return False
    held = [v for v in node.operands if not v.live and v.is_float and v.size > 1]
    live = node.live_operands
    return (
        bool(held) and len(live) == 1 and live[0].size < x.size and held[0].size * 2 > live[0].size
    )

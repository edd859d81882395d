"""What stands around a site in a graph -> `Surroundings`, as rules see it."""

from __future__ import annotations

from normscope.audit.surroundings import Step, Surroundings
from normscope.graph.neighbours import Neighbours
from normscope.graph.operators import Node
from normscope.graph.rules import Labels, Window


def surroundings_of(neighbours: Neighbours) -> Surroundings:
    """What stands around a site."""
    return Surroundings(
        between=tuple(map(step_of, neighbours.between)),
        users=tuple(map(step_of, neighbours.users)),
        is_output=neighbours.is_output,
    )


def step_of(node: Node) -> Step:
    """An operator, as rules see it."""
    return Step(
        path=node.path,
        type=node.call.type,
        operator=node.operator,
        role=node.role,
        source=node.source,
        learned=any(operand.is_parameter for operand in node.operands),
        pads=_pads(node),
    )


def _pads(node: Node) -> bool:
    """Whether a window begins before the first element."""
    rule = node.rule
    return isinstance(rule, Labels) and any(
        isinstance(relation, Window) and relation.before > 0 for relation in rule.relations.values()
    )

"""What stands around a site in a graph -> `Surroundings`, as rules see it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from normscope.audit.found.matching import Placed
from normscope.audit.found.site import FoundSite
from normscope.audit.surroundings import (
    Addition,
    Dropped,
    Residuals,
    Source,
    Step,
    StreamEnd,
    Surroundings,
)
from normscope.graph.dropouts import Dropouts
from normscope.graph.operators import Graph, Node
from normscope.graph.replay import replay
from normscope.graph.residuals import Addition as FoundAddition, Residuals as FoundResiduals
from normscope.graph.rules import Labels, Window
from normscope.graph.sites import Site
from normscope.graph.variance_shift import dropped_before, inflation


def surroundings_of(found: FoundSite, numbers: Mapping[Site, int]) -> Surroundings:
    """What stands around a site.

    Args:
        found: the site.
        numbers: of the sites of the model, as they are in its graphs.
    """
    placed = found.placed[found.modes[0]]
    around, residuals = placed.neighbours, placed.residuals
    previous = residuals.previous(placed.site)

    def steps(nodes: Iterable[Node]) -> tuple[Step, ...]:
        return tuple(step_of(node, placed.graph, residuals.dropouts) for node in nodes)

    return Surroundings(
        between=steps(around.between),
        users=steps(around.users),
        is_output=around.is_output,
        to_output=None if around.to_output is None else steps(around.to_output),
        is_added=around.is_added,
        previous=None if previous is None else numbers.get(previous),
        ends_branch=residuals.ends_branch(placed.site),
        carries_on=residuals.carries_on(placed.site),
        begins_branch=residuals.begins_branch(placed.site),
        sources=tuple(Source(one.name, one.shape) for one in placed.origins.inputs(placed.site)),
        follows=placed.origins.follows(placed.site),
        side_inputs=_has_side_inputs(placed.site),
        receiving=lambda: placed.origins.received(placed.site),
        looking_for_dropout=lambda: _dropped(placed),
    )


def _has_side_inputs(site: Site) -> bool:
    """Whether a live value enters it that is neither x nor made inside."""
    inside = {site.x, *(result for node in site.nodes for result in node.results)}
    return any(value not in inside for node in site.nodes for value in node.live_operands)


def _dropped(placed: Placed) -> Dropped | None:
    graph, x = placed.graph, placed.site.x
    found = dropped_before(x, placed.residuals.dropouts)
    if found is None:
        return None
    node = found.node
    return Dropped(
        path=node.path or node.operator,
        rate=found.rate,
        direct=found.direct,
        measuring=lambda kept: inflation(graph, found, x, kept),
    )


def step_of(node: Node, graph: Graph, dropouts: Dropouts) -> Step:
    """An operator, as rules see it."""

    def runs(x: NDArray[Any]) -> NDArray[np.float64] | None:
        """What it makes of other numbers."""
        if len(node.live_operands) != 1 or node.live_operands[0].shape != x.shape:
            return None
        (operand,) = node.live_operands
        try:
            given = {operand: graph.arrays.from_numpy(x, operand.dtype)}
            (y,) = replay(graph, node.results[:1], given)
            return np.array(graph.arrays.to_numpy(y), np.float64)
        except Exception:  # an operator may refuse by any exception
            return None

    return Step(
        path=node.path,
        type=node.call.type,
        operator=node.operator,
        role=node.role,
        source=node.source,
        learned=any(operand.is_parameter for operand in node.operands),
        pads=_pads(node),
        dropping=lambda: dropouts.rate(node),
        runs=runs,
    )


def residuals_of(found: FoundResiduals, numbers: Mapping[Site, int]) -> Residuals:
    """The residual additions of a model.

    Args:
        found: in one of its graphs.
        numbers: of the sites of the model, as they are in its graphs.
    """
    place = {one: n for n, one in enumerate(found.additions)}

    def addition(one: FoundAddition) -> Addition:
        return Addition(
            path=one.node.path,
            source=one.node.source,
            skip=None if one.skip_site is None else numbers.get(one.skip_site),
            before=None if one.before is None else place[one.before],
            resumes=None if one.resumes is None else place[one.resumes],
            begins=tuple(numbers[site] for site in one.begins if site in numbers),
            learned=one.learned,
            ends=None if one.ends is None else numbers.get(one.ends),
            block=None if one.block is None else one.block.path,
            enters=one.enters,
            leaves=one.leaves,
        )

    return Residuals(
        tuple(map(addition, found.additions)),
        tuple(
            StreamEnd(place[end.last], None if end.head is None else end.head.path)
            for end in found.unnormalized_ends()
        ),
    )


def _pads(node: Node) -> bool:
    """Whether a window begins before the first element."""
    rule = node.rule
    return isinstance(rule, Labels) and any(
        isinstance(relation, Window) and relation.before > 0 for relation in rule.relations.values()
    )

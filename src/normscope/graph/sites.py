"""Where a graph normalizes: statistics that come back onto their source, composite operators."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from enum import Enum
from math import prod

from normscope.graph.dismissals import reason_against
from normscope.graph.operators import Call, Graph, Node, Role, Value, bodies_of
from normscope.graph.rules import Labels
from normscope.graph.site_ends import common_call, widened
from normscope.graph.site_groups import Group, joined
from normscope.graph.statistics_flow import Way, between, place, source_of
from normscope.graph.stored_statistics import stored_steps


class Form(Enum):
    """How a site normalizes."""

    COMPOSITE = "by one operator"
    COMPOSED = "by a statistic that comes back onto its source"
    CENTRED = "by a mean that is subtracted, with no division"
    STORED = "by statistics that the model holds"


@dataclass(frozen=True, eq=False)
class Site:
    """One place where a graph normalizes, or seems to.

    Attributes:
        form: how.
        x, y: what is normalized, before and after; scale, bias and casts belong to it.
        nodes: the operators from x to y, in order.
        statistics: those of them that compute statistics.
        call: the innermost layer that holds them all.
        dismissed: why it is no normalization after all; "" if it is one as far as the graph tells.
    """

    form: Form
    x: Value
    y: Value
    nodes: tuple[Node, ...]
    statistics: tuple[Node, ...]
    call: Call
    dismissed: str = ""

    @property
    def path(self) -> str:
        """The layer, as its user names it; where a file tells of none, the operator."""
        return self.call.path or (self.statistics or self.nodes)[0].name

    @property
    def set_size(self) -> int | None:
        """How many elements of x the largest statistics set has, as its operators tell.

        None where they do not, or where they take no statistics.
        """
        sizes = [_set_size(node) for node in self.statistics]
        known = [size for size in sizes if size is not None]
        return max(known) if known and len(known) == len(sizes) else None

    @property
    def operator(self) -> str:
        """The native name of the operator, or of the first statistic."""
        return (self.statistics or self.nodes)[0].called

    @property
    def source(self) -> str:
        """The line of the program, "file.py:12"; "" if it is not known."""
        return next((node.source for node in self.nodes if node.source), "")


def _set_size(node: Node) -> int | None:
    """How many elements one statistic is taken of; None if that is not known."""
    if node.role is Role.NORMALIZATION:
        rule = node.rule
        if not isinstance(rule, Labels) or 0 not in rule.operands:
            return None
        x = node.operands[0]
        shared = [n for n, label in zip(x.shape, rule.operands[0], strict=True) if label is None]
        return prod(shared)
    source = source_of(node)
    if source is None or node.role is Role.RUNNING or not node.results[0].size:
        return None
    return source.size // node.results[0].size


def find_sites(graph: Graph) -> tuple[Site, ...]:
    """All sites of a graph, those of the graphs that its nodes run too, in order.

    Those that are no normalizations after all are among them, with the reason.
    """
    found = [(place(site.y), site) for site in _sites_of(graph)]
    for node in graph.nodes:
        for body in bodies_of(node.rule):
            found += [(node.number, site) for site in find_sites(body)]
    found.sort(key=lambda pair: pair[0])
    return tuple(site for _, site in found)


def _sites_of(graph: Graph) -> Iterator[Site]:
    groups = joined(graph)
    for group in groups:
        yield _site(graph, group)
    taken = {node for group in groups for node in group.nodes}
    for x, y, nodes in stored_steps(graph, taken):
        yield _made(graph, Form.STORED, x, y, set(nodes), ())


def _site(graph: Graph, group: Group) -> Site:
    form = Form.COMPOSED
    if group.composite is not None:
        form = Form.COMPOSITE
    elif group.ways == {Way.SHIFT}:
        form = Form.CENTRED
    site = _made(graph, form, group.x, group.y, set(group.nodes), group.statistics)
    return replace(site, dismissed=reason_against(graph, group, site.y))


def _made(
    graph: Graph,
    form: Form,
    x: Value,
    y: Value,
    nodes: set[Node],
    statistics: tuple[Node, ...],
) -> Site:
    call = common_call(nodes) or graph.calls[0]
    start, end = widened(graph, x, y, call)
    if (start, end) != (x, y):
        nodes |= between(start, end)
    ordered = tuple(sorted(nodes, key=lambda node: node.number))
    return Site(form, start, end, ordered, statistics, call)

"""Residual additions of a graph: a value is added to what a branch has made of it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

from normscope.graph.carried import carried_from
from normscope.graph.dropouts import Dropouts
from normscope.graph.operators import Call, Graph, Node, Role, Value
from normscope.graph.site_ends import common_call
from normscope.graph.sites import Site
from normscope.graph.statistics_flow import is_shape

_MOST_NODES = 600
"""So many operators of a branch are looked at; a longer one is taken for none."""

_MOST_PARALLEL = 3
"""So many branches of one value may be added one after another: x + attention(x) + mlp(x)."""


@dataclass(frozen=True, eq=False)
class Addition:
    """One residual addition.

    Attributes:
        node: the operator.
        skip: what is added to its own branch; carried to it by moves, casts, dropouts and factors.
        skip_site: the site whose y the skip is; None if it is none.
        before: the addition whose result the skip is; None if there is none.
        resumes: the addition whose result the site of the skip normalizes; None if there is none.
        begins: the sites with which the branch begins; none where it takes the skip as it is.
        raw: whether the branch takes the skip as it is, be it besides.
        learned: whether the branch holds a product with learned numbers.
        ends: the site whose y the branch ends with, scaled and shifted at most; None if it ends
            with something else.
        block: the innermost layer that holds the operator and the site of the skip; None where the
            skip is of no site.
        enters: whether what the site of the skip normalizes is what that layer is given.
        leaves: whether the sum is what that layer gives.
    """

    node: Node
    skip: Value
    skip_site: Site | None
    before: Addition | None
    resumes: Addition | None
    begins: tuple[Site, ...]
    raw: bool
    learned: bool
    ends: Site | None
    block: Call | None = None
    enters: bool = False
    leaves: bool = False


@dataclass(frozen=True, eq=False)
class StreamEnd:
    """Where a stream of residual additions ends that nothing normalizes any more.

    Attributes:
        last: the last addition; its result reaches an output of the model.
        head: the first product with learned numbers after it; None where there is none.
    """

    last: Addition
    head: Node | None


class Residuals:
    """The residual additions of a graph, those of the graphs that its nodes run too.

    Args:
        graph: the graph.
        sites: all that it normalizes; dismissed ones among them are passed over.
        dropouts: of the graph.

    Attributes:
        dropouts: of the graph.
        additions: in the order of computation.
    """

    def __init__(self, graph: Graph, sites: Sequence[Site], dropouts: Dropouts) -> None:
        self._graph = graph
        self.dropouts = dropouts
        self._made = {value: site for site in sites if not site.dismissed for value in _ends(site)}
        self._found: dict[Value, Addition] = {}
        for part in (graph, *graph.bodies()):
            for node in part.nodes:
                addition = self._addition(node) if _adds_two(node) else None
                if addition is not None:
                    self._found[node.results[0]] = addition
        self.additions = tuple(self._found.values())

    def previous(self, site: Site) -> Site | None:
        """The site whose y a site normalizes; None if it is none."""
        found = (self._made.get(value) for value in carried_from(site.x, self.dropouts))
        return next((one for one in found if one is not None), None)

    def ends_branch(self, site: Site) -> bool:
        """Whether y is the end of a residual branch, scaled and shifted at most."""
        return any(one.ends is site for one in self.additions)

    def carries_on(self, site: Site) -> bool:
        """Whether y is the skip of a branch that takes it as it is."""
        return any(one.skip_site is site and not one.begins for one in self.additions)

    def begins_branch(self, site: Site) -> bool:
        """Whether x is the skip around a branch that begins with the site."""
        return any(site in one.begins for one in self.additions)

    def unnormalized_ends(self) -> Iterator[StreamEnd]:
        """The ends of streams whose branches begin with normalizations; of the graph itself."""
        leads, ends = self._leading_to_sites(), self._leading_to_outputs()
        after = {one.before for one in self.additions}
        for one in self.additions:
            result = one.node.results[0]
            if one.begins and one not in after and result not in leads and result in ends:
                yield StreamEnd(one, self._head(result))

    def _leading_to_sites(self) -> set[Value]:
        """The values of which something is normalized later; all those of bodies, to be safe."""
        mine = {node for site in self._made.values() for node in site.nodes}
        found = {value for body in self._graph.bodies() for n in body.nodes for value in n.results}
        for node in reversed(self._graph.nodes):
            if node in mine or not found.isdisjoint(node.results):
                found.update(node.operands)
        return found

    def _leading_to_outputs(self) -> set[Value]:
        found = set(self._graph.outputs)
        for node in reversed(self._graph.nodes):
            if not found.isdisjoint(node.results):
                found.update(node.operands)
        return found

    def _head(self, value: Value) -> Node | None:
        """The first product with learned numbers of what comes from a value."""
        reached = {value}
        first = -1 if value.node is None else value.node.number
        for node in self._graph.nodes[first + 1 :]:
            if reached.isdisjoint(node.operands):
                continue
            if _is_learned(node):
                return node
            reached.update(node.results)
        return None

    def _addition(self, node: Node) -> Addition | None:
        first, second = node.operands
        for skip, branch in ((first, second), (second, first)):
            for root in islice(self._roots(skip), _MOST_PARALLEL):
                walk = self._walked(branch, root)
                if walk is not None:
                    return self._made_of(node, root, branch, walk)
        return None

    def _roots(self, value: Value) -> Iterator[Value]:
        """What a value is carried from; behind a sum, also the skip of that."""
        root = value
        for root in carried_from(value, self.dropouts):
            if root in self._made or root in self._found:
                break
        yield root
        if root in self._found:
            yield from self._roots(self._found[root].skip)

    def _walked(self, branch: Value, root: Value) -> _Walk | None:
        """From the end of a branch back to its beginning; None if it does not begin there."""
        first = -1 if root.node is None else root.node.number
        of_root = self._made.get(root)
        begins: dict[Site, None] = {}
        raw = learned = False
        todo, seen = [branch], {branch}
        while todo:
            value = todo.pop()
            node, site = value.node, self._made.get(value)
            if value is root or (site is not None and site is of_root):
                raw = True
                continue
            if node is None or not value.live or node.number < first:
                continue
            if site is not None and self._is_carried(site.x, root):
                begins[site] = None
                continue
            if len(seen) > _MOST_NODES:
                return None
            learned |= _is_learned(node)
            for operand in (site.x,) if site is not None else node.live_operands:
                if operand not in seen:
                    seen.add(operand)
                    todo.append(operand)
        return _Walk(tuple(begins), raw, learned) if raw or begins else None

    def _is_carried(self, value: Value, root: Value) -> bool:
        return any(one is root for one in carried_from(value, self.dropouts))

    def _sum_before(self, value: Value) -> Addition | None:
        """The addition that a value is carried from; None if it is none."""
        found = (self._found.get(one) for one in carried_from(value, self.dropouts))
        return next((one for one in found if one is not None), None)

    def _made_of(self, node: Node, root: Value, branch: Value, walk: _Walk) -> Addition:
        site = self._made.get(root)
        ends = (self._made.get(one) for one in carried_from(branch, self.dropouts, affine=True))
        block = None if site is None else common_call((*site.nodes, node))
        enters = leaves = False
        if site is not None and block is not None:
            enters = any(self._is_carried(site.x, given) for given in block.inputs)
            leaves = any(self._is_carried(gave, node.results[0]) for gave in block.outputs)
        return Addition(
            node,
            root,
            site,
            self._found.get(root),
            None if site is None else self._sum_before(site.x),
            walk.begins,
            walk.raw,
            walk.learned,
            next((one for one in ends if one is not None), None),
            block,
            enters,
            leaves,
        )


@dataclass(frozen=True)
class _Walk:
    """What a branch begins with, and whether it holds a product with learned numbers."""

    begins: tuple[Site, ...]
    raw: bool
    learned: bool


def _ends(site: Site) -> Iterator[Value]:
    """What a site gives, and what that is before casts and moves; neighbours may share these."""
    value = site.y
    yield value
    while (node := value.node) is not None and node in site.nodes and is_shape(node):
        value = node.operands[0]
        yield value


def _adds_two(node: Node) -> bool:
    """Whether it adds two live values element by element; a subtraction counts too."""
    if node.role is not Role.SHIFT or len(node.operands) != 2:
        return False
    size = node.results[0].size
    return all(one.live and one.is_float and one.size == size for one in node.operands)


def _is_learned(node: Node) -> bool:
    return node.role is Role.PRODUCT and node.channel_axis is not None

"""What stands around a site: what makes its channels, what comes between, what uses its output."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from heapq import heapify, heappop, heappush
from typing import Any

import numpy as np
from numpy.typing import NDArray

from normscope.graph.channel_axes import made_along
from normscope.graph.operators import Graph, Node, Role, Value
from normscope.graph.replay import known_numbers
from normscope.graph.rules import NOTHING, Fixed, Labels, Move, Repeat
from normscope.graph.sites import Site
from normscope.graph.statistics_flow import is_shape

MOST_MAKERS = 4
"""How many makers are told of one site; through additions a site can have thousands of them."""

_MOST_BETWEEN = 8
_MOST_USERS = 16
_MOST_FOLLOWED = 64
_MOST_NAMES = 2**24
_ENDS = frozenset(
    {Role.SOFTMAX, Role.STATISTIC, Role.EXTREME, *(role for role in Role if role.elementwise)}
)


@dataclass(frozen=True, eq=False)
class Maker:
    """A product with learned numbers whose channels a site normalizes, the nearest upstream.

    Attributes:
        node: the product.
        channel_axis: the axis of the site's x along which its channels run; None where they have
            been merged with others or lost their place.
        adds_bias: whether one learned number per channel is added: by the product, or by what
            follows it at once.
        direct: whether x is what it makes, but for that bias, casts and moves.
        sole: whether nothing but the site uses what it makes, here and wherever the model makes
            something with the same learned numbers.
    """

    node: Node
    channel_axis: int | None
    adds_bias: bool
    direct: bool
    sole: bool

    @property
    def path(self) -> str:
        """The layer, as its user names it."""
        return self.node.path


@dataclass(frozen=True, eq=False)
class Neighbours:
    """What stands around a site.

    Attributes:
        makers: the nearest makers of channels upstream, looking through what keeps the axes:
            activations, additions, pooling, moves; at most `MOST_MAKERS`.
        more: there are more of them.
        between: what stands between the nearest maker and x and is neither a move, a cast nor a
            bias, such as an activation; in order.
        users: what uses y, looking through moves and casts.
        is_output: whether y is an output of the model, looking through moves and casts.
        to_output: what stands between y and an output of the model where that depends on nothing
            but y, without products and further normalizations, moves and casts left out; None
            where there is no such output.
        is_added: whether y is added to what does not depend on it, with nothing but functions of
            single elements, factors and moves before that.
    """

    makers: tuple[Maker, ...] = ()
    more: bool = False
    between: tuple[Node, ...] = ()
    users: tuple[Node, ...] = ()
    is_output: bool = False
    to_output: tuple[Node, ...] | None = None
    is_added: bool = False


def neighbours(graph: Graph, sites: Sequence[Site]) -> list[Neighbours]:
    """What stands around each of some sites, in their order.

    Args:
        graph: the graph; the sites may be in graphs that its nodes run.
        sites: what `find_sites` has found.
    """
    outputs = set(graph.outputs)
    for body in graph.bodies():
        outputs.update(body.outputs)
    upstream = _Upstream(graph, outputs, {site.y: site for site in sites if _keeps_axes(site)})
    found = []
    for site in sites:
        channels = upstream.of(site.x)
        inside = set(site.nodes)
        alone = site.x not in outputs and inside.issuperset(site.x.users)
        makers = [replace(maker, sole=maker.sole and alone) for maker in channels.makers]
        users, is_output = _uses(site.y, outputs)
        found.append(
            replace(
                channels,
                makers=tuple(makers),
                users=users,
                is_output=is_output,
                to_output=_to_output(site.y, outputs),
                is_added=_is_added(site.y),
            )
        )
    return _with_shared_numbers(graph, found)


def _with_shared_numbers(graph: Graph, found: list[Neighbours]) -> list[Neighbours]:
    """A maker whose numbers others use too is the sole one only where all of these are."""
    sole = {m.node for one in found for m in one.makers if m.direct and m.sole}
    users: dict[Value, list[Node]] = {}
    for one in (graph, *graph.bodies()):
        for node in one.nodes:
            if node.role is Role.PRODUCT and node.channel_axis is not None:
                for operand in node.operands:
                    if operand.is_parameter:
                        users.setdefault(operand, []).append(node)

    others = {value: {node for node in taken if node not in sole} for value, taken in users.items()}

    def holds(maker: Maker) -> bool:
        return maker.sole and all(
            others.get(operand, set()) <= {maker.node} for operand in maker.node.operands
        )

    return [
        replace(one, makers=tuple(replace(maker, sole=holds(maker)) for maker in one.makers))
        for one in found
    ]


def _uses(y: Value, outputs: set[Value]) -> tuple[tuple[Node, ...], bool]:
    """What uses a value, and whether it is an output, looking through moves and casts."""
    users: dict[Node, None] = {}
    is_output, todo, seen = False, [y], {y}
    while todo and len(users) < _MOST_USERS:
        value = todo.pop()
        is_output |= value in outputs
        for node in value.users:
            if isinstance(node.rule, Fixed):
                continue  # it takes the shape alone
            if not is_shape(node):
                users[node] = None
                continue
            todo += [result for result in node.results if result not in seen]
            seen.update(node.results)
    return tuple(sorted(users, key=lambda node: node.number)), is_output


def _to_output(y: Value, outputs: set[Value]) -> tuple[Node, ...] | None:
    """What computes an output of a value alone, such as a softmax; None if nothing does."""
    reached, passed = {y}, list[Node]()
    todo, ends = [y], y in outputs
    while todo and len(passed) <= _MOST_USERS:  # a softmax may be ten operators
        for node in todo.pop().users:
            single = reached.issuperset(node.live_operands) and node.live
            if not single or not (node.role in _ENDS or is_shape(node)) or node in passed:
                continue
            passed.append(node)
            reached.update(node.results)
            ends |= not outputs.isdisjoint(node.results)
            todo += node.results
            todo += [value for value in reached if len(value.users) > 1]
    return tuple(node for node in passed if not is_shape(node)) if ends else None


def _is_added(y: Value) -> bool:
    """Whether a value is added to what does not depend on it, before any product."""
    along, derived = {y}, {y}
    todo = [(node.number, id(node), node) for node in set(y.users)]
    seen = {node for *_, node in todo}
    heapify(todo)
    for _ in range(_MOST_FOLLOWED):
        if not todo:
            break
        *_, node = heappop(todo)  # in the order of computation, so that operands are known
        if node.role.elementwise or is_shape(node):
            live = [operand for operand in node.live_operands if operand.is_float]
            on_the_way = any(operand in along for operand in live)
            if on_the_way and node.role is Role.SHIFT and not derived.issuperset(live):
                return True
            if on_the_way:
                along.update(node.results)
        derived.update(node.results)
        for user in (user for result in node.results for user in result.users):
            if user not in seen:
                seen.add(user)
                heappush(todo, (user.number, id(user), user))
    return False


_NONE = Neighbours()


@dataclass(eq=False)
class _Upstream:
    """What makes the channels of values; each value is looked at once, and not what uses it."""

    graph: Graph
    outputs: set[Value]
    normalized: dict[Value, Site]
    found: dict[Value, Neighbours] = field(default_factory=dict)

    def of(self, value: Value) -> Neighbours:
        stack = [value]
        while stack:
            one = stack[-1]
            missing = [source for source in self._followed(one) if source not in self.found]
            if one in self.found:
                stack.pop()
            elif missing:
                stack += missing
            else:
                self.found[one] = self._made(one)
        return self.found[value]

    def _followed(self, value: Value) -> tuple[Value, ...]:
        site = self.normalized.get(value)
        return _followed(value) if site is None else (site.x,)

    def _made(self, value: Value) -> Neighbours:
        node = value.node
        if node is None:
            return _NONE
        if value in self.normalized:
            return _after(self.normalized[value], self.found[self.normalized[value].x])
        axis = made_along(node, value)
        if axis is not None:
            return Neighbours((Maker(node, axis, node.adds_bias, True, True),))
        if node.channel_axis is not None or isinstance(node.rule, Repeat):
            return _NONE
        parts = [self._passed(operand, value, node) for operand in self._followed(value)]
        parts = [part for part in parts if part.makers]
        if not parts:
            return _NONE
        makers = list({maker.node: maker for part in parts for maker in part.makers}.values())
        more = len(makers) > MOST_MAKERS or any(part.more for part in parts)
        if len(parts) > 1:
            makers = [replace(maker, direct=False) for maker in makers]
        return Neighbours(tuple(makers[:MOST_MAKERS]), more, parts[0].between)

    def _passed(self, operand: Value, value: Value, node: Node) -> Neighbours:
        """The channels of an operand, as the result of an operator has them."""
        channels = self.found[operand]
        if not channels.makers:
            return channels
        alone = len(operand.users) == 1 and operand not in self.outputs
        adds_bias = all(_adds_bias(self.graph, node, operand, maker) for maker in channels.makers)
        keeps = is_shape(node) or adds_bias
        axes = {maker.channel_axis for maker in channels.makers}
        moved = {
            axis: None if axis is None else self._axis(node, operand, value, axis) for axis in axes
        }
        makers = [
            replace(
                maker,
                channel_axis=moved[maker.channel_axis],
                adds_bias=maker.adds_bias or adds_bias,
                direct=maker.direct and keeps,
                sole=maker.sole and alone,
            )
            for maker in channels.makers
        ]
        between = channels.between if keeps else (*channels.between, node)
        return Neighbours(tuple(makers), channels.more, between[-_MOST_BETWEEN:])

    def _axis(self, node: Node, operand: Value, value: Value, axis: int) -> int | None:
        """Where an axis of an operand is in a result; None if it is nowhere to be told."""
        if isinstance(node.rule, Labels):
            number = node.operands.index(operand)
            label = node.rule.operands.get(number, (None,) * len(operand.shape))[axis]
            dims = node.rule.results[node.results.index(value)]
            return dims.index(label) if label is not None and label in dims else None
        return moved_axis(self.graph, node, operand, value, axis)


def _keeps_axes(site: Site) -> bool:
    return not site.dismissed and site.x.shape == site.y.shape


def _after(site: Site, channels: Neighbours) -> Neighbours:
    """The channels of what was normalized."""
    makers = tuple(replace(maker, direct=False, sole=False) for maker in channels.makers)
    between = (*channels.between, (site.statistics or site.nodes)[0])
    return Neighbours(makers, channels.more, between[-_MOST_BETWEEN:])


def _followed(value: Value) -> tuple[Value, ...]:
    """The operands whose axes a value has."""
    node = value.node
    if node is None or not value.live or node.role is Role.PRODUCT:
        return ()
    live = [operand for operand in node.live_operands if operand.is_float]
    if node.role.elementwise:
        return tuple(operand for operand in live if operand.size == value.size)
    if isinstance(node.rule, Move):
        return tuple(live[:MOST_MAKERS])
    followed = isinstance(node.rule, Labels) and node.operands and node.operands[0] in live
    return (node.operands[0],) if followed else ()


def _adds_bias(graph: Graph, node: Node, operand: Value, maker: Maker) -> bool:
    """Whether an operator adds one constant number per channel to what a maker makes."""
    if node.role is not Role.SHIFT or not maker.direct or maker.channel_axis is None:
        return False
    others = [other for other in node.operands if other is not operand]
    if len(others) != 1 or others[0].live:
        return False
    axis = _only_axis(graph, others[0])
    rank = len(node.results[0].shape)
    return axis is not None and axis + rank - len(others[0].shape) == maker.channel_axis


def _only_axis(graph: Graph, value: Value) -> int | None:
    """The one axis along which a constant runs, be it broadcast or not."""
    moves: list[Node] = []
    while value.node is not None and is_shape(value.node) and len(value.node.operands) == 1:
        if value.node.role is Role.MOVE:
            moves.append(value.node)
        value = value.node.operands[0]
    runs = [axis for axis, size in enumerate(value.shape) if size > 1]
    if len(runs) != 1:
        return None
    axis: int | None = runs[0]
    for node in reversed(moves):
        try:
            axis = (
                None
                if axis is None
                else moved_axis(graph, node, node.operands[0], node.results[0], axis)
            )
        except Exception:  # whatever the operator raises on names, it is not known then
            return None
    return axis


def moved_axis(graph: Graph, node: Node, operand: Value, value: Value, axis: int) -> int | None:
    """Where a move puts an axis: the one along which the indices of that axis then run."""
    rule = node.rule
    if not isinstance(rule, Move) or max(operand.size, value.size) > _MOST_NAMES:
        return None
    index = np.arange(operand.shape[axis]).reshape([-1] + [1] * (len(operand.shape) - axis - 1))

    def given() -> Iterator[NDArray[Any]]:
        for number, other in enumerate(node.operands):
            if number not in rule.data:
                yield known_numbers(graph, other)
            elif other is operand:
                yield np.broadcast_to(index, other.shape).copy()
            else:
                yield np.full(other.shape, NOTHING)

    try:
        places = rule.replay(list(given()))[node.results.index(value)]
    except Exception:  # whatever the operator raises on names, it is not known then
        return None
    known = places != NOTHING
    runs = []
    for dim in range(places.ndim):
        low = np.min(places, axis=dim, keepdims=True, where=known, initial=places.max(initial=0))
        high = np.max(places, axis=dim, keepdims=True, where=known, initial=NOTHING)
        if np.any(low < high):
            runs.append(dim)
    if len(runs) != 1:
        return None
    others = tuple(dim for dim in range(places.ndim) if dim != runs[0])
    along = places.max(axis=others)
    along = along[along != NOTHING]
    return runs[0] if len(np.unique(along)) == len(along) else None

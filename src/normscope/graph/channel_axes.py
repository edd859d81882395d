"""Along which axes of a value channels run that any product upstream has made."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from normscope.graph.operators import Graph, Node, Role, Value
from normscope.graph.replay import known_numbers
from normscope.graph.rules import NOTHING, Labels, Move, Repeat

_MOST_VALUES = 4096
_MOST_NAMES = 2**22

Channels = NDArray[np.int64]
"""Of which channel each element is, broadcast to the shape of the value."""


class ChannelAxes:
    """The axes of values along which learned products put their channels.

    Unlike the nearest makers, these are looked for through further products too: a product along
    the tokens leaves the channels of each token where they are.

    Args:
        graph: whose values they are.
    """

    def __init__(self, graph: Graph) -> None:
        self._graph = graph
        self._found: dict[Value, tuple[Channels, ...]] = {}

    def of(self, value: Value) -> frozenset[int] | None:
        """The axes; None where there is too much upstream to look at."""
        stack, looked_at = [value], 0
        while stack:
            one = stack[-1]
            missing = [source for source in _sources(one) if source not in self._found]
            if one in self._found:
                stack.pop()
            elif missing:
                stack += missing
                looked_at += len(missing)
                if looked_at > _MOST_VALUES or max(v.size for v in missing) > _MOST_NAMES:
                    return None
            else:
                self._found[one] = tuple(_apart(self._made(one)))
        return frozenset(axis for channels in self._found[value] for axis in _along(channels))

    def _made(self, value: Value) -> Iterator[Channels]:
        node = value.node
        if node is None or not value.live:
            return
        axis = made_along(node, value)
        if axis is not None:
            rank = len(value.shape)
            yield np.arange(value.shape[axis]).reshape([-1] + [1] * (rank - axis - 1))[
                (None,) * axis
            ]
        for number, operand in enumerate(node.operands):
            for channels in self._found.get(operand, ()) if operand.live else ():
                if isinstance(node.rule, Labels):
                    yield from _by_labels(node, node.rule, number, value, channels)
                elif isinstance(node.rule, Move) and number in node.rule.data:
                    yield from self._moved(node, node.rule, number, value, channels)

    def _moved(
        self, node: Node, rule: Move, number: int, value: Value, channels: Channels
    ) -> Iterator[Channels]:
        def given() -> Iterator[NDArray[Any]]:
            for other, operand in enumerate(node.operands):
                if other not in rule.data:
                    yield known_numbers(self._graph, operand)
                elif other == number:
                    yield np.ascontiguousarray(np.broadcast_to(channels, operand.shape))
                else:
                    yield np.full(operand.shape, NOTHING)

        try:
            yield _short(rule.replay(list(given()))[node.results.index(value)])
        except Exception:  # whatever the operator raises on names, it is not known then
            return


def made_along(node: Node, value: Value) -> int | None:
    """The axis of a result along which the operator itself makes channels; None if it does not.

    A loop, such as a recurrent layer, makes those that its rounds make.
    """
    if isinstance(node.rule, Repeat):
        number = node.results.index(value)
        axes = ChannelAxes(node.rule.body).of(node.rule.body.outputs[number])
        if axes is None or len(axes) != 1:
            return None
        return min(axes) + (number >= node.rule.carried)  # stacked along a new first axis
    if value is not node.results[0] or node.channel_axis is None:
        return None
    return node.channel_axis % len(value.shape)


def _by_labels(
    node: Node, rule: Labels, number: int, value: Value, channels: Channels
) -> Iterator[Channels]:
    """Channels of an operand as the result has them, unless they are summed over."""
    dims = rule.results[node.results.index(value)]
    own = rule.operands.get(number)
    whole = node.role in (Role.NORMALIZATION, Role.SOFTMAX) and number == 0
    if whole and len(dims) == channels.ndim:
        yield channels  # every element stays what it was
        return
    if own is None or len(own) != channels.ndim:
        return
    kept = [axis for axis, label in enumerate(own) if label is not None and label in dims]
    if any(axis not in kept for axis in _along(channels)):
        return
    line = channels[tuple(slice(None) if axis in kept else 0 for axis in range(channels.ndim))]
    places = [dims.index(own[axis]) for axis in kept]
    order = np.argsort(places, kind="stable")
    shape = [1] * len(dims)
    for place, length in zip(places, line.shape, strict=True):
        shape[place] = length
    yield line.transpose(order).reshape(shape)


def _sources(value: Value) -> tuple[Value, ...]:
    node = value.node
    if node is None or not value.live or not isinstance(node.rule, Labels | Move):
        return ()
    return tuple(operand for operand in node.live_operands if operand.is_float)


def _apart(channels: Iterable[Channels]) -> Iterator[Channels]:
    """One for each set of axes along which they run."""
    seen: set[tuple[int, ...]] = set()
    for one in channels:
        along = tuple(_along(one))
        if along and along not in seen:
            seen.add(along)
            yield one


def _along(channels: Channels) -> Iterator[int]:
    return (axis for axis, length in enumerate(channels.shape) if length > 1)


def _short(channels: Channels) -> Channels:
    """Channels with length 1 along the axes along which they are the same, if they are any."""
    for axis in range(channels.ndim):
        most = channels.max(axis, keepdims=True)
        if channels.shape[axis] > 1 and ((channels == most) | (channels == NOTHING)).all():
            channels = most
    return channels

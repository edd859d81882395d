"""What the axes of each value in a graph are: along which the samples lie, and their names."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from normscope.graph.operators import Graph, Node, Value
from normscope.graph.replay import known_numbers
from normscope.graph.rules import NOTHING, Branch, Dims, Fixed, Labels, Move, Repeat

LARGEST_MOVE = 2**27
"""Elements that may be moved to see which axis goes where; of larger ones nothing is known."""

_LINES = 24
"""Lines along each axis that are looked at."""


@dataclass(frozen=True)
class Axes:
    """What the axes of one value are.

    Attributes:
        names: of each axis; None where it has none.
        samples: the axes along which samples lie; None if that is not known.
    """

    names: tuple[str | None, ...]
    samples: frozenset[int] | None


def unknown(value: Value) -> Axes:
    """Of a value that depends on no input there are no samples; of another nothing is known."""
    return Axes((None,) * len(value.shape), None if value.live else frozenset())


def axes_of(
    graph: Graph, names: Sequence[Sequence[str | None]], samples: Sequence[int | None]
) -> dict[Value, Axes]:
    """What the axes of each live value are, those of the graphs that nodes run among them.

    Args:
        graph: of one mode of a model.
        names: of the axes of each input.
        samples: of each input, the axis of the samples; None for one without samples.
    """
    found = {
        value: Axes(tuple(own), frozenset() if axis is None else frozenset({axis}))
        for value, own, axis in zip(graph.inputs, names, samples, strict=True)
    }
    _follow(graph, found)
    return found


def _follow(graph: Graph, found: dict[Value, Axes]) -> None:
    for node in graph.nodes:
        if not node.live:
            continue
        operands = [found.get(value) or unknown(value) for value in node.operands]
        made = _results(graph, node, operands, found)
        for value, axes in zip(node.results, made, strict=False):
            found[value] = axes


def _results(
    graph: Graph, node: Node, operands: list[Axes], found: dict[Value, Axes]
) -> Iterable[Axes]:
    rule = node.rule
    match rule:
        case Labels():
            return [
                _labelled(rule, dims, operands, value)
                for dims, value in zip(rule.results, node.results, strict=False)
            ]
        case Move():
            return _moved(graph, node, rule, operands)
        case Fixed():
            return [Axes((None,) * len(value.shape), frozenset()) for value in node.results]
        case Branch(bodies):
            for body in bodies:
                _enter(body, operands[1:], found)
            return [found.get(value) or unknown(value) for value in bodies[0].outputs]
        case Repeat(body, constants, carried):
            fixed = constants + carried
            slices = [_without_first(axes) for axes in operands[fixed:]]
            _enter(body, [*operands[:fixed], *slices], found)
            made = [found.get(value) or unknown(value) for value in body.outputs]
            return [*made[:carried], *map(_with_first, made[carried:])]
    return [unknown(value) for value in node.results]


def _enter(body: Graph, given: Sequence[Axes], found: dict[Value, Axes]) -> None:
    found.update(zip(body.inputs, given, strict=False))
    _follow(body, found)


def _without_first(axes: Axes) -> Axes:
    samples = axes.samples and frozenset(axis - 1 for axis in axes.samples if axis)
    return Axes(axes.names[1:], samples)


def _with_first(axes: Axes) -> Axes:
    samples = axes.samples and frozenset(axis + 1 for axis in axes.samples)
    return Axes((None, *axes.names), samples)


def _labelled(rule: Labels, dims: Dims, operands: Sequence[Axes], value: Value) -> Axes:
    """The axes of a result whose dimensions have these labels."""
    place = {label: axis for axis, label in enumerate(dims) if label is not None}
    names: list[str | None] = [None] * len(value.shape)
    samples: set[int] | None = set()
    for number, labels in rule.operands.items():
        own = operands[number]
        for axis, label in enumerate(labels):
            at = place.get(label) if label is not None else None
            if at is not None and axis < len(own.names):
                names[at] = names[at] or own.names[axis]
                if samples is not None and own.samples and axis in own.samples:
                    samples.add(at)
        if own.samples is None:
            samples = None
    for axis, label in enumerate(dims):  # a normalization keeps the axes along which it sees all
        own_names = operands[0].names if operands else ()
        if label is None and len(own_names) == len(names) and names[axis] is None:
            names[axis] = own_names[axis]
            if samples is not None and axis in (operands[0].samples or ()):
                samples.add(axis)
    return Axes(tuple(names), None if samples is None else frozenset(samples))


def _moved(graph: Graph, node: Node, rule: Move, operands: Sequence[Axes]) -> list[Axes]:
    """Each axis that has a name or samples is followed by the numbers of its indices."""
    data = [operands[number] for number in rule.data]
    size = sum(value.size for value in (*node.operands, *node.results))
    if any(axes.samples is None for axes in data) or size > LARGEST_MOVE:
        return [unknown(value) for value in node.results]
    claims: list[dict[int, list[tuple[str | None, bool]]]] = [{} for _ in node.results]
    samples: list[set[int]] = [set() for _ in node.results]
    for axis in range(max(len(axes.names) for axes in data)):
        own = next((a.names[axis] for a in data if axis < len(a.names) and a.names[axis]), None)
        sampled = any(axis in (axes.samples or ()) for axes in data)
        if own is None and not sampled:
            continue
        try:
            arrived = rule.replay(list(_numbered(graph, node, rule, axis)))
        except Exception:  # a move may refuse to be repeated in its own way
            return [unknown(value) for value in node.results]
        for number, array in enumerate(arrived):
            for along in range(array.ndim):
                lines = _lines(array, along)
                if _varies(lines):
                    claims[number].setdefault(along, []).append((own, _steps(lines)))
                    if sampled:
                        samples[number].add(along)
    found = []
    for value, claimed, own_samples in zip(node.results, claims, samples, strict=True):
        # an axis along which several of those before vary is none of them
        named: list[str | None] = [None] * len(value.shape)
        for axis, those in claimed.items():
            (name, steps), *others = those
            if steps and not others:
                named[axis] = name
        once = tuple(name if named.count(name) == 1 else None for name in named)  # not if split
        found.append(Axes(once, frozenset(own_samples)))
    return found


def _numbered(graph: Graph, node: Node, rule: Move, axis: int) -> Iterator[NDArray[np.int64]]:
    """The operands of a move, each element named by its index along an axis."""
    for number, value in enumerate(node.operands):
        if number not in rule.data:
            yield known_numbers(graph, value)
        elif axis < len(value.shape):
            shape = [1] * len(value.shape)
            shape[axis] = -1
            yield np.broadcast_to(
                np.arange(value.shape[axis], dtype=np.int64).reshape(shape), value.shape
            )
        else:
            yield np.broadcast_to(np.int64(NOTHING), value.shape)


def _lines(array: NDArray[np.int64], axis: int) -> NDArray[np.int64]:
    """Some lines of an array along an axis, which stand for all."""
    rng = np.random.default_rng(0)
    lines = np.moveaxis(array, axis, -1)
    found: NDArray[np.int64] = lines[
        tuple(rng.integers(0, max(n, 1), _LINES) for n in lines.shape[:-1])
        if array.size
        else (slice(0),)
    ]
    return found


def _varies(lines: NDArray[np.int64]) -> bool:
    """Whether any line has two different indices, but for what comes from nowhere."""
    if not lines.size:
        return False
    most = lines.max(axis=-1)
    return bool((np.where(lines == NOTHING, most[..., None], lines).min(axis=-1) < most).any())


def _steps(lines: NDArray[np.int64]) -> bool:
    """Whether each index differs from the one before, but for what comes from nowhere."""
    before, after = lines[..., :-1], lines[..., 1:]
    return bool(((before != after) | (after == NOTHING)).all())

"""What the axes of each value in a graph are: along which the samples lie, and their names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from normscope.graph.lattice import NOBODY, Ints, Lattice
from normscope.graph.masks import Known
from normscope.graph.operators import Graph, Node, Role, Value
from normscope.graph.owners import Owners, owners_of_inputs
from normscope.graph.rules import Scan, Window


@dataclass(frozen=True)
class Axes:
    """What the axes of one value are.

    Attributes:
        names: of each axis; None where it has none.
        samples: the axes along which samples lie; None if that is not known.
    """

    names: tuple[str | None, ...]
    samples: frozenset[int] | None


class Places:
    """What the axes of the values of a graph are.

    Args:
        graph: of one mode of a model.
        names: of the axes of each input; None for an axis without a name.
        samples: of each input, the axis of the samples; None for one without samples.
    """

    def __init__(
        self,
        graph: Graph,
        names: Sequence[Sequence[str | None]],
        samples: Sequence[int | None],
    ) -> None:
        self._sampled = tuple(samples)
        self._samples = lineage_along(graph, samples)
        self._named: dict[str, Lineage | None] = {}
        for name in dict.fromkeys(name for own in names for name in own if name):
            axes = [own.index(name) if name in own else None for own in map(list, names)]
            self._named[name] = (
                self._samples if axes == list(samples) else lineage_along(graph, axes)
            )

    def of(self, value: Value) -> Axes:
        """What the axes of a value are."""
        claims: list[list[str]] = [[] for _ in value.shape]
        steps: dict[str, int] = {}
        for name, lineage in self._named.items():
            axes = frozenset[int]() if lineage is None else lineage.axes(value) or frozenset()
            for axis in axes:
                claims[axis].append(name)
            if lineage is not None and len(axes) == 1 and lineage.steps(value, min(axes)):
                steps[name] = min(axes)
        names = [those[0] if len(those) == 1 and those[0] in steps else None for those in claims]
        if not any(axis is not None for axis in self._sampled):
            return Axes(tuple(names), frozenset())
        if self._samples is None:
            return Axes(tuple(names), self._of_one_sample(value))
        return Axes(tuple(names), self._samples.axes(value))

    def _of_one_sample(self, value: Value) -> frozenset[int] | None:
        """Where there is one sample, or the inputs disagree, its axis is where it was, if any."""
        axes = {axis for axis in self._sampled if axis is not None}
        there = len(axes) == 1 and min(axes) < len(value.shape)
        return frozenset(axes) if there and value.shape[min(axes)] == 1 else None


class Lineage(Owners):
    """From which index along an axis of the inputs each element comes.

    It is not asked on what an element depends: one that is normalized stays the one that it was,
    whatever the statistics are of.
    """

    def axes(self, value: Value) -> frozenset[int] | None:
        """The axes along which the indices differ; None if that is not known."""
        indices = self.of(value)
        if (indices == self.lattice.count).all():
            return None
        return frozenset(axis for axis in range(indices.ndim) if _varies(indices, axis))

    def steps(self, value: Value, axis: int) -> bool:
        """Whether each index differs from the one before, but for what comes from nowhere."""
        indices = self.of(value)
        line = indices.max(tuple(other for other in range(indices.ndim) if other != axis))
        known = line[(line != NOBODY) & (line != self.lattice.count)]
        return known.size > 1 and bool((np.diff(known) != 0).all())

    def _by_rule(self, node: Node) -> list[Known]:
        found = super()._by_rule(node)
        if node.role is Role.NORMALIZATION:
            found[0] = self._of(node.operands[0])
        return found


class _OneIndex(Lattice):
    """The index that an element comes from; one that comes from several gives way to another."""

    def settled(self, high: Ints, low: Ints) -> Ints:
        """The one index there is, if it is one."""
        one = (high == low) | (high == NOBODY)
        return np.where(one, high, np.where(high == self.count, low, self.count))

    def seen(self, owners: Ints, axis: int, relation: Window | Scan, size: int, made: int) -> Ints:
        """Of a window the index in its middle; of a walk its last."""
        if owners.shape[axis] == 1:
            return owners
        places = np.arange(made)
        if isinstance(relation, Window):
            middle = (relation.size - 1) * relation.dilation // 2
            places = (places * relation.stride - relation.before + middle) // relation.spread
        return owners.take(np.clip(places, 0, size - 1), axis)


def _varies(indices: Ints, axis: int) -> bool:
    """Whether indices differ along an axis, but for what comes from nowhere."""
    if indices.shape[axis] == 1:
        return False
    most = indices.max(axis, keepdims=True)
    return bool((np.where(indices == NOBODY, most, indices).min(axis, keepdims=True) < most).any())


def lineage_along(graph: Graph, axes: Sequence[int | None]) -> Lineage | None:
    """The lineage along an axis of each input; None where the lengths are not one.

    Args:
        graph: of one mode of a model.
        axes: of each input; None for one that has no such axis.
    """
    lengths = {
        value.shape[axis]
        for value, axis in zip(graph.inputs, axes, strict=True)
        if axis is not None
    }
    if len(lengths - {1}) != 1:
        return None
    count = max(lengths)
    return Lineage(graph, _OneIndex(count), owners_of_inputs(graph, axes, count))


def places_of(
    graphs: Mapping[bool, Graph],
    names: Sequence[Sequence[str | None]],
    samples: Sequence[int | None],
) -> dict[bool, Places]:
    """What the axes are in each mode; the arguments are those of `Places`."""
    return {training: Places(graph, names, samples) for training, graph in graphs.items()}

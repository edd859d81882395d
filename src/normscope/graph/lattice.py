"""To whom an element belongs: to nobody, to one sample, to several; or from which step on it is.

An array of owners is broadcast to the shape of its value: along an axis where all owners are the
same it has length 1. An owner is `NOBODY`, or a number below `count`, or `count` itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from normscope.graph.rules import NOTHING, Names, Scan, Window

Ints = NDArray[np.int64]
Integer = TypeVar("Integer", bound=np.signedinteger[Any])

NOBODY = NOTHING
"""The owner of what depends on no input."""


class Lattice:
    """Owners, and how those of several elements are joined into one.

    Attributes:
        count: of samples or steps; as an owner, all of them.
    """

    def __init__(self, count: int) -> None:
        self.count = count

    def settled(self, high: Ints, low: Ints) -> Ints:
        """The owner of elements of which `high` is the highest owner and `low` the lowest.

        `low` leaves out nobody; where there is nobody else it is large.
        """
        raise NotImplementedError  # each of the two lattices says it

    def join(self, one: Ints, other: Ints) -> Ints:
        """Of elements that depend on both, with broadcasting."""
        if one is other or _is_nobody(other):
            return one
        if _is_nobody(one):
            return other
        return self.settled(np.maximum(one, other), np.minimum(_lifted(one), _lifted(other)))

    def join_along(self, owners: Ints, axes: Sequence[int]) -> Ints:
        """Of elements that depend on all along axes, which stay with length 1."""
        at = tuple(axis for axis in axes if owners.shape[axis] != 1)
        if not at:
            return owners
        if owners.size == 0:
            return nobody(owners.ndim)
        return self.settled(owners.max(at, keepdims=True), _lifted(owners).min(at, keepdims=True))

    def joined(self, owners: Ints) -> int:
        """Of what depends on all elements."""
        return int(self.join_along(owners.reshape(-1), [0])[0]) if owners.ndim else int(owners)

    def join_at(self, owners: Ints, places: Names, others: Ints) -> Ints:
        """Others are joined into a flat array at places, of which some may be the same."""
        high, low = owners.copy(), _lifted(owners)
        np.maximum.at(high, places, others)
        np.minimum.at(low, places, _lifted(others))
        return self.settled(high, low)

    def seen(self, owners: Ints, axis: int, relation: Window | Scan, size: int, made: int) -> Ints:
        """What each index along an axis sees of an operand.

        Args:
            owners: of the operand.
            axis: along which.
            relation: what an index sees.
            size: of the operand along the axis.
            made: how many indices there are to see it.
        """
        if owners.shape[axis] == 1:
            return owners
        if isinstance(relation, Scan):
            return self._scanned(owners, axis, relation.reverse, made)
        places = np.arange(made) * relation.stride - relation.before
        result = nobody(owners.ndim)
        along = [1] * owners.ndim
        along[axis] = made
        for j in range(relation.size):
            spread = places + j * relation.dilation
            index, rest = np.divmod(spread, relation.spread)
            there = (rest == 0) & (index >= 0) & (index < size)
            part = owners.take(np.clip(index, 0, size - 1), axis)
            result = self.join(result, np.where(there.reshape(along), part, NOBODY))
        return result

    def _scanned(self, owners: Ints, axis: int, reverse: bool, made: int) -> Ints:
        owners = np.flip(owners, axis) if reverse else owners
        found = self.settled(
            np.maximum.accumulate(owners, axis), np.minimum.accumulate(_lifted(owners), axis)
        )
        turned = np.flip(found, axis) if reverse else found
        shown: Ints = turned.take(np.minimum(np.arange(made), owners.shape[axis] - 1), axis)
        return shown


class Samples(Lattice):
    """An owner is the one sample that an element depends on; `count`: it depends on several."""

    def settled(self, high: Ints, low: Ints) -> Ints:
        """One sample if the highest is the lowest."""
        return np.where((high == low) | (high == NOBODY), high, self.count)


class Steps(Lattice):
    """An owner is the latest step that an element may depend on."""

    def settled(self, high: Ints, low: Ints) -> Ints:
        """The latest."""
        return high


def nobody(rank: int) -> Ints:
    """Owners of what depends on no input."""
    return constant(rank, NOBODY)


def constant(rank: int, owner: int) -> Ints:
    """The same owner everywhere."""
    return np.full((1,) * rank, owner, np.int64)


def numbered(rank: int, axis: int, size: int) -> Ints:
    """Each index along an axis, as the owner of what stands there."""
    shape = [1] * rank
    shape[axis] = size
    return np.arange(size).reshape(shape)


def distinct(array: NDArray[Integer]) -> NDArray[Integer]:
    """What is in memory of a broadcast array: of length 1 along each axis that is repeated.

    >>> distinct(np.broadcast_to(np.arange(2), (3, 2))).tolist()
    [[0, 1]]
    """
    if not array.size:
        return array
    return array[tuple(slice(None, None if stride else 1) for stride in array.strides)]


def compact(array: NDArray[Integer]) -> NDArray[Integer]:
    """Of length 1 along each axis where it is the same.

    >>> compact(np.array([[0, 0], [1, 1]])).tolist()
    [[0], [1]]
    """
    array = distinct(array)
    for axis in sorted(range(array.ndim), key=lambda axis: -array.shape[axis]):
        if array.shape[axis] > 1 and array.size:
            # most axes along which owners differ show it in a single line
            line = np.moveaxis(array, axis, 0).reshape(array.shape[axis], -1)[:, 0]
            first = array.take([0], axis)
            if (line == line[0]).all() and (array == first).all():
                array = first
    return array


def _lifted(owners: Ints) -> Ints:
    return np.where(owners == NOBODY, np.iinfo(np.int64).max, owners)


def _is_nobody(owners: Ints) -> bool:
    return owners.size == 1 and owners.item() == NOBODY


def aligned(
    array: NDArray[np.int64], labels: Sequence[str | None], dims: Sequence[str | None]
) -> NDArray[np.int64]:
    """Each axis at the place that its label has among others; one without a place has length 1.

    >>> aligned(np.zeros((2, 3)), ("a", "b"), ("b", "c", "a")).shape
    (3, 1, 2)

    Raises:
        ValueError: a label stands twice, or an axis without a place is longer.
    """
    at = {axis: dims.index(label) for axis, label in enumerate(labels) if label in dims and label}
    shape = [1] * len(dims)
    for axis, place in at.items():
        shape[place] = array.shape[axis]
    if len(set(at.values())) < len(at) or np.prod(shape) != array.size:
        raise ValueError(f"axes {labels} of shape {array.shape} have no place in {dims}")
    order = sorted(range(array.ndim), key=lambda axis: at.get(axis, -1))
    return array.transpose(order).reshape(shape)

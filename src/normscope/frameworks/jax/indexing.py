"""Where `gather` and `scatter` find and put elements, as XLA defines it, in NumPy."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from normscope.graph.rules import NOTHING, Dims, Labels, Names

Shape = tuple[int, ...]


@dataclass(frozen=True)
class Indexing:
    """What gather and scatter have in common: windows of an array, at places that indices tell.

    Attributes:
        shape: of the array with the windows.
        sizes: of a window, along each axis of the array.
        indexed: the axis of the array that each number of an index stands for.
        batch: axes of the array, each with the axis of the indices that runs along with it.
        dropped: axes of the array that a window does not show.
        window: the axes of the other array, the small one, that show the windows.
        rank: of the small array.
        clips: indices out of range are moved into it; else nothing is found there.
    """

    shape: Shape
    sizes: Shape
    indexed: Shape
    batch: Mapping[int, int]
    dropped: frozenset[int]
    window: Shape
    rank: int
    clips: bool

    @property
    def shown(self) -> list[int]:
        """The axes of the array that a window shows, in order."""
        return [axis for axis in range(len(self.shape)) if axis not in self.dropped]

    @property
    def batch_axes(self) -> list[int]:
        """The axes of the small array that are those of the indices, in order."""
        return [axis for axis in range(self.rank) if axis not in self.window]

    def places(self, indices: NDArray[Any]) -> Names:
        """For each element of the small array its flat place in the array; `NOTHING` outside."""
        outer = indices.shape[:-1]
        rank = len(outer) + len(self.shown)
        flat = np.zeros((1,) * rank, np.int64)
        valid = np.ones((1,) * rank, bool)
        numbers = indices.astype(np.int64)
        for axis, (length, size) in enumerate(zip(self.shape, self.sizes, strict=True)):
            place = np.zeros((1,) * rank, np.int64)
            if axis in self.indexed:
                start = numbers[..., self.indexed.index(axis)]
                last = length - size
                if self.clips:
                    start = np.clip(start, 0, last)
                start = start.reshape(*outer, *[1] * len(self.shown))
                valid = valid & (start >= 0) & (start <= last)
                place = place + start
            elif axis in self.batch:
                place = place + _counted(rank, self.batch[axis], length)
            if axis not in self.dropped:
                place = place + _counted(rank, len(outer) + self.shown.index(axis), size)
            flat = flat * length + place
        full = (*outer, *(self.sizes[axis] for axis in self.shown))
        found = np.broadcast_to(np.where(valid, flat, NOTHING), full)
        return np.moveaxis(found, range(found.ndim), [*self.batch_axes, *self.window])

    def labels(self, columns: Sequence[int | None]) -> tuple[Dims, Dims, Dims]:
        """The labels of the array, the indices and the small array, where indices are not known.

        Args:
            columns: for each number of an index, the axis of the indices along which it just
                counts; None where it may be anything.
        """
        small: list[str | None] = [f"s{axis}" for axis in range(self.rank)]
        array: list[str | None] = [None] * len(self.shape)
        outer = [small[axis] for axis in self.batch_axes]
        for axis, size in enumerate(self.sizes):
            if axis in self.batch:
                array[axis] = outer[self.batch[axis]]
            elif axis in self.indexed and size == 1 and axis in self.dropped:
                column = columns[self.indexed.index(axis)]
                array[axis] = None if column is None else outer[column]
            elif axis not in self.dropped and size == self.shape[axis]:
                array[axis] = small[self.window[self.shown.index(axis)]]
        return tuple(array), (*outer, None), tuple(small)


def gathering(equation: Any) -> Indexing:
    """How a gather finds its elements."""
    numbers, sizes = equation.params["dimension_numbers"], equation.params["slice_sizes"]
    batch = dict(
        zip(numbers.operand_batching_dims, numbers.start_indices_batching_dims, strict=True)
    )
    mode = equation.params["mode"].name
    return Indexing(
        equation.invars[0].aval.shape,
        tuple(int(size) for size in sizes),
        tuple(numbers.start_index_map),
        batch,
        frozenset((*numbers.collapsed_slice_dims, *batch)),
        tuple(numbers.offset_dims),
        len(equation.outvars[0].aval.shape),
        mode in ("CLIP", "PROMISE_IN_BOUNDS"),
    )


def scattering(equation: Any) -> Indexing:
    """How a scatter puts its elements."""
    numbers = equation.params["dimension_numbers"]
    shape, updates = equation.invars[0].aval.shape, equation.invars[2].aval.shape
    batch = dict(
        zip(numbers.operand_batching_dims, numbers.scatter_indices_batching_dims, strict=True)
    )
    dropped = frozenset((*numbers.inserted_window_dims, *batch))
    shown = iter(numbers.update_window_dims)
    sizes = tuple(1 if axis in dropped else updates[next(shown)] for axis in range(len(shape)))
    return Indexing(
        shape,
        sizes,
        tuple(numbers.scatter_dims_to_operand_dims),
        batch,
        dropped,
        tuple(numbers.update_window_dims),
        len(updates),
        equation.params["mode"].name == "CLIP",
    )


def gathering_labels(how: Indexing, columns: Sequence[int | None]) -> Labels:
    """The rule of a gather whose indices are not known."""
    array, indices, small = how.labels(columns)
    return Labels({0: array, 1: indices}, (small,), chooses=frozenset({1}))


def scattering_labels(how: Indexing, columns: Sequence[int | None]) -> Labels:
    """The rule of a scatter whose indices are not known."""
    array, indices, small = how.labels(columns)
    # the array keeps its own elements, so each of its axes runs along with the result
    own = tuple(label or f"a{axis}" for axis, label in enumerate(array))
    kept = set(own)
    return Labels(
        {
            0: own,
            1: tuple(label if label in kept else None for label in indices),
            2: tuple(label if label in kept else None for label in small),
        },
        (own,),
        chooses=frozenset({1}),
    )


def _counted(rank: int, axis: int, length: int) -> NDArray[np.int64]:
    return np.arange(length).reshape([-1 if i == axis else 1 for i in range(rank)])

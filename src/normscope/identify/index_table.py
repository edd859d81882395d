"""`IndexTable`: index by index along one axis, which inputs each output sees."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from normscope.identify.sight import changes
from normscope.identify.subject import Floats, Subject

MOST = 16
"""Of longer axes no table is made."""

_MORE_CALLS = 4 * MOST
"""For each axis and mode: every index is changed on two inputs."""


@dataclass(frozen=True)
class IndexTable:
    """What was seen along one axis when whole indices of the input were given other values.

    Attributes:
        name: of the axis.
        size: of the axis in the input.
        rows: for each index of the output, the indices of the input that it sees; None if the axis
            is too long for a table.
    """

    name: str
    size: int
    rows: tuple[tuple[int, ...], ...] | None

    @staticmethod
    def of(name: str, size: int, out: int, seen: Mapping[int, frozenset[int]]) -> IndexTable:
        """The table, from which outputs change with each input.

        >>> IndexTable.of("b", 2, 2, {0: frozenset({0}), 1: frozenset({0, 1})}).rows
        ((0, 1), (1,))
        """
        if max(size, out) > MOST:
            return IndexTable(name, size, None)
        rows = tuple(
            tuple(index for index in sorted(seen) if row in seen[index]) for row in range(out)
        )
        return IndexTable(name, size, rows)

    def lines(self) -> Iterator[str]:
        r"""The table as text: one row for each index of the output.

        >>> print(*IndexTable("b", 3, ((0, 1), (1,), ())).lines(), sep="\n")
        b: each output (row) sees these inputs (#)
             0 1 2
          0  # # .
          1  . # .
          2  . . .
        """
        if self.rows is None:
            yield f"{self.name}: {self.size} indices are too many for a table; give {MOST} or fewer"
            return
        width = len(str(max(self.size, len(self.rows)) - 1))
        yield f"{self.name}: each output (row) sees these inputs (#)"
        columns = " ".join(f"{index:>{width}}" for index in range(self.size))
        yield f"  {'':{width}}  {columns}"
        for number, row in enumerate(self.rows):
            marks = " ".join(f"{'#' if i in row else '.':>{width}}" for i in range(self.size))
            yield f"  {number:>{width}}  {marks}"


def index_tables(
    subject: Subject, training: bool, names: tuple[str, ...], rng: np.random.Generator
) -> tuple[IndexTable, ...]:
    """A table for each axis with more than one index; none if the output has other axes."""
    subject.limit += _MORE_CALLS * len(names)
    x = subject.received(rng.standard_normal(subject.shape))
    bases = [(one, subject(one, training)) for one in (x, -x)]
    out = bases[0][1].shape
    if len(out) != len(subject.shape):
        return ()
    tables = []
    for dim, (name, size) in enumerate(zip(names, subject.shape, strict=True)):
        if size == 1:
            continue
        seen: dict[int, frozenset[int]] = {}
        for index in range(size if max(size, out[dim]) <= MOST else 0):
            seen[index] = _seen(subject, training, bases, (dim, index), rng)
        tables.append(IndexTable.of(name, size, out[dim], seen))
    return tuple(tables)


def _seen(
    subject: Subject,
    training: bool,
    bases: list[tuple[Floats, Floats]],
    place: tuple[int, int],
    rng: np.random.Generator,
) -> frozenset[int]:
    """The indices of the output that change with one index of the input along the same axis."""
    dim, index = place
    changed = np.zeros(bases[0][1].shape, bool)
    for x, y in bases:
        other = np.moveaxis(x.copy(), dim, 0)
        # other values, of which also the mean and the size are others
        other[index] = -3 * other[index] + rng.uniform(5, 9, other[index].shape)
        changed |= changes(y, subject(np.moveaxis(other, 0, dim), training), subject.eps)
    others = tuple(d for d in range(changed.ndim) if d != dim)
    return frozenset(np.flatnonzero(changed.any(axis=others)).tolist())

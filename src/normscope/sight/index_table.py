"""`IndexTable`: index by index along one axis, which inputs each output sees."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from normscope.errors import SpecError

MOST = 16
"""Of longer axes no table is made."""


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


def checked_show(show: str | None) -> None:
    """Refuse to show what is not known.

    >>> checked_show("indices")
    """
    if show not in (None, "indices"):
        raise SpecError(f'show={show!r} is not known; write show="indices"')

"""A tile: neighbouring columns, and scratch memory of one flat array with what is known of each."""

from __future__ import annotations

from typing import Any, NamedTuple

from normscope.kernels.contract import WIDEST, Place, Tiling
from normscope.kernels.machine.compiling import part
from normscope.kernels.machine.memory import past_line, scratch
from normscope.kernels.nest import OUT, SIZE, moved, offsets, strides

(
    COUNT, MEAN, MEAN_REST, ROOT, ROOT_REST, PIVOT, UNIT, SEEN, SUM, SUM_REST, SQUARE, SQUARE_REST,
    CENTRE, CENTRE_REST, RSTD, RSTD_REST, FACTOR, FACTOR_REST, OFFSET,
) = range(0, 19 * WIDEST, WIDEST)  # fmt: skip
"""Where the rows of the scratch memory begin: the state of each column, the sums of a chunk of
rows, and what the output needs. Rests: see `wide`."""

SCRATCH = OFFSET + WIDEST


class Tile(NamedTuple):
    """The columns that are treated.

    Attributes:
        work: the scratch memory.
        address: where that begins.
        at: where the first column begins in the first row.
        width: how many columns there are.
        outer, inner: how many of them belong to one set, lying apart and side by side.
        first_set: the number of the statistics set of the first column.
        set_step: from there to the number of its neighbour.
    """

    work: Any
    address: int
    at: Place
    width: int
    outer: int
    inner: int
    first_set: int
    set_step: int


@part
def workplace() -> Any:
    """Scratch memory for a tile."""
    return scratch(SCRATCH)


@part
def lead_of(out: int, tag: Any, nest: Any, kept: int, position: int, tiling: Tiling) -> Any:
    """By how many columns tiles must begin earlier, to begin cache lines of the output's first row.

    A line that two tiles share is written twice, each time in part, for which it has to be read.
    Rows that are whole lines long then share none.
    """
    if nest[nest.shape[0] - 1, OUT] != 1 or tiling.outer * tiling.inner > 1:
        return 0
    return past_line(out, offsets(nest, 0, kept, position).out, tag)


@part
def tile_of(
    work: Any, nest: Any, kept: int, position: int, number: int, tiling: Tiling, lead: int
) -> Tile:
    """A tile, by its number in the row at a position of the kept loops; `lead`: see `lead_of`."""
    last = nest.shape[0] - 1
    start, step, columns = offsets(nest, 0, kept, position), strides(nest, last), nest[last, SIZE]
    first = max(number * tiling.tile - lead, 0)
    stop = number * tiling.tile + tiling.tile
    stop = columns if stop >= columns else stop - lead
    first_set = start.stats + first // tiling.inner * step.stats
    return Tile(
        work, work.ctypes.data, moved(start, step, first), stop - first, tiling.outer,
        tiling.inner, first_set, step.stats,
    )  # fmt: skip


@part
def set_of(tile: Tile, c: int) -> Any:
    """The number of the statistics set of column `c`."""
    sets = tile.width // (tile.outer * tile.inner)
    return tile.first_set + c // tile.inner % sets * tile.set_step

"""A tile: neighbouring columns, and scratch memory of one flat array with what is known of each."""

from __future__ import annotations

from typing import Any, NamedTuple

from normscope.kernels.contract import WIDEST, Tiling
from normscope.kernels.machine.compiling import part
from normscope.kernels.machine.memory import scratch

(
    COUNT, MEAN, MEAN_REST, ROOT, ROOT_REST, PIVOT, UNIT, SEEN, SUM, SUM_REST, SQUARE, SQUARE_REST,
    CENTRE, CENTRE_REST, RSTD, RSTD_REST, FACTOR, FACTOR_REST, OFFSET,
) = range(0, 19 * WIDEST, WIDEST)  # fmt: skip
"""Where the rows of the scratch memory begin: the statistics of each column, the sums of a chunk of
rows, and what the output needs. Rests: see `normscope.kernels.forward.float64_statistics`."""

SCRATCH = OFFSET + WIDEST


class Tile(NamedTuple):
    """The columns that are treated.

    Attributes:
        work: the scratch memory.
        address: where that begins.
        at: where the first column begins in the first row; a place of the nest.
        width: how many columns there are.
        outer, inner: how many of them belong to one set, lying apart and side by side.
        first_set: the number of the statistics set of the first column.
        set_step: from there to the number of its neighbour.
    """

    work: Any
    address: int
    at: Any
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
def columns_of(columns: int, number: int, tiling: Tiling, lead: int) -> Any:
    """The first of the columns of a tile, by its number in the row, and how many they are.

    `lead`: by how many columns tiles begin earlier.
    """
    first = max(number * tiling.tile - lead, 0)
    stop = number * tiling.tile + tiling.tile
    stop = columns if stop >= columns else stop - lead
    return first, stop - first


@part
def tile_at(
    work: Any, at: Any, first: int, width: int, set_of_row: int, set_step: int, tiling: Tiling
) -> Tile:
    """The tile of `width` columns from the first one on, which begins at a place.

    `set_of_row`: the number of the statistics set in which the row begins.
    """
    first_set = set_of_row + first // tiling.inner * set_step
    address = work.ctypes.data
    return Tile(work, address, at, width, tiling.outer, tiling.inner, first_set, set_step)


@part
def set_of(tile: Tile, c: int) -> Any:
    """The number of the statistics set of column `c`."""
    sets = tile.width // (tile.outer * tile.inner)
    return tile.first_set + c // tile.inner % sets * tile.set_step

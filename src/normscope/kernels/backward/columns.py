"""Backward kernels for nests whose innermost loop is kept.

The sums of columns folded into one set are added.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from normscope.kernels.backward.input_gradient import find_input_gradients
from normscope.kernels.backward.nest import moved, offsets, strides
from normscope.kernels.backward.runs import sums_of_item
from normscope.kernels.backward.tiles import DY, DY_D, MEAN, RSTD, SCRATCH, take_sums, write_tile
from normscope.kernels.contract import SIZE, SUMS, WIDEST, BackwardArrays, Saved, SumArrays, Tiling
from normscope.kernels.machine.compiling import kernel, part
from normscope.kernels.machine.instructions import take, use_widest_vectors
from normscope.kernels.machine.memory import scratch
from normscope.kernels.machine.streaming_stores import close, opened
from normscope.kernels.nest import loops, run_at
from normscope.kernels.tile import Tile, columns_of, set_of, tile_at


@part
def _fold(tile: Tile) -> None:
    """Give all columns of a set the sums of the whole set."""
    outer, inner, work = tile.outer, tile.inner, tile.work
    if outer * inner == 1:
        return
    sets = tile.width // (outer * inner)
    for row in range(SUMS):
        for g in range(sets):
            total = 0.0
            for f in range(outer):
                for e in range(inner):
                    total += work[row * WIDEST + (f * sets + g) * inner + e]
            for f in range(outer):
                for e in range(inner):
                    work[row * WIDEST + (f * sets + g) * inner + e] = total


@part
def _tiles_of(nest: Any, num_kept: int, tiling: Tiling) -> Any:
    """How many tiles there are: of a row, and of all positions of the kept loops."""
    columns = nest[nest.shape[0] - 1, SIZE]
    in_row = (columns + tiling.tile - 1) // tiling.tile
    return in_row, loops(nest, 0, num_kept) * in_row


@part
def _tile(work: Any, nest: Any, num_kept: int, number: int, tiling: Tiling) -> Any:
    """A tile by its number: those of one row come first."""
    in_row, _ = _tiles_of(nest, num_kept, tiling)
    position, n = run_at(number, in_row)
    last = nest.shape[0] - 1
    start, step = offsets(nest, 0, num_kept, position), strides(nest, last)
    # no lead: sums of parameters run along a tile
    first, width = columns_of(nest[last, SIZE], n, tiling, 0)
    return tile_at(work, moved(start, step, first), first, width, start.stats, step.stats, tiling)


@part
def _find_sets(tile: Tile, saved: Saved, numbers: Any) -> None:
    """The number of the set of each column, and its statistics."""
    folded = tile.outer * tile.inner > 1
    for c in range(tile.width):
        numbers[c] = set_of(tile, c) if folded else tile.first_set + c * tile.set_step
    for c in range(tile.width):
        tile.work[MEAN + c] = saved.means[numbers[c]]
        tile.work[RSTD + c] = saved.rstds[numbers[c]]


@kernel
def gradient(
    counter: Any, items: int, per_item: int, tiling: Tiling, nest: Any, num_kept: int, formula: Any,
    arrays: BackwardArrays, streams: bool, saved: Saved, found: SumArrays,
) -> None:  # fmt: skip
    """Dx and the sums of whole sets. An item is `per_item` tiles.

    `found`: of sets (2, sets) for sum(dy) and sum(dy * (x - m)), or of size 0.
    """
    use_widest_vectors()
    totals, parameters = found
    _, tiles = _tiles_of(nest, num_kept, tiling)
    rows = loops(nest, num_kept, nest.shape[0] - 1)
    work, numbers = scratch(SCRATCH), np.empty(WIDEST, np.int64)
    stream = opened(streams)
    while True:
        item = take(counter.ctypes.data)
        if item >= items:
            close(stream)
            return
        learned = sums_of_item(parameters, item)
        for number in range(item * per_item, min(item * per_item + per_item, tiles)):
            tile = _tile(work, nest, num_kept, number, tiling)
            _find_sets(tile, saved, numbers)
            take_sums(arrays, tile, nest, num_kept, 0, rows, formula, learned)
            _fold(tile)
            for c in range(tile.width if totals.shape[1] > 0 else 0):
                totals[0, numbers[c]] = work[DY + c]
                totals[1, numbers[c]] = work[DY_D + c]
            find_input_gradients(tile.address, WIDEST, tile.width, formula)
            write_tile(arrays, tile, nest, num_kept, 0, rows, formula, stream)


@kernel
def measure(
    counter: Any, items: int, per_item: int, tiling: Tiling, nest: Any, num_kept: int, formula: Any,
    arrays: BackwardArrays, saved: Saved, found: SumArrays,
) -> None:  # fmt: skip
    """The sums of chunks of rows. An item is `per_item` chunks.

    `found`: of sets (chunks, 6, sets).
    """
    use_widest_vectors()
    rows = loops(nest, num_kept, nest.shape[0] - 1)
    parts, parameters = found
    chunks = parts.shape[0]
    _, tiles = _tiles_of(nest, num_kept, tiling)
    work, numbers = scratch(SCRATCH), np.empty(WIDEST, np.int64)
    while True:
        item = take(counter.ctypes.data)
        if item >= items:
            return
        learned = sums_of_item(parameters, item)
        for unit in range(item * per_item, min(item * per_item + per_item, tiles * chunks)):
            number, chunk = run_at(unit, chunks)
            start = chunk * tiling.chunk
            stop = min(start + tiling.chunk, rows)
            tile = _tile(work, nest, num_kept, number, tiling)
            _find_sets(tile, saved, numbers)
            take_sums(arrays, tile, nest, num_kept, start, stop, formula, learned)
            _fold(tile)
            for c in range(tile.width):
                for row in range(SUMS):
                    parts[chunk, row, numbers[c]] = work[row * WIDEST + c]


@kernel
def apply(
    counter: Any, items: int, tiling: Tiling, nest: Any, num_kept: int, formula: Any,
    arrays: BackwardArrays, streams: bool, saved: Saved, totals: Any,
) -> None:  # fmt: skip
    """Dx, from the sums of all sets. An item is one chunk of rows of one tile; the last first."""
    use_widest_vectors()
    rows = loops(nest, num_kept, nest.shape[0] - 1)
    chunks = (rows + tiling.chunk - 1) // tiling.chunk
    work, numbers = scratch(SCRATCH), np.empty(WIDEST, np.int64)
    stream = opened(streams)
    while True:
        item = take(counter.ctypes.data)
        if item >= items:
            close(stream)
            return
        number, chunk = run_at(items - 1 - item, chunks)
        start = chunk * tiling.chunk
        stop = min(start + tiling.chunk, rows)
        tile = _tile(work, nest, num_kept, number, tiling)
        _find_sets(tile, saved, numbers)
        for c in range(tile.width):
            for row in range(SUMS):
                work[row * WIDEST + c] = totals[row, numbers[c]]
        find_input_gradients(tile.address, WIDEST, tile.width, formula)
        write_tile(arrays, tile, nest, num_kept, start, stop, formula, stream)

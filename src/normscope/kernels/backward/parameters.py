"""Sums for the gradients of scale and bias: sum(dy * (x - mean) * rstd) and sum(dy).

The nest keeps the axes of the parameter and shares all others: see `ParameterPlace`.
"""

from __future__ import annotations

from typing import Any

from normscope.kernels.backward.runs import add_to
from normscope.kernels.contract import CHUNK, SIZE, WIDEST, ParameterArrays, ParameterPlace, Tiling
from normscope.kernels.machine.compiling import kernel, part, sums
from normscope.kernels.machine.instructions import take, use_widest_vectors
from normscope.kernels.machine.memory import F64, load, scratch
from normscope.kernels.nest import functions_for, loops, run_at
from normscope.kernels.tile import Tile, columns_of, tile_at

offsets, strides, moved, ahead = functions_for(ParameterPlace)[:4]

TOTAL, ALONG = 0, WIDEST
SCRATCH = 2 * WIDEST


@sums
def _run(
    arrays: ParameterArrays,
    at: ParameterPlace,
    step: ParameterPlace | None,
    n: int,
    even_mean: Any,
    even_rstd: Any,
) -> Any:
    """The two sums of a run.

    Where `step` is None, x and dy go on by neighbours. `even_mean`, `even_rstd`: the statistics if
    they are the same for all elements, else None.
    """
    use_widest_vectors()
    total, along = 0.0, 0.0
    for e in range(n):
        here = ahead(at, step, e)
        mean, rstd = even_mean, even_rstd
        if even_mean is None:
            mean = load(arrays.means, here.mean, F64)
        if even_rstd is None:
            rstd = load(arrays.rstds, here.rstd, F64)
        g = load(arrays.dy, here.dy, arrays.tag)
        d = load(arrays.x, here.x, arrays.tag) - mean
        total += g
        along += g * d * rstd
    return total, along


@kernel
def rows(
    counter: Any, items: int, nest: Any, num_kept: int, arrays: ParameterArrays, parts: Any
) -> None:
    """An item is one chunk of one set; `parts`: (chunks, 2, sets), sum(dy) first."""
    use_widest_vectors()
    last = nest.shape[0] - 1
    inner, step = nest[last, SIZE], strides(nest, last)
    size = loops(nest, num_kept, nest.shape[0])
    even = step.x == 1 and step.dy == 1 and step.mean == 0 and step.rstd == 0
    while True:
        item = take(counter.ctypes.data)
        if item >= items:
            return
        number, chunk = run_at(item, parts.shape[0])
        position = chunk * CHUNK
        stop = min(position + CHUNK, size)
        start = offsets(nest, 0, num_kept, number)
        run, e = run_at(position, inner)
        total, along = 0.0, 0.0
        while position < stop:
            n = min(inner - e, stop - position)
            at = moved(moved(start, offsets(nest, num_kept, last, run), 1), step, e)
            if even:
                mean, rstd = load(arrays.means, at.mean, F64), load(arrays.rstds, at.rstd, F64)
                t, a = _run(arrays, at, None, n, mean, rstd)
            else:
                t, a = _run(arrays, at, step, n, None, None)
            total += t
            along += a
            position += n
            run += 1
            e = 0
        parts[chunk, 0, start.learned] = total
        parts[chunk, 1, start.learned] = along


@part
def _add_row(arrays: ParameterArrays, at: ParameterPlace, step: ParameterPlace, tile: Tile) -> None:
    """Add a row, with any strides."""
    use_widest_vectors()
    work, span = tile.address, tile.width // tile.outer
    for c in range(tile.width):
        mean = load(arrays.means, at.mean + c % span * step.mean, F64)
        rstd = load(arrays.rstds, at.rstd + c % span * step.rstd, F64)
        g = load(arrays.dy, at.dy + c * step.dy, arrays.tag)
        d = load(arrays.x, at.x + c * step.x, arrays.tag) - mean
        add_to(work, TOTAL + c, g)
        add_to(work, ALONG + c, g * d * rstd)


@part
def _normalized(arrays: ParameterArrays, at: ParameterPlace, c: int) -> Any:
    """What dy and (x - mean) * rstd are at neighbour `c`, which has statistics of its own."""
    mean, rstd = load(arrays.means, at.mean + c, F64), load(arrays.rstds, at.rstd + c, F64)
    dy = load(arrays.dy, at.dy + c, arrays.tag)
    return dy, (load(arrays.x, at.x + c, arrays.tag) - mean) * rstd


@part
def _add_two_rows(
    arrays: ParameterArrays, at0: ParameterPlace, at1: ParameterPlace, width: int, work: int
) -> None:
    """Add two rows in which every column has its own mean and rstd."""
    use_widest_vectors()
    for c in range(width):
        g0, d0 = _normalized(arrays, at0, c)
        g1, d1 = _normalized(arrays, at1, c)
        add_to(work, TOTAL + c, g0 + g1)
        add_to(work, ALONG + c, g0 * d0 + g1 * d1)


@part
def _add_even_row(arrays: ParameterArrays, at: ParameterPlace, width: int, work: int) -> None:
    """Add a row that has one mean and rstd."""
    use_widest_vectors()
    mean, rstd = load(arrays.means, at.mean, F64), load(arrays.rstds, at.rstd, F64)
    for c in range(width):
        g = load(arrays.dy, at.dy + c, arrays.tag)
        d = (load(arrays.x, at.x + c, arrays.tag) - mean) * rstd
        add_to(work, TOTAL + c, g)
        add_to(work, ALONG + c, g * d)


@part
def _add_tile(
    arrays: ParameterArrays, tile: Tile, nest: Any, num_kept: int, start: int, stop: int
) -> None:
    """Add the rows `start` to `stop` to the sums of every column."""
    last = nest.shape[0] - 1
    step, width, work = strides(nest, last), tile.width, tile.address
    side_by_side = step.x == 1 and step.dy == 1
    own = side_by_side and step.mean == 1 and step.rstd == 1 and tile.outer == 1
    even = side_by_side and step.mean == 0 and step.rstd == 0
    row = start
    while row < stop:
        at = moved(tile.at, offsets(nest, num_kept, last, row), 1)
        if own and row + 1 < stop:
            at1 = moved(tile.at, offsets(nest, num_kept, last, row + 1), 1)
            _add_two_rows(arrays, at, at1, width, work)
            row += 1
        elif even:
            _add_even_row(arrays, at, width, work)
        else:
            _add_row(arrays, at, step, tile)
        row += 1


@kernel
def columns(
    counter: Any, items: int, tiling: Tiling, nest: Any, num_kept: int, arrays: ParameterArrays,
    parts: Any,
) -> None:  # fmt: skip
    """An item is one chunk of rows of one tile; `parts`: (chunks, 2, positions * columns)."""
    use_widest_vectors()
    last = nest.shape[0] - 1
    count = nest[last, SIZE]
    tiles = (count + tiling.tile - 1) // tiling.tile
    size = loops(nest, num_kept, last)
    work = scratch(SCRATCH)
    while True:
        item = take(counter.ctypes.data)
        if item >= items:
            return
        number, chunk = run_at(item, parts.shape[0])
        position, n = run_at(number, tiles)
        start_of_row, step = offsets(nest, 0, num_kept, position), strides(nest, last)
        first, width = columns_of(count, n, tiling, 0)
        at_first = moved(start_of_row, step, first)
        tile = tile_at(work, at_first, first, width, start_of_row.learned, step.learned, tiling)
        work[:] = 0.0
        start = chunk * tiling.chunk
        _add_tile(arrays, tile, nest, num_kept, start, min(start + tiling.chunk, size))
        for c in range(tile.width):
            at = position * count + first + c
            parts[chunk, 0, at] = work[TOTAL + c]
            parts[chunk, 1, at] = work[ALONG + c]

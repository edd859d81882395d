"""Forward kernels for nests whose innermost loop is kept: neighbours belong to different sets.

The columns of a *tile* are measured side by side (`measure_columns`) and then written
(`write_columns`).
"""

from __future__ import annotations

from typing import Any

from normscope.kernels.contract import MEASURE, SIZE, Arrays, Tiling
from normscope.kernels.forward.measure_columns import add_chunk, clear, fold, partial_of
from normscope.kernels.forward.nest import moved, offsets, strides
from normscope.kernels.forward.partial_statistics import write_partial, write_statistics
from normscope.kernels.forward.scaling import divisor_of, given_count, given_scaling, scaling_of
from normscope.kernels.forward.vectorized_divisors import centres_and_rstds
from normscope.kernels.forward.write_columns import prepare, prepare_ordinary, write_columns
from normscope.kernels.machine.compiling import kernel, part
from normscope.kernels.machine.instructions import take, use_widest_vectors
from normscope.kernels.machine.memory import double_double_for, past_line
from normscope.kernels.machine.streaming_stores import close, opened
from normscope.kernels.measures import is_square
from normscope.kernels.nest import loops, run_at
from normscope.kernels.tile import (
    CENTRE,
    COUNT,
    MEAN,
    ROOT,
    RSTD,
    SEEN,
    UNIT,
    Tile,
    columns_of,
    set_of,
    tile_at,
    workplace,
)


@part
def _lead(out: int, tag: Any, nest: Any, num_kept: int, position: int, tiling: Tiling) -> Any:
    """By how many columns tiles must begin earlier, to begin cache lines of the output's first row.

    A line that two tiles share is written twice, each time in part, for which it has to be read.
    Rows that are whole lines long then share none.
    """
    if strides(nest, nest.shape[0] - 1).out != 1 or tiling.outer * tiling.inner > 1:
        return 0
    return past_line(out, offsets(nest, 0, num_kept, position).out, tag)


@part
def _tile(
    work: Any, nest: Any, num_kept: int, position: int, number: int, tiling: Tiling, lead: int
) -> Tile:
    """A tile, by its number in the row at a position of the kept loops."""
    last = nest.shape[0] - 1
    start, step = offsets(nest, 0, num_kept, position), strides(nest, last)
    first, width = columns_of(nest[last, SIZE], number, tiling, lead)
    at = moved(start, step, first)
    return tile_at(work, at, first, width, start.stats, step.stats, tiling)


@part
def _prepare_all(arrays: Arrays, tile: Tile, formula: Any, double_double: Any) -> Any:
    """Note what the output of all columns needs, in loops that vectorize; False: they cannot."""
    work, width, address = tile.work, tile.width, tile.address
    if arrays.mask is not None or not is_square(formula[MEASURE]):
        return False
    if double_double is not None:
        return prepare_ordinary(width, work[COUNT], address, formula)
    for c in range(width):
        work[UNIT + c] = 1.0
        work[SEEN + c] = work[COUNT]
    centres_and_rstds(
        width, work[COUNT], address + 8 * MEAN, address + 8 * ROOT, address + 8 * CENTRE,
        address + 8 * RSTD, formula,
    )  # fmt: skip
    return True


@part
def _prepare_each(tile: Tile, formula: Any, statistics: Any, double_double: Any) -> None:
    """Note what the output needs, column by column; and the statistics, if they are wanted."""
    for c in range(tile.width):
        partial = partial_of(tile.work, c)
        v, d, d_rest = divisor_of(partial, formula, double_double)
        scaling = scaling_of(partial.mean, partial.mean_rest, d, d_rest, formula, double_double)
        prepare(tile.work, c, partial.n, scaling)
        write_statistics(statistics, set_of(tile, c), partial.n, partial.mean, v, d)


@kernel
def normalize(
    counter: Any, items: int, tiling: Tiling, nest: Any, num_kept: int, formula: Any,
    arrays: Arrays, streams: bool, statistics: Any,
) -> None:  # fmt: skip
    """Measure all rows of one tile and write its output, while it is in cache.

    An item is one tile. `statistics`: (4, sets) for count, mean, v and D; or of size 0.
    """
    use_widest_vectors()
    positions = loops(nest, 0, num_kept)
    rows = loops(nest, num_kept, nest.shape[0] - 1)
    work, double_double = workplace(), double_double_for(arrays.tag)
    stream = opened(streams)
    while True:
        item = take(counter.ctypes.data)
        if item >= items:
            close(stream)
            return
        # neighbouring tiles share cache lines: they are not written at once
        number, position = run_at(item, positions)
        lead = _lead(arrays.out, arrays.tag, nest, num_kept, position, tiling)
        tile = _tile(work, nest, num_kept, position, number, tiling, lead)
        clear(tile)
        for start in range(0, rows, tiling.chunk):
            stop = min(start + tiling.chunk, rows)
            add_chunk(arrays, tile, nest, num_kept, 0, start, stop, formula, double_double)
        fold(tile, formula[MEASURE], double_double)
        if statistics.shape[1] > 0 or not _prepare_all(arrays, tile, formula, double_double):
            _prepare_each(tile, formula, statistics, double_double)
        write_columns(arrays, tile, nest, num_kept, 0, rows, stream, double_double)


@part
def _chunk_of(item: int, nest: Any, num_kept: int, tiling: Tiling, chunks: int) -> Any:
    """Position of the kept loops, tile and chunk of an item that is a chunk of a tile."""
    columns = nest[nest.shape[0] - 1, SIZE]
    number, chunk = run_at(item, chunks)
    position, n = run_at(number, (columns + tiling.tile - 1) // tiling.tile)
    return position, n, chunk


@kernel
def measure(
    counter: Any, items: int, tiling: Tiling, nest: Any, num_kept: int, formula: Any,
    arrays: Arrays, partials: Any,
) -> None:  # fmt: skip
    """Measure chunks of rows.

    An item is one chunk of one tile; `partials`: (chunks, 3, positions * columns) for the partial
    statistics of every column, not yet folded; for float64 input (chunks, 5, ...), with rests.
    """
    use_widest_vectors()
    last = nest.shape[0] - 1
    rows = loops(nest, num_kept, last)
    work, double_double = workplace(), double_double_for(arrays.tag)
    while True:
        item = take(counter.ctypes.data)
        if item >= items:
            return
        position, number, chunk = _chunk_of(item, nest, num_kept, tiling, partials.shape[0])
        tile = _tile(work, nest, num_kept, position, number, tiling, 0)
        clear(tile)
        start = chunk * tiling.chunk
        stop = min(start + tiling.chunk, rows)
        add_chunk(arrays, tile, nest, num_kept, start, start, stop, formula, double_double)
        first = position * nest[last, SIZE] + number * tiling.tile
        for c in range(tile.width):
            write_partial(partials[chunk], first + c, partial_of(work, c))


@kernel
def apply(
    counter: Any, items: int, tiling: Tiling, nest: Any, num_kept: int, formula: Any,
    arrays: Arrays, streams: bool, statistics: Any,
) -> None:  # fmt: skip
    """Write the output, from statistics (4, sets). An item is one chunk of rows of one tile.

    With the rests of mean and D they are (6, sets).
    """
    use_widest_vectors()
    rows = loops(nest, num_kept, nest.shape[0] - 1)
    chunks = (rows + tiling.chunk - 1) // tiling.chunk
    work, double_double = workplace(), double_double_for(arrays.tag)
    stream = opened(streams)
    while True:
        item = take(counter.ctypes.data)
        if item >= items:
            close(stream)
            return
        position, number, chunk = _chunk_of(item, nest, num_kept, tiling, chunks)
        lead = _lead(arrays.out, arrays.tag, nest, num_kept, position, tiling)
        tile = _tile(work, nest, num_kept, position, number, tiling, lead)
        for c in range(tile.width):
            i = set_of(tile, c)
            scaling = given_scaling(statistics, i, formula, double_double)
            prepare(work, c, given_count(statistics, i), scaling)
        start = chunk * tiling.chunk
        stop = min(start + tiling.chunk, rows)
        write_columns(arrays, tile, nest, num_kept, start, stop, stream, double_double)

"""Forward kernels for nests whose innermost loop is kept: neighbours belong to different sets.

The columns of a *tile* are measured side by side (`measure_columns`) and then written
(`write_columns`).
"""

from __future__ import annotations

from typing import Any

from normscope.kernels.contract import Arrays, Tiling
from normscope.kernels.formula import L1, MEASURE
from normscope.kernels.forward.measure_columns import chunk_states, clear, fold, state_of
from normscope.kernels.forward.partial_statistics import write_state, write_statistics
from normscope.kernels.forward.scaling import divisor_of, given_scaling, scaling_of
from normscope.kernels.forward.vectorized_divisors import centres_and_rstds
from normscope.kernels.forward.write_columns import prepare, prepare_ordinary, write_columns
from normscope.kernels.machine.compiling import kernel, part
from normscope.kernels.machine.instructions import take, use_widest_vectors
from normscope.kernels.machine.memory import pairs_for
from normscope.kernels.machine.streaming_stores import close, opened
from normscope.kernels.nest import SIZE, loops, run_at
from normscope.kernels.tile import (
    CENTRE,
    COUNT,
    MEAN,
    ROOT,
    RSTD,
    SEEN,
    UNIT,
    Tile,
    lead_of,
    set_of,
    tile_of,
    workplace,
)


@part
def _prepare_all(arrays: Arrays, tile: Tile, formula: Any, pairs: Any) -> Any:
    """Note what the output of all columns needs, in loops that vectorize; False: they cannot."""
    work, width, address = tile.work, tile.width, tile.address
    if arrays.mask is not None or formula[MEASURE] >= L1:
        return False
    if pairs is not None:
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
def _prepare_each(tile: Tile, formula: Any, statistics: Any, pairs: Any) -> None:
    """The same, column by column; and the statistics, if they are wanted."""
    for c in range(tile.width):
        state = state_of(tile.work, c)
        v, d, d_rest = divisor_of(state, formula, pairs)
        scaling = scaling_of(state.mean, state.mean_rest, d, d_rest, formula, pairs)
        prepare(tile.work, c, state.n, scaling)
        write_statistics(statistics, set_of(tile, c), state.n, state.mean, v, d)


@kernel
def normalize(
    counter: Any, items: int, tiling: Tiling, nest: Any, kept: int, formula: Any, arrays: Arrays,
    streams: bool, statistics: Any,
) -> None:  # fmt: skip
    """Measure all rows of one tile and write its output, while it is in cache.

    An item is one tile. `statistics`: (4, sets) for count, mean, v and D; or of size 0.
    """
    use_widest_vectors()
    positions = loops(nest, 0, kept)
    rows = loops(nest, kept, nest.shape[0] - 1)
    work, pairs = workplace(), pairs_for(arrays.tag)
    stream = opened(streams)
    while True:
        item = take(counter.ctypes.data)
        if item >= items:
            close(stream)
            return
        # neighbouring tiles share cache lines: they are not written at once
        number, position = run_at(item, positions)
        lead = lead_of(arrays.out, arrays.tag, nest, kept, position, tiling)
        tile = tile_of(work, nest, kept, position, number, tiling, lead)
        clear(tile)
        for start in range(0, rows, tiling.chunk):
            stop = min(start + tiling.chunk, rows)
            chunk_states(arrays, tile, nest, kept, 0, start, stop, formula, pairs)
        fold(tile, formula[MEASURE], pairs)
        if statistics.shape[1] > 0 or not _prepare_all(arrays, tile, formula, pairs):
            _prepare_each(tile, formula, statistics, pairs)
        write_columns(arrays, tile, nest, kept, 0, rows, stream, pairs)


@part
def _chunk_of(item: int, nest: Any, kept: int, tiling: Tiling, chunks: int) -> Any:
    """Position of the kept loops, tile and chunk of an item that is a chunk of a tile."""
    columns = nest[nest.shape[0] - 1, SIZE]
    number, chunk = run_at(item, chunks)
    position, n = run_at(number, (columns + tiling.tile - 1) // tiling.tile)
    return position, n, chunk


@kernel
def measure(
    counter: Any, items: int, tiling: Tiling, nest: Any, kept: int, formula: Any, arrays: Arrays,
    states: Any,
) -> None:  # fmt: skip
    """Measure chunks of rows.

    An item is one chunk of one tile; `states`: (chunks, 3, positions * columns) for count, mean and
    root of every column, not yet folded; for float64 input (chunks, 5, ...), with their rests.
    """
    use_widest_vectors()
    last = nest.shape[0] - 1
    rows = loops(nest, kept, last)
    work, pairs = workplace(), pairs_for(arrays.tag)
    while True:
        item = take(counter.ctypes.data)
        if item >= items:
            return
        position, number, chunk = _chunk_of(item, nest, kept, tiling, states.shape[0])
        tile = tile_of(work, nest, kept, position, number, tiling, 0)
        clear(tile)
        start = chunk * tiling.chunk
        stop = min(start + tiling.chunk, rows)
        chunk_states(arrays, tile, nest, kept, start, start, stop, formula, pairs)
        first = position * nest[last, SIZE] + number * tiling.tile
        for c in range(tile.width):
            write_state(states[chunk], first + c, state_of(work, c))


@kernel
def apply(
    counter: Any, items: int, tiling: Tiling, nest: Any, kept: int, formula: Any, arrays: Arrays,
    streams: bool, statistics: Any,
) -> None:  # fmt: skip
    """Write the output, from statistics (4, sets). An item is one chunk of rows of one tile.

    With the rests of mean and D they are (6, sets).
    """
    use_widest_vectors()
    rows = loops(nest, kept, nest.shape[0] - 1)
    chunks = (rows + tiling.chunk - 1) // tiling.chunk
    work, pairs = workplace(), pairs_for(arrays.tag)
    stream = opened(streams)
    while True:
        item = take(counter.ctypes.data)
        if item >= items:
            close(stream)
            return
        position, number, chunk = _chunk_of(item, nest, kept, tiling, chunks)
        lead = lead_of(arrays.out, arrays.tag, nest, kept, position, tiling)
        tile = tile_of(work, nest, kept, position, number, tiling, lead)
        for c in range(tile.width):
            i = set_of(tile, c)
            scaling = given_scaling(statistics, i, formula, pairs)
            prepare(work, c, statistics[0, i], scaling)
        start = chunk * tiling.chunk
        stop = min(start + tiling.chunk, rows)
        write_columns(arrays, tile, nest, kept, start, stop, stream, pairs)

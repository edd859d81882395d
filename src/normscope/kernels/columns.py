"""Forward kernels for nests whose innermost loop is kept: neighbours belong to different sets.

The columns of a *tile* are measured side by side (`measure_columns`) and then written
(`write_columns`).
"""

from __future__ import annotations

from typing import Any

from normscope.kernels import wide
from normscope.kernels.flags import kernel
from normscope.kernels.formula import L1, MEASURE, variance_and_divisor
from normscope.kernels.many import centres_and_rstds
from normscope.kernels.measure_columns import chunk_states, clear, fold
from normscope.kernels.memory import is_wide, scratch, take, use_widest_vectors
from normscope.kernels.nest import BIAS, MASK, OUT, RESIDUAL, SCALE, SIZE, STATS, X, loops, offsets
from normscope.kernels.stream import close, opened
from normscope.kernels.tile import (
    CENTRE,
    COUNT,
    MEAN,
    MEAN_REST,
    ROOT,
    ROOT_REST,
    RSTD,
    SCRATCH,
    SEEN,
    UNIT,
)
from normscope.kernels.write_columns import prepare, prepare_ordinary, write_columns


@kernel
def normalize(
    counter: Any, items: int, tile: int, chunk: int, outer: int, inner: int,
    nest: Any, kept: int, formula: Any,
    x: int, out: int, residual: Any, mask: Any, scale: int, bias: int, slope: Any, streams: bool,
    statistics: Any, tag: Any, ptag: Any,
) -> None:  # fmt: skip
    """Measure all rows of one tile and write its output, while it is in cache.

    An item is one tile of at most `tile` columns; `chunk` rows are summed together. `statistics`:
    (4, sets) for count, mean, v and D; or of size 0.
    """
    use_widest_vectors()
    last = nest.shape[0] - 1
    columns = nest[last, SIZE]
    positions = loops(nest, 0, kept)
    rows = loops(nest, kept, last)
    work = scratch(SCRATCH)
    address = work.ctypes.data
    stream = opened()
    while True:
        item = take(counter.ctypes.data)
        if item >= items:
            close(stream, streams)
            return
        k = item % positions  # neighbouring tiles share cache lines: they are not written at once
        first = (item // positions) * tile
        width = min(tile, columns - first)
        xk, ok, rk, mk, ak, bk, index = offsets(nest, 0, kept, k)
        xk += first * nest[last, X]
        ok += first * nest[last, OUT]
        rk += first * nest[last, RESIDUAL]
        mk += first * nest[last, MASK]
        ak += first * nest[last, SCALE]
        bk += first * nest[last, BIAS]
        clear(width, work)
        for start in range(0, rows, chunk):
            chunk_states(
                x, xk, residual, rk, mask, mk, nest, kept, 0, start, min(start + chunk, rows),
                width, work, address, formula, tag,
            )  # fmt: skip
        fold(width, outer, inner, work, formula[MEASURE], tag)
        sets = width // (outer * inner)
        simple = mask is None and not is_wide(tag) and statistics.shape[1] == 0
        if simple and formula[MEASURE] < L1:
            for c in range(width):
                work[UNIT + c] = 1.0
                work[SEEN + c] = work[COUNT]
            centres_and_rstds(
                width, work[COUNT], address + 8 * MEAN, address + 8 * ROOT,
                address + 8 * CENTRE, address + 8 * RSTD, formula,
            )  # fmt: skip
        done = simple and formula[MEASURE] < L1
        if is_wide(tag) and mask is None and statistics.shape[1] == 0 and formula[MEASURE] < L1:
            done = prepare_ordinary(width, work[COUNT], address, formula)
        for c in range(width if done else 0, width):
            n, mean = work[COUNT + c], work[MEAN + c]
            if is_wide(tag):
                v, d, d_rest = wide.variance_and_divisor(
                    n, work[ROOT + c], work[ROOT_REST + c], formula
                )
                prepare(work, c, n, mean, work[MEAN_REST + c], d, d_rest, formula, tag)
            else:
                v, d = variance_and_divisor(n, work[ROOT + c], formula)
                prepare(work, c, n, mean, 0.0, d, 0.0, formula, tag)
            if statistics.shape[1] > 0:
                at = index + (first // inner + (c // inner) % sets) * nest[last, STATS]
                statistics[0, at] = n
                statistics[1, at] = mean
                statistics[2, at] = v
                statistics[3, at] = d
        write_columns(
            x, xk, residual, rk, out, ok, nest, kept, 0, rows, width, outer, work, address, formula,
            scale, ak, bias, bk, slope, streams, stream, tag, ptag,
        )  # fmt: skip


@kernel
def measure(
    counter: Any, items: int, tile: int, chunk: int,
    nest: Any, kept: int, formula: Any, x: int, residual: Any, mask: Any, states: Any, tag: Any,
) -> None:  # fmt: skip
    """Measure chunks of rows.

    An item is one chunk of one tile; `states`: (chunks, 3, positions * columns) for count, mean and
    root of every column, not yet folded; for float64 input (chunks, 5, ...), with their rests.
    """
    use_widest_vectors()
    last = nest.shape[0] - 1
    columns = nest[last, SIZE]
    tiles = (columns + tile - 1) // tile
    chunks = states.shape[0]
    rows = loops(nest, kept, last)
    work = scratch(SCRATCH)
    address = work.ctypes.data
    while True:
        item = take(counter.ctypes.data)
        if item >= items:
            return
        number = item // chunks
        start = (item - number * chunks) * chunk
        k = number // tiles
        first = (number - k * tiles) * tile
        width = min(tile, columns - first)
        xk, _, rk, mk, _, _, _ = offsets(nest, 0, kept, k)
        clear(width, work)
        chunk_states(
            x, xk + first * nest[last, X], residual, rk + first * nest[last, RESIDUAL],
            mask, mk + first * nest[last, MASK], nest, kept, start, start,
            min(start + chunk, rows), width, work, address, formula, tag,
        )  # fmt: skip
        for c in range(width):
            at = k * columns + first + c
            states[item - number * chunks, 0, at] = work[COUNT + c]
            states[item - number * chunks, 1, at] = work[MEAN + c]
            states[item - number * chunks, 2, at] = work[ROOT + c]
            if is_wide(tag):
                states[item - number * chunks, 3, at] = work[MEAN_REST + c]
                states[item - number * chunks, 4, at] = work[ROOT_REST + c]


@kernel
def apply(
    counter: Any, items: int, tile: int, chunk: int, outer: int, inner: int,
    nest: Any, kept: int, formula: Any,
    x: int, out: int, residual: Any, scale: int, bias: int, slope: Any, streams: bool,
    statistics: Any, tag: Any, ptag: Any,
) -> None:  # fmt: skip
    """Write the output, from statistics (4, sets). An item is one chunk of rows of one tile.

    With the rests of mean and D they are (6, sets).
    """
    use_widest_vectors()
    last = nest.shape[0] - 1
    columns = nest[last, SIZE]
    tiles = (columns + tile - 1) // tile
    rows = loops(nest, kept, last)
    chunks = (rows + chunk - 1) // chunk
    rests = is_wide(tag) and statistics.shape[0] > 4
    work = scratch(SCRATCH)
    address = work.ctypes.data
    stream = opened()
    while True:
        item = take(counter.ctypes.data)
        if item >= items:
            close(stream, streams)
            return
        number = item // chunks
        start = (item - number * chunks) * chunk
        k = number // tiles
        first = (number - k * tiles) * tile
        width = min(tile, columns - first)
        sets = width // (outer * inner)
        xk, ok, rk, _, ak, bk, index = offsets(nest, 0, kept, k)
        for c in range(width):
            at = index + (first // inner + (c // inner) % sets) * nest[last, STATS]
            prepare(
                work, c, statistics[0, at],
                statistics[1, at], statistics[4, at] if rests else 0.0,
                statistics[3, at], statistics[5, at] if rests else 0.0, formula, tag,
            )  # fmt: skip
        write_columns(
            x, xk + first * nest[last, X], residual, rk + first * nest[last, RESIDUAL],
            out, ok + first * nest[last, OUT], nest, kept, start, min(start + chunk, rows),
            width, outer, work, address, formula, scale, ak + first * nest[last, SCALE],
            bias, bk + first * nest[last, BIAS], slope, streams, stream, tag, ptag,
        )  # fmt: skip

"""Backward kernels for nests whose innermost loop is kept.

In the nest dx takes the place of the output, dy that of the residual; the strides of bias are those
of the sums for the gradients of scale and bias. The sums of columns folded into one set are added.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from normscope.kernels.flags import kernel, part
from normscope.kernels.formula import SHIFT
from normscope.kernels.gradient_tiles import (
    MEAN,
    RSTD,
    SCRATCH,
    SUM_ALONG,
    SUM_PLAIN,
    tile_sums,
    write_tile,
)
from normscope.kernels.memory import scratch, take, use_widest_vectors
from normscope.kernels.nest import (
    BIAS,
    MASK,
    OUT,
    RESIDUAL,
    SCALE,
    SIZE,
    STATS,
    X,
    loops,
    offsets,
    place,
)
from normscope.kernels.slope import SUMS, find_slopes
from normscope.kernels.stream import close, opened
from normscope.kernels.tile import WIDEST


@part
def _fold(width: int, outer: int, inner: int, work: Any) -> None:
    """Give all columns of a set the sums of the whole set."""
    if outer * inner == 1:
        return
    sets = width // (outer * inner)
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
def _tile(nest: Any, kept: int, number: int, tile: int) -> Any:
    """First column and width of a tile, and where each array and the sets of its columns begin."""
    last = nest.shape[0] - 1
    columns = nest[last, SIZE]
    position, n = place(number, (columns + tile - 1) // tile)
    first = n * tile
    xk, ok, jk, mk, sk, pk, index = offsets(nest, 0, kept, position)
    return (
        first, min(tile, columns - first),
        xk + first * nest[last, X], ok + first * nest[last, OUT],
        jk + first * nest[last, RESIDUAL], mk + first * nest[last, MASK],
        sk + first * nest[last, SCALE], pk + first * nest[last, BIAS], index,
    )  # fmt: skip


@part
def _find_sets(
    at: Any, index: int, first: int, width: int, outer: int, inner: int, step: int,
    means: Any, rstds: Any, work: Any,
) -> None:  # fmt: skip
    """The number of the set of each column, its mean and rstd."""
    sets = width // (outer * inner)
    for c in range(width):
        if sets == width:
            at[c] = index + (first + c) * step
        else:
            at[c] = index + (first // inner + (c // inner) % sets) * step
    for c in range(width):
        work[MEAN + c] = means[at[c]]
        work[RSTD + c] = rstds[at[c]]


@kernel
def gradient(
    counter: Any, items: int, per_item: int, tile: int, outer: int, inner: int, nest: Any,
    kept: int, formula: Any, x: int, dy: int, mask: Any, dx: int, streams: bool,
    scale: int, means: Any, rstds: Any, totals: Any, learned: Any, tag: Any, ptag: Any,
) -> None:  # fmt: skip
    """Dx and the sums of whole sets. An item is `per_item` tiles.

    `totals`: (2, sets) for sum(dy) and sum(dy * (x - m)); or of size 0.
    `learned`: (items, 2, parameters), the sums of those, for each item; of no parameters: none.
    """
    use_widest_vectors()
    last = nest.shape[0] - 1
    tiles = loops(nest, 0, kept) * ((nest[last, SIZE] + tile - 1) // tile)
    rows = loops(nest, kept, last)
    parameters = learned.shape[2]
    work, at = scratch(SCRATCH), np.empty(WIDEST, np.int64)
    address = work.ctypes.data
    stream = opened()
    while True:
        item = take(counter.ctypes.data)
        if item >= items:
            close(stream, streams)
            return
        own = learned[item].ctypes.data if parameters > 0 else 0
        for number in range(item * per_item, min(item * per_item + per_item, tiles)):
            first, width, xk, ok, jk, mk, sk, pk, index = _tile(nest, kept, number, tile)
            _find_sets(at, index, first, width, outer, inner, nest[last, STATS], means, rstds, work)
            tile_sums(
                x, xk, dy, jk, mask, mk, scale, sk, nest, kept, 0, rows, width, outer, work,
                address, own, parameters, pk, formula[SHIFT], tag, ptag,
            )  # fmt: skip
            _fold(width, outer, inner, work)
            if totals.shape[1] > 0:
                for c in range(width):
                    totals[0, at[c]] = work[SUM_PLAIN + c]
                    totals[1, at[c]] = work[SUM_ALONG + c]
            find_slopes(address, WIDEST, width, formula)
            write_tile(
                x, xk, dy, jk, mask, mk, dx, ok, scale, sk, nest, kept, 0, rows, width, outer,
                work, address, formula, streams, stream, tag, ptag,
            )  # fmt: skip


@kernel
def measure(
    counter: Any, items: int, per_item: int, tile: int, chunk: int, outer: int, inner: int,
    nest: Any, kept: int, formula: Any, x: int, dy: int, mask: Any, scale: int, means: Any,
    rstds: Any, parts: Any, learned: Any, tag: Any, ptag: Any,
) -> None:  # fmt: skip
    """The sums of chunks of rows. An item is `per_item` chunks; `parts`: (chunks, 6, sets).

    `learned`: (items, 2, parameters), the sums of those, for each item; of no parameters: none.
    """
    use_widest_vectors()
    last = nest.shape[0] - 1
    rows = loops(nest, kept, last)
    chunks = parts.shape[0]
    units = loops(nest, 0, kept) * ((nest[last, SIZE] + tile - 1) // tile) * chunks
    parameters = learned.shape[2]
    work, at = scratch(SCRATCH), np.empty(WIDEST, np.int64)
    address = work.ctypes.data
    while True:
        item = take(counter.ctypes.data)
        if item >= items:
            return
        own = learned[item].ctypes.data if parameters > 0 else 0
        for unit in range(item * per_item, min(item * per_item + per_item, units)):
            number, part_number = place(unit, chunks)
            start = part_number * chunk
            first, width, xk, _, jk, mk, sk, pk, index = _tile(nest, kept, number, tile)
            _find_sets(at, index, first, width, outer, inner, nest[last, STATS], means, rstds, work)
            tile_sums(
                x, xk, dy, jk, mask, mk, scale, sk, nest, kept, start, min(start + chunk, rows),
                width, outer, work, address, own, parameters, pk, formula[SHIFT], tag, ptag,
            )  # fmt: skip
            _fold(width, outer, inner, work)
            for c in range(width):
                for row in range(SUMS):
                    parts[part_number, row, at[c]] = work[row * WIDEST + c]


@kernel
def apply(
    counter: Any, items: int, tile: int, chunk: int, outer: int, inner: int, nest: Any, kept: int,
    formula: Any, x: int, dy: int, mask: Any, dx: int, streams: bool, scale: int, means: Any,
    rstds: Any, totals: Any, tag: Any, ptag: Any,
) -> None:  # fmt: skip
    """Dx, from the sums of all sets. An item is one chunk of rows of one tile; the last first."""
    use_widest_vectors()
    last = nest.shape[0] - 1
    rows = loops(nest, kept, last)
    chunks = (rows + chunk - 1) // chunk
    work, at = scratch(SCRATCH), np.empty(WIDEST, np.int64)
    address = work.ctypes.data
    stream = opened()
    while True:
        item = take(counter.ctypes.data)
        if item >= items:
            close(stream, streams)
            return
        number, part_number = place(items - 1 - item, chunks)
        start = part_number * chunk
        first, width, xk, ok, jk, mk, sk, _, index = _tile(nest, kept, number, tile)
        _find_sets(at, index, first, width, outer, inner, nest[last, STATS], means, rstds, work)
        for c in range(width):
            for row in range(SUMS):
                work[row * WIDEST + c] = totals[row, at[c]]
        find_slopes(address, WIDEST, width, formula)
        write_tile(
            x, xk, dy, jk, mask, mk, dx, ok, scale, sk, nest, kept, start, min(start + chunk, rows),
            width, outer, work, address, formula, streams, stream, tag, ptag,
        )  # fmt: skip

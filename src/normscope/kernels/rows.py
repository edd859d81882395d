"""Forward kernels for nests whose innermost loop is shared: a statistics set is a few long runs."""

from __future__ import annotations

from typing import Any

import numpy as np

from normscope.kernels import wide
from normscope.kernels.flags import kernel
from normscope.kernels.formula import variance_and_divisor
from normscope.kernels.measure_rows import CHUNK, chunk_state, set_state
from normscope.kernels.memory import is_wide, scratch, take, use_widest_vectors
from normscope.kernels.nest import loops, offsets
from normscope.kernels.stream import close, opened
from normscope.kernels.write_rows import write_part

GROUP = 8
"""Short sets that are measured before the first of them is written: their divisions overlap."""


@kernel
def normalize(
    counter: Any,
    items: int,
    per_item: int,
    nest: Any,
    kept: int,
    formula: Any,
    x: int,
    out: int,
    residual: Any,
    mask: Any,
    scale: int,
    bias: int,
    slope: Any,
    streams: bool,
    statistics: Any,
    tag: Any,
    ptag: Any,
) -> None:
    """Measure whole statistics sets and write their output while they are in cache.

    An item is `per_item` sets. `statistics`: (4, sets) for count, mean, v and D; or of size 0.
    """
    use_widest_vectors()
    num_sets = loops(nest, 0, kept)
    size = loops(nest, kept, nest.shape[0])
    group = GROUP if size <= 256 else 1
    states = np.empty((5, GROUP), np.float64)
    lanes = scratch(wide.SUMS)
    stream = opened()
    while True:
        item = take(counter.ctypes.data)
        if item >= items:
            close(stream, streams)
            return
        first, stop = item * per_item, min(item * per_item + per_item, num_sets)
        for start in range(first, stop, group):
            count = min(group, stop - start)
            for g in range(count):
                xk, _, rk, mk, _, _, index = offsets(nest, 0, kept, start + g)
                n, mean, root, mean_rest, root_rest = set_state(
                    x, xk, residual, rk, mask, mk, nest, kept, size, formula, lanes, tag
                )
                if is_wide(tag):
                    v, d, d_rest = wide.variance_and_divisor(n, root, root_rest, formula)
                    states[3, g], states[4, g] = mean_rest, d_rest
                else:
                    v, d = variance_and_divisor(n, root, formula)
                states[0, g], states[1, g], states[2, g] = n, mean, d
                if statistics.shape[1] > 0:
                    statistics[0, index] = n
                    statistics[1, index] = mean
                    statistics[2, index] = v
                    statistics[3, index] = d
            for g in range(count):
                xk, ok, rk, _, ak, bk, _ = offsets(nest, 0, kept, start + g)
                # the last chunk first: of a set too large for the cache it is still there
                for chunk in range((size + CHUNK - 1) // CHUNK - 1, -1, -1):
                    begin = chunk * CHUNK
                    write_part(
                        x, xk, residual, rk, out, ok, nest, kept, begin, min(begin + CHUNK, size),
                        states[0, g], states[1, g], states[3, g], states[2, g], states[4, g],
                        formula,
                        scale, ak, bias, bk, slope, streams, stream, tag, ptag,
                    )  # fmt: skip


@kernel
def measure(
    counter: Any,
    items: int,
    nest: Any,
    kept: int,
    formula: Any,
    x: int,
    residual: Any,
    mask: Any,
    states: Any,
    tag: Any,
) -> None:
    """Measure chunks. An item is one chunk; `states`: (chunks, 3, sets) for count, mean, root.

    With the rests of mean and root, for float64 input, it is (chunks, 5, sets).
    """
    use_widest_vectors()
    lanes = scratch(wide.SUMS)
    size = loops(nest, kept, nest.shape[0])
    chunks = states.shape[0]
    while True:
        item = take(counter.ctypes.data)
        if item >= items:
            return
        k = item // chunks
        chunk = item - k * chunks
        start = chunk * CHUNK
        xk, _, rk, mk, _, _, index = offsets(nest, 0, kept, k)
        n, mean, root, mean_rest, root_rest = chunk_state(
            x, xk, residual, rk, mask, mk, nest, kept, start, min(start + CHUNK, size), formula,
            lanes, tag,
        )  # fmt: skip
        states[chunk, 0, index] = n
        states[chunk, 1, index] = mean
        states[chunk, 2, index] = root
        if is_wide(tag):
            states[chunk, 3, index] = mean_rest
            states[chunk, 4, index] = root_rest


@kernel
def apply(
    counter: Any,
    items: int,
    per_item: int,
    step: int,
    nest: Any,
    kept: int,
    formula: Any,
    x: int,
    out: int,
    residual: Any,
    scale: int,
    bias: int,
    slope: Any,
    streams: bool,
    statistics: Any,
    tag: Any,
    ptag: Any,
) -> None:
    """Write the output, from statistics (4, sets), or (6, sets) with the rests of mean and D.

    An item is `step` elements of `per_item` sets. The same elements of all sets come first:
    parameters that vary along them are then read once.
    """
    use_widest_vectors()
    size = loops(nest, kept, nest.shape[0])
    num_sets = loops(nest, 0, kept)
    groups = (num_sets + per_item - 1) // per_item
    rests = is_wide(tag) and statistics.shape[0] > 4
    stream = opened()
    while True:
        item = take(counter.ctypes.data)
        if item >= items:
            close(stream, streams)
            return
        start = item // groups * step
        first = item % groups * per_item
        for k in range(first, min(first + per_item, num_sets)):
            xk, ok, rk, _, ak, bk, index = offsets(nest, 0, kept, k)
            write_part(
                x, xk, residual, rk, out, ok, nest, kept, start, min(start + step, size),
                statistics[0, index],
                statistics[1, index], statistics[4, index] if rests else 0.0,
                statistics[3, index], statistics[5, index] if rests else 0.0, formula,
                scale, ak, bias, bk, slope, streams, stream, tag, ptag,
            )  # fmt: skip

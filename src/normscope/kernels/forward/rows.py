"""Forward kernels for nests whose innermost loop is shared: a statistics set is a few long runs."""

from __future__ import annotations

from typing import Any

import numpy as np

from normscope.kernels.contract import CHUNK, Arrays
from normscope.kernels.forward import float64_statistics
from normscope.kernels.forward.measure_contiguous_rows import GROUP
from normscope.kernels.forward.measure_rows import chunk_statistics, set_statistics
from normscope.kernels.forward.nest import offsets
from normscope.kernels.forward.partial_statistics import (
    read_partial,
    write_partial,
    write_statistics,
)
from normscope.kernels.forward.scaling import divisor_of, given_count, given_scaling, scaling_of
from normscope.kernels.forward.write_rows import write_part
from normscope.kernels.machine.compiling import kernel
from normscope.kernels.machine.instructions import take, use_widest_vectors
from normscope.kernels.machine.memory import double_double_for
from normscope.kernels.machine.streaming_stores import close, opened
from normscope.kernels.nest import loops


@kernel
def normalize(
    counter: Any, items: int, per_item: int, nest: Any, num_kept: int, formula: Any, arrays: Arrays,
    streams: bool, statistics: Any,
) -> None:  # fmt: skip
    """Measure whole statistics sets and write their output while they are in cache.

    An item is `per_item` sets. `statistics`: (4, sets) for count, mean, v and D; or of size 0.
    """
    use_widest_vectors()
    num_sets = loops(nest, 0, num_kept)
    size = loops(nest, num_kept, nest.shape[0])
    group = GROUP if size <= 256 else 1
    partials, divisors = np.empty((5, GROUP), np.float64), np.empty((2, GROUP), np.float64)
    double_double = double_double_for(arrays.tag)
    lanes = float64_statistics.lanes_for(1, double_double)
    stream = opened(streams)
    while True:
        item = take(counter.ctypes.data)
        if item >= items:
            close(stream)
            return
        first, stop = item * per_item, min(item * per_item + per_item, num_sets)
        for start in range(first, stop, group):
            count = min(group, stop - start)
            for g in range(count):
                at = offsets(nest, 0, num_kept, start + g)
                partial = set_statistics(arrays, at, nest, num_kept, size, formula, lanes)
                v, divisors[0, g], divisors[1, g] = divisor_of(partial, formula, double_double)
                write_partial(partials, g, partial)
                write_statistics(statistics, at.stats, partial.n, partial.mean, v, divisors[0, g])
            for g in range(count):
                at, partial = offsets(nest, 0, num_kept, start + g), read_partial(partials, g)
                scaling = scaling_of(
                    partial.mean, partial.mean_rest, divisors[0, g], divisors[1, g], formula,
                    double_double,
                )  # fmt: skip
                # the last chunk first: of a set too large for the cache it is still there
                for chunk in range((size + CHUNK - 1) // CHUNK - 1, -1, -1):
                    begin = chunk * CHUNK
                    write_part(
                        arrays, at, nest, num_kept, begin, min(begin + CHUNK, size),
                        partial.n, scaling, stream,
                    )  # fmt: skip


@kernel
def measure(
    counter: Any, items: int, nest: Any, num_kept: int, formula: Any, arrays: Arrays, partials: Any
) -> None:
    """Measure chunks. An item is one chunk; `partials`: (chunks, 3, sets) for count, mean, root.

    With the rests of mean and root, for float64 input, it is (chunks, 5, sets).
    """
    use_widest_vectors()
    lanes = float64_statistics.lanes_for(1, double_double_for(arrays.tag))
    size = loops(nest, num_kept, nest.shape[0])
    chunks = partials.shape[0]
    while True:
        item = take(counter.ctypes.data)
        if item >= items:
            return
        k = item // chunks
        chunk = item - k * chunks
        start = chunk * CHUNK
        at = offsets(nest, 0, num_kept, k)
        partial = chunk_statistics(
            arrays, at, nest, num_kept, start, min(start + CHUNK, size), formula, lanes
        )
        write_partial(partials[chunk], at.stats, partial)


@kernel
def apply(
    counter: Any, items: int, per_item: int, step: int, nest: Any, num_kept: int, formula: Any,
    arrays: Arrays, streams: bool, statistics: Any,
) -> None:  # fmt: skip
    """Write the output, from statistics (4, sets), or (6, sets) with the rests of mean and D.

    An item is `step` elements of `per_item` sets. The same elements of all sets come first:
    parameters that vary along them are then read once.
    """
    use_widest_vectors()
    size = loops(nest, num_kept, nest.shape[0])
    num_sets = loops(nest, 0, num_kept)
    groups = (num_sets + per_item - 1) // per_item
    stream = opened(streams)
    while True:
        item = take(counter.ctypes.data)
        if item >= items:
            close(stream)
            return
        start = item // groups * step
        first = item % groups * per_item
        for k in range(first, min(first + per_item, num_sets)):
            at = offsets(nest, 0, num_kept, k)
            scaling = given_scaling(statistics, at.stats, formula, double_double_for(arrays.tag))
            write_part(
                arrays, at, nest, num_kept, start, min(start + step, size),
                given_count(statistics, at.stats), scaling, stream,
            )  # fmt: skip

"""The forward kernel for sets that are one run of memory: those of layer or instance normalization.

It does what `kernels.forward.rows.normalize` does, where the elements of a set lie next to each
other in all arrays and every element counts. Little is left around the loops over the elements, so
that short sets are quick too.
"""

from __future__ import annotations

from typing import Any

from normscope.kernels.contract import SIZE, Arrays, Place
from normscope.kernels.formula import variance_and_divisor
from normscope.kernels.forward import float64_statistics
from normscope.kernels.forward.measure_contiguous_rows import (
    GROUP,
    MEAN,
    ROOT,
    SCRATCH,
    D,
    V,
    measure_group,
    scaling_at,
)
from normscope.kernels.forward.nest import offsets, strides
from normscope.kernels.forward.partial_statistics import write_statistics
from normscope.kernels.forward.runs import into
from normscope.kernels.forward.write_rows import write_pieces, write_run
from normscope.kernels.machine.compiling import kernel, part
from normscope.kernels.machine.fetching import fetch, is_worth_fetching
from normscope.kernels.machine.instructions import take, use_widest_vectors
from normscope.kernels.machine.memory import double_double_for, is_float64, scratch
from normscope.kernels.machine.streaming_stores import PIECE, Stream, close, opened, room
from normscope.kernels.nest import loops

SHORT = 1024
"""Sets of up to so many elements stay in the first level of cache together."""


@part
def _write(
    arrays: Arrays, nest: Any, num_kept: int, start: int, count: int, stop: int, together: int,
    work: Any, stream: Stream,
) -> None:  # fmt: skip
    """Write the sets of a group; `together` short ones that lie in a row get their room at once.

    Meanwhile those of the next group, before `stop`, are fetched.
    """
    size = nest[num_kept, SIZE]
    fetches = is_worth_fetching(size, arrays.tag)
    step = strides(nest, num_kept)
    step = Place(1, 1, 1, 0, step.scale, step.bias, 0)  # in all arrays of the full size
    for first in range(0, count, together):
        in_room = min(together, count - first)
        target, t = arrays.out, 0
        if size <= PIECE:
            o = offsets(nest, 0, num_kept, start + first).out
            target, t = room(stream, arrays.out, o, 1, in_room * size, arrays.tag)
        for g in range(first, first + in_room):
            if fetches and start + GROUP + g < stop:
                fetch(arrays.x, offsets(nest, 0, num_kept, start + GROUP + g).x, size, arrays.tag)
            at, scaling = offsets(nest, 0, num_kept, start + g), scaling_at(work, g, arrays.tag)
            if size <= PIECE:
                aimed, at = into(arrays, at, target, t)
                write_run(aimed, at, step, size, scaling)
                t += size
            else:
                write_pieces(arrays, at, step, size, scaling, stream)


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
    size = nest[num_kept, SIZE]
    n = float(size)
    group = GROUP if size <= SHORT else 1
    work = scratch(SCRATCH)
    work[:] = 1.0
    lanes = float64_statistics.lanes_for(GROUP, double_double_for(arrays.tag))
    together = 1
    if num_kept == 1 and strides(nest, 0).out == size:
        together = max(1, PIECE // size)
    stream = opened(streams)
    while True:
        item = take(counter.ctypes.data)
        if item >= items:
            close(stream)
            return
        stop = min(item * per_item + per_item, num_sets)
        for start in range(item * per_item, stop, group):
            count = min(group, stop - start)
            measure_group(arrays, nest, num_kept, start, count, formula, work, lanes)
            for g in range(count if statistics.shape[1] > 0 else 0):
                v, d = work[V + g], work[D + g]
                if not is_float64(arrays.tag):
                    v, d = variance_and_divisor(n, work[ROOT + g], formula)
                at = offsets(nest, 0, num_kept, start + g)
                write_statistics(statistics, at.stats, n, work[MEAN + g], v, d)
            _write(arrays, nest, num_kept, start, count, stop, together, work, stream)

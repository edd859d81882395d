"""The forward kernel for sets that are one run of memory: those of layer or instance normalization.

It does what `kernels.forward.rows.normalize` does, where the elements of a set lie next to each
other in all arrays and every element counts. Little is left around the loops over the elements, so
that short sets are quick too.
"""

from __future__ import annotations

from typing import Any

from normscope.kernels.contract import CHUNK, Arrays, Place
from normscope.kernels.formula import L2, MEASURE, variance_and_divisor
from normscope.kernels.forward import float64_statistics as wide
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
from normscope.kernels.forward.partial_statistics import write_statistics
from normscope.kernels.forward.runs import into
from normscope.kernels.forward.write_rows import write_pieces, write_run
from normscope.kernels.machine.compiling import kernel, part
from normscope.kernels.machine.fetching import fetch, is_worth_fetching
from normscope.kernels.machine.instructions import take, use_widest_vectors
from normscope.kernels.machine.memory import is_wide, pairs_for, scratch
from normscope.kernels.machine.streaming_stores import PIECE, Stream, close, opened, room
from normscope.kernels.nest import BIAS, OUT, RESIDUAL, SCALE, SIZE, X, loops, offsets

SHORT = 1024
"""Sets of up to so many elements stay in the first level of cache together."""


def serves(nest: Any, kept: int, formula: Any, residual: int | None, mask: int | None) -> bool:
    """Whether this kernel may be used; called from Python.

    Long sets are summed in chunks, which the general kernel does.
    """
    last = nest[-1]
    return bool(
        kept == len(nest) - 1
        and last[SIZE] <= CHUNK
        and last[X] == 1
        and last[OUT] == 1
        and (residual is None or last[RESIDUAL] == 1)
        and mask is None
        and formula[MEASURE] <= L2
    )


@part
def _write(
    arrays: Arrays, nest: Any, kept: int, start: int, count: int, stop: int, together: int,
    work: Any, stream: Stream,
) -> None:  # fmt: skip
    """Write the sets of a group; `together` short ones that lie in a row get their room at once.

    Meanwhile those of the next group, before `stop`, are fetched.
    """
    size = nest[kept, SIZE]
    fetches = is_worth_fetching(size, arrays.tag)
    step = Place(1, 1, 1, 0, nest[kept, SCALE], nest[kept, BIAS], 0)  # see `serves`
    for first in range(0, count, together):
        many = min(together, count - first)
        target, t = arrays.out, 0
        if size <= PIECE:
            o = offsets(nest, 0, kept, start + first).out
            target, t = room(stream, arrays.out, o, 1, many * size, arrays.tag)
        for g in range(first, first + many):
            if fetches and start + GROUP + g < stop:
                fetch(arrays.x, offsets(nest, 0, kept, start + GROUP + g).x, size, arrays.tag)
            at, scaling = offsets(nest, 0, kept, start + g), scaling_at(work, g, arrays.tag)
            if size <= PIECE:
                aimed, at = into(arrays, at, target, t)
                write_run(aimed, at, step, size, scaling)
                t += size
            else:
                write_pieces(arrays, at, step, size, scaling, stream)


@kernel
def normalize(
    counter: Any, items: int, per_item: int, nest: Any, kept: int, formula: Any, arrays: Arrays,
    streams: bool, statistics: Any,
) -> None:  # fmt: skip
    """Measure whole statistics sets and write their output while they are in cache.

    An item is `per_item` sets. `statistics`: (4, sets) for count, mean, v and D; or of size 0.
    """
    use_widest_vectors()
    num_sets = loops(nest, 0, kept)
    size = nest[kept, SIZE]
    n = float(size)
    group = GROUP if size <= SHORT else 1
    work = scratch(SCRATCH)
    work[:] = 1.0
    lanes = wide.lanes_for(GROUP, pairs_for(arrays.tag))
    together = 1
    if kept == 1 and nest[0, OUT] == size:
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
            measure_group(arrays, nest, kept, start, count, formula, work, lanes)
            for g in range(count if statistics.shape[1] > 0 else 0):
                v, d = work[V + g], work[D + g]
                if not is_wide(arrays.tag):
                    v, d = variance_and_divisor(n, work[ROOT + g], formula)
                at = offsets(nest, 0, kept, start + g)
                write_statistics(statistics, at.stats, n, work[MEAN + g], v, d)
            _write(arrays, nest, kept, start, count, stop, together, work, stream)

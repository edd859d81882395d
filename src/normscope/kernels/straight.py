"""The forward kernel for sets that are one run of memory: those of layer or instance normalization.

It does what `normscope.kernels.rows.normalize` does, where the elements of a set lie next to each
other in all arrays and every element counts. Little is left around the loops over the elements, so
that short sets are quick too.
"""

from __future__ import annotations

from typing import Any

from normscope.kernels import wide
from normscope.kernels.flags import kernel
from normscope.kernels.formula import L2, MEASURE, variance_and_divisor
from normscope.kernels.measure_rows import CHUNK
from normscope.kernels.measure_straight import (
    CENTRE,
    CENTRE_REST,
    GROUP,
    MEAN,
    ROOT,
    RSTD,
    RSTD_REST,
    SCRATCH,
    UNIT,
    D,
    V,
    measure_group,
    measure_wide_group,
)
from normscope.kernels.memory import is_wide, scratch, take, use_widest_vectors
from normscope.kernels.nest import OUT, RESIDUAL, SIZE, X, loops, offsets
from normscope.kernels.stream import PIECE, close, opened, room
from normscope.kernels.write_rows import apply_run, write_run

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


@kernel
def normalize(
    counter: Any, items: int, per_item: int, nest: Any, kept: int, formula: Any,
    x: int, out: int, residual: Any, mask: Any, scale: int, bias: int, slope: Any, streams: bool,
    statistics: Any, tag: Any, ptag: Any,
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
    lanes = scratch(GROUP * wide.SUMS)
    together = 1
    if kept == 1 and nest[0, OUT] == size:
        together = max(1, PIECE // size)
    stream = opened()
    while True:
        item = take(counter.ctypes.data)
        if item >= items:
            close(stream, streams)
            return
        stop = min(item * per_item + per_item, num_sets)
        for start in range(item * per_item, stop, group):
            count = min(group, stop - start)
            if is_wide(tag):
                measure_wide_group(
                    x, residual, mask, nest, kept, start, count, formula, work, lanes, tag
                )
            else:
                measure_group(x, residual, nest, kept, start, count, formula, work, tag)
            for g in range(count if statistics.shape[1] > 0 else 0):
                _, _, _, _, _, _, index = offsets(nest, 0, kept, start + g)
                v, d = work[V + g], work[D + g]
                if not is_wide(tag):
                    v, d = variance_and_divisor(n, work[ROOT + g], formula)
                statistics[0, index] = n
                statistics[1, index] = work[MEAN + g]
                statistics[2, index] = v
                statistics[3, index] = d
            g = 0
            while g < count:
                many = min(together, count - g)
                _, o, _, _, _, _, _ = offsets(nest, 0, kept, start + g)
                target, t = out, o
                if size <= PIECE:
                    target, t = room(stream, out, o, many * size, streams, tag)
                for h in range(g, g + many):
                    i, o, j, _, a, b, _ = offsets(nest, 0, kept, start + h)
                    centre, rstd = work[CENTRE + h], work[RSTD + h]
                    unit, centre_rest, rstd_rest = 1.0, 0.0, 0.0
                    if is_wide(tag):
                        unit = work[UNIT + h]
                        centre_rest, rstd_rest = work[CENTRE_REST + h], work[RSTD_REST + h]
                    if size <= PIECE:
                        write_run(
                            x, i, residual, j, target, t, nest, size, unit, centre, centre_rest,
                            rstd, rstd_rest, scale, a, bias, b, slope, tag, ptag,
                        )  # fmt: skip
                        t += size
                    else:
                        apply_run(
                            x, i, residual, j, out, o, nest, size, unit, centre, centre_rest,
                            rstd, rstd_rest, scale, a, bias, b, slope, streams, stream, tag, ptag,
                        )  # fmt: skip
                g += many

"""The forward kernel for sets that are one run of memory: those of layer or instance normalization.

It does what `normscope.kernels.rows.normalize` does, where the elements of a set lie next to each
other in all arrays and every element counts. Little is left around the loops over the elements, so
that short sets are quick too.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from normscope.kernels.flags import kernel
from normscope.kernels.formula import (
    CENTER,
    L2,
    MEASURE,
    VARIANCE,
    WIDE,
    unit_of,
    variance_and_divisor,
)
from normscope.kernels.memory import take
from normscope.kernels.nest import OUT, RESIDUAL, SIZE, X, loops, offsets
from normscope.kernels.rows import CHUNK, apply_run
from normscope.kernels.runs import shifted_sums, value
from normscope.kernels.state import mean_and_root

GROUP = 8
"""Sets that are summed before the first of them is written: their divisions overlap."""

SHORT = 1024
"""Sets of up to so many elements stay in the first level of cache together."""


def serves(nest: Any, kept: int, formula: Any, residual: int | None, mask: int | None) -> bool:
    """Whether this kernel may be used; called from Python.

    Sums of float64 input have more parts than this kernel knows of, and long sets are summed in
    chunks: the general kernel does both.
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
        and formula[WIDE] == 0.0
    )


@kernel
def normalize(
    counter: Any, items: int, per_item: int, nest: Any, kept: int, formula: Any,
    x: int, out: int, residual: Any, mask: Any, scale: int, bias: int, slope: Any,
    statistics: Any, tag: Any, ptag: Any,
) -> None:  # fmt: skip
    """Measure whole statistics sets and write their output while they are in cache.

    An item is `per_item` sets. `statistics`: (4, sets) for count, mean, v and D; or of size 0.
    """
    num_sets = loops(nest, 0, kept)
    size = nest[kept, SIZE]
    measure = formula[MEASURE]
    group = GROUP if size <= SHORT else 1
    pivots = np.empty(GROUP, np.float64)
    means = np.empty(GROUP, np.float64)  # first the sums
    divisors = np.empty(GROUP, np.float64)  # first the sums of squares
    while True:
        item = take(counter.ctypes.data)
        if item >= items:
            return
        stop = min(item * per_item + per_item, num_sets)
        for start in range(item * per_item, stop, group):
            count = min(group, stop - start)
            for g in range(count):
                i, _, j, _, _, _, _ = offsets(nest, 0, kept, start + g)
                pivots[g] = value(x, i, residual, j, tag) if measure == VARIANCE else 0.0
                means[g], divisors[g] = shifted_sums(
                    x, i, 1, residual, j, 1, size, 1.0, pivots[g], tag
                )
            for g in range(count):
                mean, root = mean_and_root(float(size), means[g], divisors[g], pivots[g], measure)
                v, d = variance_and_divisor(float(size), root, formula)
                means[g] = mean if formula[CENTER] != 0.0 else 0.0
                divisors[g] = d
                if statistics.shape[1] > 0:
                    _, _, _, _, _, _, index = offsets(nest, 0, kept, start + g)
                    statistics[0, index] = float(size)
                    statistics[1, index] = mean
                    statistics[2, index] = v
                    statistics[3, index] = d
            for g in range(count):
                i, o, j, _, a, b, _ = offsets(nest, 0, kept, start + g)
                unit = unit_of(divisors[g], means[g])
                apply_run(
                    x, i, residual, j, out, o, nest, size, unit, means[g] * unit, 0.0,
                    1.0 / (divisors[g] * unit), 0.0, scale, a, bias, b, slope, tag, ptag,
                )  # fmt: skip

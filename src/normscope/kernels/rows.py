"""Forward kernels for nests whose innermost loop is shared: a statistics set is a few long runs.

A set is taken in *chunks* of a fixed number of elements, in the order of memory. Which thread takes
which chunk makes no difference: chunks are merged in order.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from normscope.kernels.flags import kernel, part
from normscope.kernels.formula import (
    CENTER,
    L1,
    MAX,
    MEASURE,
    VARIANCE,
    WIDE,
    unit_of,
    variance_and_divisor,
)
from normscope.kernels.memory import load, load_flag, store, take
from normscope.kernels.nest import (
    BIAS,
    MASK,
    OUT,
    RESIDUAL,
    SCALE,
    SIZE,
    X,
    loops,
    offsets,
    place,
)
from normscope.kernels.runs import (
    absolute_sums,
    activated,
    masked_sums,
    scaled,
    scaled_along,
    shifted_sums,
    sum_and_max,
    value,
)
from normscope.kernels.state import again, mean_and_root, merge
from normscope.kernels.stream import PIECE, close, opened, room

CHUNK = 65536
"""Elements of a set whose sums are taken together."""

GROUP = 8
"""Short sets that are measured before the first of them is written: their divisions overlap."""


@part
def _run_sums(
    x: int,
    i: int,
    residual: Any,
    j: int,
    mask: Any,
    k: int,
    nest: Any,
    n: int,
    unit: float,
    pivot: float,
    measure: float,
    tag: Any,
) -> Any:
    """Count and sums of one run."""
    last = nest.shape[0] - 1
    xs = nest[last, X]
    rs = nest[last, RESIDUAL]
    if mask is not None:
        return masked_sums(
            x, i, xs, residual, j, rs, mask, k, nest[last, MASK], n, unit, pivot, measure, tag
        )
    if measure == MAX:
        s, q = sum_and_max(x, i, xs, residual, j, rs, n, unit, tag)
    elif measure == L1:
        s, q = absolute_sums(x, i, xs, residual, j, rs, n, unit, tag)
    elif xs == 1 and (residual is None or rs == 1):
        s, q = shifted_sums(x, i, 1, residual, j, 1, n, unit, pivot, tag)
    else:
        s, q = shifted_sums(x, i, xs, residual, j, rs, n, unit, pivot, tag)
    return float(n), s, q


@part
def _chunk_sums(
    x: int,
    xk: int,
    residual: Any,
    rk: int,
    mask: Any,
    mk: int,
    nest: Any,
    kept: int,
    start: int,
    stop: int,
    unit: float,
    pivot: float,
    measure: float,
    tag: Any,
) -> Any:
    """Count and sums of the elements `start` to `stop` of a set that begins at xk, rk, mk."""
    last = nest.shape[0] - 1
    inner = nest[last, SIZE]
    run, e = place(start, inner)
    position = start
    n, s, q = 0.0, 0.0, 0.0
    while position < stop:
        length = min(inner - e, stop - position)
        xo, _, ro, mo, _, _, _ = offsets(nest, kept, last, run)
        n1, s1, q1 = _run_sums(
            x,
            xk + xo + e * nest[last, X],
            residual,
            rk + ro + e * nest[last, RESIDUAL],
            mask,
            mk + mo + e * nest[last, MASK],
            nest,
            length,
            unit,
            pivot,
            measure,
            tag,
        )
        n += n1
        s += s1
        if measure == MAX:
            q = q1 if not q1 <= q else q
        else:
            q += q1
        position += length
        run += 1
        e = 0
    return n, s, q


@part
def _first(
    x: int,
    xk: int,
    residual: Any,
    rk: int,
    mask: Any,
    mk: int,
    nest: Any,
    kept: int,
    start: int,
    stop: int,
    tag: Any,
) -> Any:
    """The first element that counts, 0 if none does."""
    if mask is None and start == 0:
        return value(x, xk, residual, rk, tag)
    for position in range(start, stop):
        xo, _, ro, mo, _, _, _ = offsets(nest, kept, nest.shape[0], position)
        if mask is None or load_flag(mask, mk + mo):
            return value(x, xk + xo, residual, rk + ro, tag)
    return 0.0


@part
def _chunk_state(
    x: int,
    xk: int,
    residual: Any,
    rk: int,
    mask: Any,
    mk: int,
    nest: Any,
    kept: int,
    start: int,
    stop: int,
    formula: Any,
    tag: Any,
) -> Any:
    """Count, mean and root of one chunk."""
    measure = formula[MEASURE]
    first = 0.0
    if measure == VARIANCE:
        first = _first(x, xk, residual, rk, mask, mk, nest, kept, start, stop, tag)
    unit, pivot = 1.0, first
    n, s, q = 0.0, 0.0, 0.0
    for attempt in range(2):
        n, s, q = _chunk_sums(
            x, xk, residual, rk, mask, mk, nest, kept, start, stop, unit, pivot, measure, tag
        )
        if attempt == 1 or formula[WIDE] == 0.0 or n == 0.0:
            break
        other = again(n, s, q, pivot, measure)
        if other == 0.0:
            break
        unit = other
        if measure == VARIANCE:
            pivot = first + s / n if unit == 1.0 else first * unit
    mean, root = mean_and_root(n, s, q, pivot, unit, measure)
    return n, mean, root


@part
def _set_state(
    x: int,
    xk: int,
    residual: Any,
    rk: int,
    mask: Any,
    mk: int,
    nest: Any,
    kept: int,
    size: int,
    formula: Any,
    tag: Any,
) -> Any:
    """Count, mean and root of a whole set."""
    n, mean, root = 0.0, 0.0, 0.0
    for start in range(0, size, CHUNK):
        stop = min(start + CHUNK, size)
        n1, mean1, root1 = _chunk_state(
            x, xk, residual, rk, mask, mk, nest, kept, start, stop, formula, tag
        )
        n, mean, root = merge(n, mean, root, n1, mean1, root1, formula[MEASURE])
    return n, mean, root


@part
def write_run(
    x: int,
    i: int,
    residual: Any,
    j: int,
    out: int,
    o: int,
    nest: Any,
    n: int,
    unit: float,
    mean: float,
    rstd: float,
    scale: int,
    a: int,
    bias: int,
    b: int,
    slope: Any,
    tag: Any,
    ptag: Any,
) -> None:
    """Write the output of one run."""
    last = nest.shape[0] - 1
    xs, os, rs = nest[last, X], nest[last, OUT], nest[last, RESIDUAL]
    sa, sb = nest[last, SCALE], nest[last, BIAS]
    unit_strides = xs == 1 and os == 1 and (residual is None or rs == 1)
    if sa == 0 and sb == 0:
        factor = rstd * load(scale, a, ptag)
        offset = load(bias, b, ptag)
        if unit_strides:
            scaled(x, i, 1, residual, j, 1, out, o, 1, n, unit, mean, factor, offset, slope, tag)
        else:
            scaled(x, i, xs, residual, j, rs, out, o, os, n, unit, mean, factor, offset, slope, tag)
    elif unit_strides and sa == 1 and sb == 1:
        scaled_along(
            x, i, 1, residual, j, 1, out, o, 1, n, unit, mean, rstd,
            scale, a, 1, bias, b, 1, slope, tag, ptag,
        )  # fmt: skip
    elif unit_strides and sa == 1 and sb == 0:
        scaled_along(
            x, i, 1, residual, j, 1, out, o, 1, n, unit, mean, rstd,
            scale, a, 1, bias, b, 0, slope, tag, ptag,
        )  # fmt: skip
    else:
        scaled_along(
            x, i, xs, residual, j, rs, out, o, os, n, unit, mean, rstd,
            scale, a, sa, bias, b, sb, slope, tag, ptag,
        )  # fmt: skip


@part
def apply_run(
    x: int, i: int, residual: Any, j: int, out: int, o: int, nest: Any, n: int,
    unit: float, mean: float, rstd: float, scale: int, a: int, bias: int, b: int,
    slope: Any, streams: bool, stream: Any, tag: Any, ptag: Any,
) -> None:  # fmt: skip
    """Write the output of one run: in pieces, if it is streamed."""
    last = nest.shape[0] - 1
    streams = streams and nest[last, OUT] == 1
    step = PIECE if streams else n
    for e in range(0, n, step):
        length = min(step, n - e)
        target, t = room(stream, out, o + e * nest[last, OUT], length, streams, tag)
        write_run(
            x, i + e * nest[last, X], residual, j + e * nest[last, RESIDUAL], target, t, nest,
            length, unit, mean, rstd, scale, a + e * nest[last, SCALE],
            bias, b + e * nest[last, BIAS], slope, tag, ptag,
        )  # fmt: skip


@part
def _fill(
    out: int, ok: int, nest: Any, kept: int, start: int, stop: int,
    bias: int, bk: int, slope: Any, tag: Any, ptag: Any,
) -> None:  # fmt: skip
    """Write the bias: the output of a set of which no element counts."""
    for position in range(start, stop):
        _, oo, _, _, _, bo, _ = offsets(nest, kept, nest.shape[0], position)
        store(out, ok + oo, activated(load(bias, bk + bo, ptag), slope), tag)


@part
def _apply(
    x: int,
    xk: int,
    residual: Any,
    rk: int,
    out: int,
    ok: int,
    nest: Any,
    kept: int,
    start: int,
    stop: int,
    count: float,
    mean: float,
    d: float,
    formula: Any,
    scale: int,
    ak: int,
    bias: int,
    bk: int,
    slope: Any,
    streams: bool,
    stream: Any,
    tag: Any,
    ptag: Any,
) -> None:
    """Write the output of the elements `start` to `stop` of a set."""
    if formula[CENTER] == 0.0:
        mean = 0.0
    unit = unit_of(d, mean)
    mean *= unit
    rstd = 1.0 / (d * unit)
    if count == 0.0:
        _fill(out, ok, nest, kept, start, stop, bias, bk, slope, tag, ptag)
        return
    last = nest.shape[0] - 1
    inner = nest[last, SIZE]
    xs = nest[last, X]
    run, e = place(start, inner)
    position = start
    while position < stop:
        length = min(inner - e, stop - position)
        xo, oo, ro, _, so, bo, _ = offsets(nest, kept, last, run)
        xo += xk + e * xs
        oo += ok + e * nest[last, OUT]
        ro += rk + e * nest[last, RESIDUAL]
        so += ak + e * nest[last, SCALE]
        bo += bk + e * nest[last, BIAS]
        apply_run(
            x, xo, residual, ro, out, oo, nest, length, unit, mean, rstd,
            scale, so, bias, bo, slope, streams, stream, tag, ptag,
        )  # fmt: skip
        position += length
        run += 1
        e = 0


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
    num_sets = loops(nest, 0, kept)
    size = loops(nest, kept, nest.shape[0])
    group = GROUP if size <= 256 else 1
    states = np.empty((3, GROUP), np.float64)
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
                n, mean, root = _set_state(
                    x, xk, residual, rk, mask, mk, nest, kept, size, formula, tag
                )
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
                    _apply(
                        x, xk, residual, rk, out, ok, nest, kept, begin, min(begin + CHUNK, size),
                        states[0, g], states[1, g], states[2, g], formula,
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
    """Measure chunks. An item is one chunk; `states`: (chunks, 3, sets) for count, mean, root."""
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
        n, mean, root = _chunk_state(
            x, xk, residual, rk, mask, mk, nest, kept, start, min(start + CHUNK, size), formula, tag
        )
        states[chunk, 0, index] = n
        states[chunk, 1, index] = mean
        states[chunk, 2, index] = root


@kernel
def apply(
    counter: Any,
    items: int,
    per_item: int,
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
    """Write the output, from statistics (4, sets).

    An item is `per_item` sets; if 0, one chunk. The same chunk of all sets comes first: parameters
    that vary along it are then read once.
    """
    size = loops(nest, kept, nest.shape[0])
    num_sets = loops(nest, 0, kept)
    step = size if per_item > 0 else CHUNK
    sets = max(per_item, 1)
    groups = (num_sets + sets - 1) // sets
    stream = opened()
    while True:
        item = take(counter.ctypes.data)
        if item >= items:
            close(stream, streams)
            return
        start = item // groups * step
        first = item % groups * sets
        for k in range(first, min(first + sets, num_sets)):
            xk, ok, rk, _, ak, bk, index = offsets(nest, 0, kept, k)
            _apply(
                x, xk, residual, rk, out, ok, nest, kept, start, min(start + step, size),
                statistics[0, index], statistics[1, index], statistics[3, index], formula,
                scale, ak, bias, bk, slope, streams, stream, tag, ptag,
            )  # fmt: skip

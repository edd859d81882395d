"""Measure statistics sets that are a few long runs of memory.

A set is taken in *chunks* of a fixed number of elements, in the order of memory. Which thread takes
which chunk makes no difference: chunks are merged in order.
"""

from __future__ import annotations

from typing import Any

from normscope.kernels import wide
from normscope.kernels.flags import part
from normscope.kernels.formula import L1, MAX, MEASURE, VARIANCE
from normscope.kernels.memory import is_wide, load_flag, use_widest_vectors
from normscope.kernels.nest import MASK, RESIDUAL, SIZE, X, offsets, place
from normscope.kernels.runs import absolute_sums, masked_sums, shifted_sums, sum_and_max, value
from normscope.kernels.state import mean_and_root, merge

CHUNK = 65536
"""Elements of a set whose sums are taken together."""


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
    lanes: Any,
    tag: Any,
) -> Any:
    """Count and sums of one run; sums of float64 input are added to `lanes` instead."""
    last = nest.shape[0] - 1
    xs = nest[last, X]
    rs = nest[last, RESIDUAL]
    if is_wide(tag) and measure < L1:
        count = float(n)
        address = lanes.ctypes.data
        if mask is not None:
            count = wide.add_masked_run(
                x,
                i,
                xs,
                residual,
                j,
                rs,
                mask,
                k,
                nest[last, MASK],
                n,
                unit,
                pivot,
                address,
                tag,
            )
        elif xs == 1 and (residual is None or rs == 1):
            wide.add_run(x, i, 1, residual, j, 1, n, unit, pivot, address, tag)
        else:
            wide.add_run(x, i, xs, residual, j, rs, n, unit, pivot, address, tag)
        return count, 0.0, 0.0
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
    lanes: Any,
    tag: Any,
) -> Any:
    """Count and sums of the elements `start` to `stop` of a set that begins at xk, rk, mk.

    The last two are the rests of the sums, which only those of float64 input have.
    """
    last = nest.shape[0] - 1
    inner = nest[last, SIZE]
    run, e = place(start, inner)
    position = start
    n, s, q = 0.0, 0.0, 0.0
    if is_wide(tag):
        wide.clear(lanes.ctypes.data)
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
            lanes,
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
    if is_wide(tag) and measure < L1:
        s, s_rest, q, q_rest = wide.total(lanes.ctypes.data)
        return n, s, q, s_rest, q_rest
    return n, s, q, 0.0, 0.0


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
    use_widest_vectors()
    if mask is None and start == 0:
        return value(x, xk, residual, rk, tag)
    for position in range(start, stop):
        xo, _, ro, mo, _, _, _ = offsets(nest, kept, nest.shape[0], position)
        if mask is None or load_flag(mask, mk + mo):
            return value(x, xk + xo, residual, rk + ro, tag)
    return 0.0


@part
def chunk_state(
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
    lanes: Any,
    tag: Any,
) -> Any:
    """Count, mean and root of one chunk, and the rests of mean and root."""
    measure = formula[MEASURE]
    unit, pivot = 1.0, 0.0
    if measure == VARIANCE and not is_wide(tag):
        pivot = _first(x, xk, residual, rk, mask, mk, nest, kept, start, stop, tag)
    while True:
        n, s, q, s_rest, q_rest = _chunk_sums(
            x, xk, residual, rk, mask, mk, nest, kept, start, stop, unit, pivot, measure, lanes, tag
        )
        if not is_wide(tag):
            mean, root = mean_and_root(n, s, q, pivot, measure)
            return n, mean, root, 0.0, 0.0
        better = wide.again(n, s, s_rest, q, q_rest, unit, pivot, measure)
        if better == (unit, pivot):
            mean, root, mean_rest, root_rest = wide.mean_and_root(
                n, s, s_rest, q, q_rest, unit, pivot, measure
            )
            return n, mean, root, mean_rest, root_rest
        unit, pivot = better


@part
def set_state(
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
    lanes: Any,
    tag: Any,
) -> Any:
    """Count, mean and root of a whole set, and the rests of mean and root."""
    n, mean, root, mean_rest, root_rest = 0.0, 0.0, 0.0, 0.0, 0.0
    for start in range(0, size, CHUNK):
        stop = min(start + CHUNK, size)
        n1, mean1, root1, mean1_rest, root1_rest = chunk_state(
            x, xk, residual, rk, mask, mk, nest, kept, start, stop, formula, lanes, tag
        )
        if is_wide(tag):
            n, mean, root, mean_rest, root_rest = wide.merge(
                n, mean, root, mean_rest, root_rest, n1, mean1, root1, mean1_rest, root1_rest,
                formula[MEASURE],
            )  # fmt: skip
        else:
            n, mean, root = merge(n, mean, root, n1, mean1, root1, formula[MEASURE])
    return n, mean, root, mean_rest, root_rest

"""Write the output of the columns of a tile, row by row, from what its scratch memory says."""

from __future__ import annotations

from typing import Any

from normscope.kernels import wide
from normscope.kernels.flags import exact, part
from normscope.kernels.formula import CENTER, EPS, EPS_OUTSIDE, FLOOR, unit_of
from normscope.kernels.memory import is_wide, keep, load, recall, store, use_widest_vectors
from normscope.kernels.nest import BIAS, OUT, RESIDUAL, SCALE, X, offsets, row_loop
from normscope.kernels.pairs import normalized, normalized_along, times
from normscope.kernels.runs import activated, value
from normscope.kernels.stream import room
from normscope.kernels.tile import (
    CENTRE,
    CENTRE_REST,
    FACTOR,
    FACTOR_REST,
    MEAN,
    MEAN_REST,
    OFFSET,
    ROOT,
    ROOT_REST,
    RSTD,
    RSTD_REST,
    SEEN,
    UNIT,
)

BLOCK = 64
"""Rows that are written one after the other."""


@part
def prepare(
    work: Any, c: int, n: float, mean: float, mean_rest: float, d: float, d_rest: float,
    formula: Any, tag: Any,
) -> None:  # fmt: skip
    """What the output of column `c` needs."""
    if formula[CENTER] == 0.0:
        mean, mean_rest = 0.0, 0.0
    unit = unit_of(d, mean)
    work[UNIT + c] = unit
    work[CENTRE + c] = mean * unit
    work[RSTD + c] = 1.0 / (d * unit)
    work[SEEN + c] = n
    if is_wide(tag):
        work[CENTRE_REST + c] = mean_rest * unit
        work[RSTD + c], work[RSTD_REST + c] = wide.inverse(d * unit, d_rest * unit)


@exact
def prepare_ordinary(width: int, n: float, work: int, formula: Any) -> Any:
    """The same for all columns of float64 input, in a loop that vectorizes; whether all are valid.

    They are not where numbers come near the ends of the range of float64.
    """
    use_widest_vectors()
    share, share_rest = wide.share_of(n, formula)
    eps, outside, floor = formula[EPS], formula[EPS_OUTSIDE], formula[FLOOR]
    center = formula[CENTER]
    odd = 0
    for c in range(width):
        mean, mean_rest = recall(work, MEAN + c), recall(work, MEAN_REST + c)
        root = recall(work, ROOT + c)
        _, _, rstd, rstd_rest, valid = wide.ordinary_divisor(
            root, recall(work, ROOT_REST + c), share, share_rest, eps, outside, floor
        )
        keep(work, UNIT + c, 1.0)
        keep(work, SEEN + c, n)
        keep(work, CENTRE + c, mean if center != 0.0 else 0.0)
        keep(work, CENTRE_REST + c, mean_rest if center != 0.0 else 0.0)
        keep(work, RSTD + c, rstd)
        keep(work, RSTD_REST + c, rstd_rest)
        odd += 0 if valid & (root >= 1e-140) & (root <= 1e140) else 1
    return odd == 0


@part
def _write_rows(
    x: int, i: int, p: int, residual: Any, j: int, q: int, out: int, o: int, r: int, rows: int,
    width: int, work: int, slope: Any, streams: bool, stream: Any, tag: Any,
) -> None:  # fmt: skip
    """Write rows at distances p, q, r; scale and bias vary with the column alone, units are 1."""
    use_widest_vectors()
    for row in range(rows):
        target, t = room(stream, out, o + row * r, width, streams, tag)
        for c in range(width):
            d = value(x, i + row * p + c, residual, j + row * q + c, tag)
            d -= recall(work, CENTRE + c)
            y = d * recall(work, FACTOR + c) + recall(work, OFFSET + c)
            store(target, t + c, activated(y, slope), tag)


@part
def _write_even_rows(
    x: int, i: int, p: int, residual: Any, j: int, q: int, out: int, o: int, r: int, rows: int,
    width: int, work: int, scale: int, a: int, pa: int, bias: int, b: int, pb: int,
    slope: Any, streams: bool, stream: Any, tag: Any, ptag: Any,
) -> None:  # fmt: skip
    """The same for rows each of which has one scale and one bias."""
    use_widest_vectors()
    for row in range(rows):
        factor, offset = load(scale, a + row * pa, ptag), load(bias, b + row * pb, ptag)
        target, t = room(stream, out, o + row * r, width, streams, tag)
        for c in range(width):
            d = value(x, i + row * p + c, residual, j + row * q + c, tag)
            d -= recall(work, CENTRE + c)
            y = d * (recall(work, RSTD + c) * factor) + offset
            store(target, t + c, activated(y, slope), tag)


@part
def _write_wide_row(
    x: int, i: int, xs: int, residual: Any, j: int, rs: int, out: int, o: int, os: int,
    width: int, work: int, slope: Any, streams: bool, stream: Any, tag: Any,
) -> None:  # fmt: skip
    """Write one row of float64 input, from the factors and offsets of its columns."""
    target, t = room(stream, out, o, width, streams and os == 1, tag)
    if xs == 1 and os == 1 and (residual is None or rs == 1):
        _write_wide(x, i, 1, residual, j, 1, target, t, 1, width, work, slope, tag)
    else:
        _write_wide(x, i, xs, residual, j, rs, target, t, os, width, work, slope, tag)


@part
def _write_wide(
    x: int, i: int, xs: int, residual: Any, j: int, rs: int, out: int, o: int, os: int,
    width: int, work: int, slope: Any, tag: Any,
) -> None:  # fmt: skip
    use_widest_vectors()
    for c in range(width):
        offset = recall(work, OFFSET + c)
        y = normalized(
            value(x, i + c * xs, residual, j + c * rs, tag) * recall(work, UNIT + c),
            recall(work, CENTRE + c), recall(work, CENTRE_REST + c),
            recall(work, FACTOR + c), recall(work, FACTOR_REST + c), offset,
        )  # fmt: skip
        if recall(work, SEEN + c) == 0.0:
            y = offset
        store(out, o + c * os, activated(y, slope), tag)


@part
def _write_even_wide_row(
    x: int, i: int, xs: int, residual: Any, j: int, rs: int, out: int, o: int, os: int,
    width: int, work: int, scale: float, offset: float, slope: Any, streams: bool, stream: Any,
    tag: Any,
) -> None:  # fmt: skip
    """The same for a row that has one scale and one bias."""
    target, t = room(stream, out, o, width, streams and os == 1, tag)
    if xs == 1 and os == 1 and (residual is None or rs == 1):
        _write_even_wide(
            x, i, 1, residual, j, 1, target, t, 1, width, work, scale, offset, slope, tag
        )
    else:
        _write_even_wide(
            x, i, xs, residual, j, rs, target, t, os, width, work, scale, offset, slope, tag
        )


@part
def _write_even_wide(
    x: int, i: int, xs: int, residual: Any, j: int, rs: int, out: int, o: int, os: int,
    width: int, work: int, scale: float, offset: float, slope: Any, tag: Any,
) -> None:  # fmt: skip
    use_widest_vectors()
    for c in range(width):
        y = normalized_along(
            value(x, i + c * xs, residual, j + c * rs, tag) * recall(work, UNIT + c),
            recall(work, CENTRE + c), recall(work, CENTRE_REST + c),
            recall(work, RSTD + c), recall(work, RSTD_REST + c), scale, offset,
        )  # fmt: skip
        if recall(work, SEEN + c) == 0.0:
            y = offset
        store(out, o + c * os, activated(y, slope), tag)


@part
def _set_factors(
    width: int, span: int, work: Any, scale: int, a: int, sa: int, bias: int, b: int, sb: int,
    tag: Any, ptag: Any,
) -> None:  # fmt: skip
    """Factor and offset of every column, from the parameters that begin at a and b."""
    use_widest_vectors()
    for c in range(width):
        factor = load(scale, a + c % span * sa, ptag)
        work[OFFSET + c] = load(bias, b + c % span * sb, ptag)
        if is_wide(tag):
            work[FACTOR + c], work[FACTOR_REST + c] = times(
                work[RSTD + c], work[RSTD_REST + c], factor, 0.0
            )
        else:
            work[FACTOR + c] = work[RSTD + c] * factor


@part
def _write_row(
    x: int, i: int, xs: int, residual: Any, j: int, rs: int, out: int, o: int, os: int,
    width: int, span: int, work: Any, fixed: bool,
    scale: int, a: int, sa: int, bias: int, b: int, sb: int, slope: Any, tag: Any, ptag: Any,
) -> None:  # fmt: skip
    """Write one row, for any strides and parameters, by the same operations."""
    use_widest_vectors()
    for c in range(width):
        factor = work[FACTOR + c]
        if not fixed:
            factor = work[RSTD + c] * load(scale, a + c % span * sa, ptag)
        d = value(x, i + c * xs, residual, j + c * rs, tag) * work[UNIT + c] - work[CENTRE + c]
        y = load(bias, b + c % span * sb, ptag)
        if work[SEEN + c] > 0.0:
            y = d * factor + y
        store(out, o + c * os, activated(y, slope), tag)


@part
def write_columns(
    x: int, xk: int, residual: Any, rk: int, out: int, ok: int, nest: Any, kept: int,
    start: int, stop: int, width: int, outer: int, work: Any, address: int, formula: Any,
    scale: int, ak: int, bias: int, bk: int, slope: Any, streams: bool, stream: Any,
    tag: Any, ptag: Any,
) -> None:  # fmt: skip
    """Write the output of the rows `start` to `stop`.

    The last block comes first, for it may still be in cache; within a block rows come in the order
    of memory, in which the processor fetches ahead. One row after the other is quicker than several
    side by side: fewer places are written to at a time.
    """
    last = nest.shape[0] - 1
    xs, os, rs = nest[last, X], nest[last, OUT], nest[last, RESIDUAL]
    sa, sb = nest[last, SCALE], nest[last, BIAS]
    span = width // outer  # parameters are the same for all parts that are folded from outside
    plain = xs == 1 and os == 1 and (residual is None or rs == 1)
    for c in range(width):
        if work[SEEN + c] == 0.0 or work[UNIT + c] != 1.0:
            plain = False
    fixed = True
    for row in range(kept, last):
        if nest[row, SCALE] != 0 or nest[row, BIAS] != 0:
            fixed = False
    if fixed:
        _set_factors(width, span, work, scale, ak, sa, bias, bk, sb, tag, ptag)
    even = sa == 0 and sb == 0
    inner, p, r, q, pa, pb = row_loop(nest, kept, last)
    for begin in range(start + (stop - start - 1) // BLOCK * BLOCK, start - 1, -BLOCK):
        row, end = begin, min(begin + BLOCK, stop)
        while row < end:
            i, o, j, _, a, b, _ = offsets(nest, kept, last, row)
            i, o, j, a, b = xk + i, ok + o, rk + j, ak + a, bk + b
            rows = min(inner - row % inner, end - row)
            if is_wide(tag):
                rows = 1
                if even and not fixed:
                    _write_even_wide_row(
                        x, i, xs, residual, j, rs, out, o, os, width, address,
                        load(scale, a, ptag), load(bias, b, ptag), slope, streams, stream, tag,
                    )  # fmt: skip
                else:
                    if not fixed:
                        _set_factors(width, span, work, scale, a, sa, bias, b, sb, tag, ptag)
                    _write_wide_row(
                        x, i, xs, residual, j, rs, out, o, os, width, address,
                        slope, streams, stream, tag,
                    )  # fmt: skip
            elif plain and fixed:
                _write_rows(
                    x, i, p, residual, j, q, out, o, r, rows, width, address,
                    slope, streams, stream, tag,
                )  # fmt: skip
            elif plain and even:
                _write_even_rows(
                    x, i, p, residual, j, q, out, o, r, rows, width, address,
                    scale, a, pa, bias, b, pb, slope, streams, stream, tag, ptag,
                )  # fmt: skip
            else:
                rows = 1
                _write_row(
                    x, i, xs, residual, j, rs, out, o, os, width, span, work,
                    fixed, scale, a, sa, bias, b, sb, slope, tag, ptag,
                )  # fmt: skip
            row += rows

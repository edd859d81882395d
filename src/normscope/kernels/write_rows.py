"""Write the output of statistics sets that are a few long runs of memory."""

from __future__ import annotations

from typing import Any

from normscope.kernels import wide
from normscope.kernels.flags import part
from normscope.kernels.formula import CENTER, unit_of
from normscope.kernels.memory import is_wide, load, store, use_widest_vectors
from normscope.kernels.nest import BIAS, OUT, RESIDUAL, SCALE, SIZE, X, offsets, place
from normscope.kernels.pairs import times
from normscope.kernels.runs import activated, scaled, scaled_along
from normscope.kernels.stream import PIECE, room


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
    mean_rest: float,
    rstd: float,
    rstd_rest: float,
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
        factor, factor_rest = rstd * load(scale, a, ptag), 0.0
        if is_wide(tag):
            factor, factor_rest = times(rstd, rstd_rest, load(scale, a, ptag), 0.0)
        offset = load(bias, b, ptag)
        if unit_strides:
            scaled(
                x, i, 1, residual, j, 1, out, o, 1, n, unit, mean, mean_rest, factor, factor_rest,
                offset, slope, tag,
            )  # fmt: skip
        else:
            scaled(
                x, i, xs, residual, j, rs, out, o, os, n, unit, mean, mean_rest, factor,
                factor_rest, offset, slope, tag,
            )  # fmt: skip
    elif unit_strides and sa == 1 and sb == 1:
        scaled_along(
            x, i, 1, residual, j, 1, out, o, 1, n, unit, mean, mean_rest, rstd, rstd_rest,
            scale, a, 1, bias, b, 1, slope, tag, ptag,
        )  # fmt: skip
    elif unit_strides and sa == 1 and sb == 0:
        scaled_along(
            x, i, 1, residual, j, 1, out, o, 1, n, unit, mean, mean_rest, rstd, rstd_rest,
            scale, a, 1, bias, b, 0, slope, tag, ptag,
        )  # fmt: skip
    else:
        scaled_along(
            x, i, xs, residual, j, rs, out, o, os, n, unit, mean, mean_rest, rstd, rstd_rest,
            scale, a, sa, bias, b, sb, slope, tag, ptag,
        )  # fmt: skip


@part
def apply_run(
    x: int, i: int, residual: Any, j: int, out: int, o: int, nest: Any, n: int,
    unit: float, mean: float, mean_rest: float, rstd: float, rstd_rest: float,
    scale: int, a: int, bias: int, b: int,
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
            length, unit, mean, mean_rest, rstd, rstd_rest, scale, a + e * nest[last, SCALE],
            bias, b + e * nest[last, BIAS], slope, tag, ptag,
        )  # fmt: skip


@part
def _fill(
    out: int, ok: int, nest: Any, kept: int, start: int, stop: int,
    bias: int, bk: int, slope: Any, tag: Any, ptag: Any,
) -> None:  # fmt: skip
    """Write the bias: the output of a set of which no element counts."""
    use_widest_vectors()
    for position in range(start, stop):
        _, oo, _, _, _, bo, _ = offsets(nest, kept, nest.shape[0], position)
        store(out, ok + oo, activated(load(bias, bk + bo, ptag), slope), tag)


@part
def prepared(mean: float, mean_rest: float, d: float, d_rest: float, formula: Any, tag: Any) -> Any:
    """What the output of a set needs: its unit, and mean and 1 / D in that unit, with rests."""
    if formula[CENTER] == 0.0:
        mean, mean_rest = 0.0, 0.0
    unit = unit_of(d, mean)
    rstd, rstd_rest = 1.0 / (d * unit), 0.0
    if is_wide(tag):
        rstd, rstd_rest = wide.inverse(d * unit, d_rest * unit)
    return unit, mean * unit, mean_rest * unit, rstd, rstd_rest


@part
def write_part(
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
    mean_rest: float,
    d: float,
    d_rest: float,
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
    unit, mean, mean_rest, rstd, rstd_rest = prepared(mean, mean_rest, d, d_rest, formula, tag)
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
            x, xo, residual, ro, out, oo, nest, length, unit, mean, mean_rest,
            rstd, rstd_rest, scale, so, bias, bo, slope, streams, stream, tag, ptag,
        )  # fmt: skip
        position += length
        run += 1
        e = 0

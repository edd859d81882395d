"""Write the output of the columns of a tile, row by row, from what its scratch memory says."""

from __future__ import annotations

from typing import Any

from normscope.kernels.contract import CENTER, EPS, EPS_OUTSIDE, FLOOR, UNIT_UP_TO, Arrays, Place
from normscope.kernels.forward import float64_statistics
from normscope.kernels.forward.nest import (
    ahead,
    has_fixed_parameters,
    moved,
    offsets,
    row_loop,
    strides,
)
from normscope.kernels.forward.partial_statistics import Scaling
from normscope.kernels.forward.runs import activated, are_neighbours, element, into, row_element
from normscope.kernels.machine.compiling import exact, part
from normscope.kernels.machine.double_double import normalized, normalized_along, times
from normscope.kernels.machine.instructions import use_widest_vectors
from normscope.kernels.machine.memory import is_float64, keep, load, recall, store
from normscope.kernels.machine.streaming_stores import Stream, room
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
    Tile,
)

BLOCK = 64
"""Rows that are written one after the other."""


@part
def prepare(work: Any, c: int, count: float, scaling: Scaling) -> None:
    """Note what the output of column `c` needs."""
    work[SEEN + c] = count
    work[UNIT + c] = scaling.unit
    work[CENTRE + c], work[CENTRE_REST + c] = scaling.centre, scaling.centre_rest
    work[RSTD + c], work[RSTD_REST + c] = scaling.factor, scaling.factor_rest


@exact
def prepare_ordinary(width: int, n: float, work: int, formula: Any) -> Any:
    """Note what the output of columns of float64 input needs, in a loop that vectorizes; if valid.

    False: it is not, since numbers come near the ends of the range of float64.
    """
    use_widest_vectors()
    share, share_rest = float64_statistics.share_of(n, formula)
    eps, outside, floor = formula[EPS], formula[EPS_OUTSIDE], formula[FLOOR]
    center, unit_up_to = formula[CENTER], formula[UNIT_UP_TO]
    odd = 0
    for c in range(width):
        mean, mean_rest = recall(work, MEAN + c), recall(work, MEAN_REST + c)
        root = recall(work, ROOT + c)
        _, _, rstd, rstd_rest, valid = float64_statistics.ordinary_divisor(
            root,
            recall(work, ROOT_REST + c),
            share,
            share_rest,
            eps,
            outside,
            floor,
            unit_up_to,
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
    arrays: Arrays, at: Place, step: Place, rows: int, width: int, work: int, stream: Stream
) -> None:
    """Write rows a step apart; scale and bias vary with the column alone, units are 1."""
    use_widest_vectors()
    for row in range(rows):
        target, t = room(stream, arrays.out, at.out + row * step.out, 1, width, arrays.tag)
        for c in range(width):
            d = row_element(arrays, at, step, row, c) - recall(work, CENTRE + c)
            y = d * recall(work, FACTOR + c) + recall(work, OFFSET + c)
            store(target, t + c, activated(y, arrays.slope), arrays.tag)


@part
def _write_even_rows(
    arrays: Arrays, at: Place, step: Place, rows: int, width: int, work: int, stream: Stream
) -> None:
    """Write rows a step apart, each of which has one scale and one bias; units are 1."""
    use_widest_vectors()
    for row in range(rows):
        scale = load(arrays.scale, at.scale + row * step.scale, arrays.parameter_tag)
        bias = load(arrays.bias, at.bias + row * step.bias, arrays.parameter_tag)
        target, t = room(stream, arrays.out, at.out + row * step.out, 1, width, arrays.tag)
        for c in range(width):
            d = row_element(arrays, at, step, row, c) - recall(work, CENTRE + c)
            y = d * (recall(work, RSTD + c) * scale) + bias
            store(target, t + c, activated(y, arrays.slope), arrays.tag)


@part
def _write_float64_row(
    arrays: Arrays, at: Place, step: Place, width: int, work: int, even: bool, stream: Stream
) -> None:
    """Write one row of float64 input: one with one scale and bias, or by factors and offsets."""
    target, t = room(stream, arrays.out, at.out, step.out, width, arrays.tag)
    aimed, here = into(arrays, at, target, t)
    side_by_side = are_neighbours(arrays, step) and step.out == 1
    if even:
        scale = load(arrays.scale, at.scale, arrays.parameter_tag)
        bias = load(arrays.bias, at.bias, arrays.parameter_tag)
        if side_by_side:
            _write_even_float64_columns(aimed, here, None, width, work, scale, bias)
        else:
            _write_even_float64_columns(aimed, here, step, width, work, scale, bias)
    elif side_by_side:
        _write_float64_columns(aimed, here, None, width, work)
    else:
        _write_float64_columns(aimed, here, step, width, work)


@part
def _write_float64_columns(
    arrays: Arrays, at: Place, step: Place | None, width: int, work: int
) -> None:
    use_widest_vectors()
    for c in range(width):
        offset = recall(work, OFFSET + c)
        y = normalized(
            element(arrays, at, step, c) * recall(work, UNIT + c),
            recall(work, CENTRE + c), recall(work, CENTRE_REST + c),
            recall(work, FACTOR + c), recall(work, FACTOR_REST + c), offset,
        )  # fmt: skip
        if recall(work, SEEN + c) == 0.0:
            y = offset
        store(arrays.out, ahead(at, step, c).out, activated(y, arrays.slope), arrays.tag)


@part
def _write_even_float64_columns(
    arrays: Arrays, at: Place, step: Place | None, width: int, work: int, scale: float, bias: float
) -> None:
    use_widest_vectors()
    for c in range(width):
        y = normalized_along(
            element(arrays, at, step, c) * recall(work, UNIT + c),
            recall(work, CENTRE + c), recall(work, CENTRE_REST + c),
            recall(work, RSTD + c), recall(work, RSTD_REST + c), scale, bias,
        )  # fmt: skip
        if recall(work, SEEN + c) == 0.0:
            y = bias
        store(arrays.out, ahead(at, step, c).out, activated(y, arrays.slope), arrays.tag)


@part
def _span(tile: Tile) -> Any:
    """How many columns have parameters of their own; those folded from outside repeat them."""
    return tile.width // tile.outer


@part
def _set_factors(arrays: Arrays, at: Place, step: Place, tile: Tile) -> None:
    """Factor and offset of every column, from the parameters that begin at a place."""
    use_widest_vectors()
    work, span = tile.work, _span(tile)
    for c in range(tile.width):
        scale = load(arrays.scale, at.scale + c % span * step.scale, arrays.parameter_tag)
        bias = load(arrays.bias, at.bias + c % span * step.bias, arrays.parameter_tag)
        work[OFFSET + c] = bias
        if is_float64(arrays.tag):
            work[FACTOR + c], work[FACTOR_REST + c] = times(
                work[RSTD + c], work[RSTD_REST + c], scale, 0.0
            )
        else:
            work[FACTOR + c] = work[RSTD + c] * scale


@part
def _write_row(arrays: Arrays, at: Place, step: Place, tile: Tile, fixed: bool) -> None:
    """Write one row, for any strides and parameters, by the same operations."""
    use_widest_vectors()
    work, span = tile.work, _span(tile)
    for c in range(tile.width):
        factor = work[FACTOR + c]
        if not fixed:
            scale = load(arrays.scale, at.scale + c % span * step.scale, arrays.parameter_tag)
            factor = work[RSTD + c] * scale
        d = element(arrays, at, step, c) * work[UNIT + c] - work[CENTRE + c]
        y = load(arrays.bias, at.bias + c % span * step.bias, arrays.parameter_tag)
        if work[SEEN + c] > 0.0:
            y = d * factor + y
        store(arrays.out, at.out + c * step.out, activated(y, arrays.slope), arrays.tag)


@part
def _is_ordinary(tile: Tile) -> Any:
    """Whether all columns have elements that count, and the unit 1."""
    ordinary = True
    for c in range(tile.width):
        if tile.work[SEEN + c] == 0.0 or tile.work[UNIT + c] != 1.0:
            ordinary = False
    return ordinary


@part
def write_columns(
    arrays: Arrays, tile: Tile, nest: Any, num_kept: int, start: int, stop: int, stream: Stream,
    double_double: Any,
) -> None:  # fmt: skip
    """Write the output of the rows `start` to `stop`.

    The last block comes first, for it may still be in cache; within a block rows come in the order
    of memory, in which the processor fetches ahead. One row after the other is quicker than several
    side by side: fewer places are written to at a time.
    """
    last = nest.shape[0] - 1
    step, width, work = strides(nest, last), tile.width, tile.address
    plain = are_neighbours(arrays, step) and step.out == 1 and _is_ordinary(tile)
    fixed = has_fixed_parameters(nest, num_kept)
    if fixed:
        _set_factors(arrays, tile.at, step, tile)
    even = step.scale == 0 and step.bias == 0
    inner, next_row = row_loop(nest, num_kept, last)
    for begin in range(start + (stop - start - 1) // BLOCK * BLOCK, start - 1, -BLOCK):
        row, end = begin, min(begin + BLOCK, stop)
        while row < end:
            at = moved(tile.at, offsets(nest, num_kept, last, row), 1)
            rows = min(inner - row % inner, end - row)
            if double_double is not None:
                rows = 1
                if not fixed and not even:
                    _set_factors(arrays, at, step, tile)
                _write_float64_row(arrays, at, step, width, work, even and not fixed, stream)
            elif plain and fixed:
                _write_rows(arrays, at, next_row, rows, width, work, stream)
            elif plain and even:
                _write_even_rows(arrays, at, next_row, rows, width, work, stream)
            else:
                rows = 1
                _write_row(arrays, at, step, tile, fixed)
            row += rows

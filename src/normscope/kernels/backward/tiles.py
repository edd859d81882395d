"""Rows of a tile of columns for the backward pass: the sums over them, and dx from these.

Neighbours belong to different sets, so every column has its own sums, in scratch memory. Rows at
equal distances are summed several at a time, which saves reading and writing that memory; they are
written one at a time, for the fewer places are written to at once, the better memory follows.
"""

from __future__ import annotations

from typing import Any

from normscope.kernels.backward import input_gradient
from normscope.kernels.backward.nest import has_fixed_parameters, moved, offsets, row_loop, strides
from normscope.kernels.backward.runs import (
    ParameterSums,
    add_to,
    add_to_parameter,
    elements_along,
    factor_at,
    terms,
)
from normscope.kernels.contract import (
    MEASURE,
    SHIFT,
    SUM_COUNT,
    SUM_D,
    SUM_DY,
    SUM_DY_D,
    SUM_G,
    SUM_G_D,
    SUMS,
    WIDEST,
    BackwardArrays,
    BackwardPlace,
)
from normscope.kernels.forward.write_columns import BLOCK
from normscope.kernels.machine.compiling import part, sums
from normscope.kernels.machine.instructions import use_widest_vectors
from normscope.kernels.machine.memory import counts, load, recall, store
from normscope.kernels.machine.streaming_stores import Stream, room
from normscope.kernels.measures import derivative_of_size, is_sum_of_sizes
from normscope.kernels.tile import Tile

# Rows of the scratch memory: those of `input_gradient`, and what dy is multiplied by.
G, G_D, D, N, DY, DY_D = (
    SUM_G * WIDEST, SUM_G_D * WIDEST, SUM_D * WIDEST, SUM_COUNT * WIDEST, SUM_DY * WIDEST,
    SUM_DY_D * WIDEST,
)  # fmt: skip
MEAN, RSTD = input_gradient.MEAN * WIDEST, input_gradient.RSTD * WIDEST
MOVE, CURVE = input_gradient.MOVE * WIDEST, input_gradient.CURVE * WIDEST
POINT = input_gradient.POINT * WIDEST
FACTOR = input_gradient.ROWS * WIDEST
SCRATCH = FACTOR + WIDEST

EIGHT, FOUR = 8, 4
"""Rows that are summed at once."""


@part
def _row_terms(
    arrays: BackwardArrays, at: BackwardPlace, step: BackwardPlace, row: int, c: int, mean: float
) -> Any:
    """The terms of neighbour `c` that is `row` steps away from a place."""
    i, j = at.x + row * step.x, at.dy + row * step.dy
    return terms(arrays, i + c, j + c, mean)


@sums
def _add_rows(
    arrays: BackwardArrays,
    at: BackwardPlace,
    step: BackwardPlace,
    rows: int,
    count: int,
    width: int,
    work: int,
) -> None:
    """Add rows a step apart, `count` at once, a literal, to the sums of every column.

    They are sum(dy), sum(dy * (x - m)) and sum(x - m).
    """
    use_widest_vectors()
    for first in range(0, rows, count):
        for c in range(width):
            mean = recall(work, MEAN + c)
            plain, along, away = 0.0, 0.0, 0.0
            for row in range(first, first + count):
                g, d, t = _row_terms(arrays, at, step, row, c, mean)
                plain += g
                along += t
                away += d
            add_to(work, DY + c, plain)
            add_to(work, DY_D + c, along)
            add_to(work, D + c, away)


@sums
def _add_even_rows(
    arrays: BackwardArrays, at: BackwardPlace, step: BackwardPlace, rows: int, width: int,
    work: int, shift: float, learned: ParameterSums,
) -> None:  # fmt: skip
    """Add rows, each with one scale, four at once, to the sums of columns and of parameters."""
    use_widest_vectors()
    for row in range(0, rows - 3, 4):
        here = moved(at, step, row)
        f0 = factor_at(arrays, here.scale, shift)
        f1 = factor_at(arrays, here.scale + step.scale, shift)
        f2 = factor_at(arrays, here.scale + 2 * step.scale, shift)
        f3 = factor_at(arrays, here.scale + 3 * step.scale, shift)
        p0, p1, p2, p3 = 0.0, 0.0, 0.0, 0.0
        q0, q1, q2, q3 = 0.0, 0.0, 0.0, 0.0
        for c in range(width):
            mean, rstd = recall(work, MEAN + c), recall(work, RSTD + c)
            g0, d0, t0 = _row_terms(arrays, here, step, 0, c, mean)
            g1, d1, t1 = _row_terms(arrays, here, step, 1, c, mean)
            g2, d2, t2 = _row_terms(arrays, here, step, 2, c, mean)
            g3, d3, t3 = _row_terms(arrays, here, step, 3, c, mean)
            add_to(work, G + c, (g0 * f0 + g1 * f1) + (g2 * f2 + g3 * f3))
            add_to(work, G_D + c, (t0 * f0 + t1 * f1) + (t2 * f2 + t3 * f3))
            add_to(work, D + c, (d0 + d1) + (d2 + d3))
            p0 += g0
            p1 += g1
            p2 += g2
            p3 += g3
            q0 += t0 * rstd
            q1 += t1 * rstd
            q2 += t2 * rstd
            q3 += t3 * rstd
        if learned.size > 0:
            for n, plain, along in ((0, p0, q0), (1, p1, q1), (2, p2, q2), (3, p3, q3)):
                add_to_parameter(learned, here.learned + n * step.learned, plain, along)


@part
def _add_row(
    arrays: BackwardArrays, at: BackwardPlace, step: BackwardPlace, tile: Tile, shift: float
) -> None:
    """Add a row, with any strides and mask."""
    use_widest_vectors()
    work, span = tile.work, tile.width // tile.outer
    for c in range(tile.width):
        g, d = elements_along(arrays, at, step, c, work[MEAN + c])
        factor = factor_at(arrays, at.scale + c % span * step.scale, shift)
        work[DY + c] += g
        work[DY_D + c] += g * d
        work[G + c] += g * factor
        work[G_D + c] += g * factor * d
        if counts(arrays.mask, at.mask + c * step.mask):
            work[D + c] += d
            work[N + c] += 1.0


@part
def _add_row_along(
    arrays: BackwardArrays,
    at: BackwardPlace,
    step: BackwardPlace,
    tile: Tile,
    learned: ParameterSums,
) -> None:
    """Add a row to the sums of its parameters, with any strides."""
    use_widest_vectors()
    work, span = tile.work, tile.width // tile.outer
    for c in range(tile.width):
        g, d = elements_along(arrays, at, step, c, work[MEAN + c])
        add_to_parameter(learned, at.learned + c % span * step.learned, g, g * d * work[RSTD + c])


@part
def _weigh_sums(
    arrays: BackwardArrays, at: BackwardPlace, step: BackwardPlace, tile: Tile, shift: float,
    learned: ParameterSums,
) -> None:  # fmt: skip
    """The sums with scale, and those of the parameters, where these are the same for all rows."""
    work, span = tile.work, tile.width // tile.outer
    for c in range(tile.width):
        factor = factor_at(arrays, at.scale + c % span * step.scale, shift)
        plain, along = work[DY + c], work[DY_D + c]
        work[G + c] = plain * factor
        work[G_D + c] = along * factor
        if learned.size > 0:
            p = at.learned + c % span * step.learned
            add_to_parameter(learned, p, plain, along * work[RSTD + c])


@part
def take_sums(
    arrays: BackwardArrays, tile: Tile, nest: Any, num_kept: int, start: int, stop: int,
    formula: Any, learned: ParameterSums,
) -> None:  # fmt: skip
    """The sums of the rows `start` to `stop`: of every column, and of the parameters if any."""
    use_widest_vectors()
    last = nest.shape[0] - 1
    step, width, address = strides(nest, last), tile.width, tile.address
    shift = formula[SHIFT]
    for row in range(SUMS):
        for c in range(width):
            tile.work[row * WIDEST + c] = 0.0
    plain = arrays.mask is None and step.x == 1 and step.dy == 1
    fixed = has_fixed_parameters(nest, num_kept)
    even = step.scale == 0 and step.learned == 0
    inner, next_row = row_loop(nest, num_kept, last)
    row = start
    while row < stop:
        at = moved(tile.at, offsets(nest, num_kept, last, row), 1)
        left = min(inner - row % inner, stop - row)
        rows = 1
        if plain and fixed and left >= EIGHT:
            rows = left // EIGHT * EIGHT
            _add_rows(arrays, at, next_row, rows, EIGHT, width, address)
        elif plain and fixed:
            _add_rows(arrays, at, next_row, 1, 1, width, address)
        elif plain and even and left >= FOUR:
            rows = left // FOUR * FOUR
            _add_even_rows(arrays, at, next_row, rows, width, address, shift, learned)
        else:
            _add_row(arrays, at, step, tile, shift)
            if learned.size > 0 and not fixed:
                _add_row_along(arrays, at, step, tile, learned)
        row += rows
    if arrays.mask is None:
        for c in range(width):
            tile.work[N + c] = float(stop - start)
    if fixed:
        _weigh_sums(arrays, tile.at, step, tile, shift, learned)


@part
def _write_rows(
    arrays: BackwardArrays, at: BackwardPlace, step: BackwardPlace, rows: int, even: bool,
    width: int, work: int, shift: float, stream: Stream,
) -> None:  # fmt: skip
    """Write rows a step apart; each has a scale of its own if `even`, a literal."""
    use_widest_vectors()
    for row in range(rows):
        factor = factor_at(arrays, at.scale + row * step.scale, shift) if even else 1.0
        target, t = room(stream, arrays.dx, at.dx + row * step.dx, 1, width, arrays.tag)
        for c in range(width):
            point = recall(work, POINT + c)
            dy, d, _ = _row_terms(arrays, at, step, row, c, point)
            g = dy * (recall(work, FACTOR + c) * factor)
            y = g - recall(work, MOVE + c) - recall(work, CURVE + c) * d
            store(target, t + c, y, arrays.tag)


@part
def _write_any_row(
    arrays: BackwardArrays, at: BackwardPlace, step: BackwardPlace, tile: Tile, formula: Any
) -> None:
    """Write one row, for any strides, mask and measure."""
    use_widest_vectors()
    shift, absolute = formula[SHIFT], is_sum_of_sizes(formula[MEASURE])
    work, span = tile.work, tile.width // tile.outer
    for c in range(tile.width):
        value = load(arrays.x, at.x + c * step.x, arrays.tag)
        factor = factor_at(arrays, at.scale + c % span * step.scale, shift)
        dy = load(arrays.dy, at.dy + c * step.dy, arrays.tag)
        y = dy * (factor * work[RSTD + c])
        d = value - work[POINT + c]
        if absolute:
            d = derivative_of_size(value)
        if counts(arrays.mask, at.mask + c * step.mask):
            y = y - work[MOVE + c] - work[CURVE + c] * d
        store(arrays.dx, at.dx + c * step.dx, y, arrays.tag)


@part
def write_tile(
    arrays: BackwardArrays, tile: Tile, nest: Any, num_kept: int, start: int, stop: int,
    formula: Any, stream: Stream,
) -> None:  # fmt: skip
    """Write dx of the rows `start` to `stop`: the last block first, as in the forward kernel."""
    use_widest_vectors()
    last = nest.shape[0] - 1
    step, width, work = strides(nest, last), tile.width, tile.work
    shift, absolute = formula[SHIFT], is_sum_of_sizes(formula[MEASURE])
    fixed = has_fixed_parameters(nest, num_kept)
    span = width // tile.outer
    for c in range(width):
        factor = factor_at(arrays, tile.at.scale + c % span * step.scale, shift) if fixed else 1.0
        work[FACTOR + c] = factor * work[RSTD + c]
    plain = step.x == 1 and step.dy == 1 and step.dx == 1 and not absolute
    plain = plain and arrays.mask is None
    inner, next_row = row_loop(nest, num_kept, last)
    for begin in range(start + (stop - start - 1) // BLOCK * BLOCK, start - 1, -BLOCK):
        row, end = begin, min(begin + BLOCK, stop)
        while row < end:
            at = moved(tile.at, offsets(nest, num_kept, last, row), 1)
            rows = min(inner - row % inner, end - row)
            if plain and fixed:
                _write_rows(arrays, at, next_row, rows, False, width, tile.address, shift, stream)
            elif plain and step.scale == 0:
                _write_rows(arrays, at, next_row, rows, True, width, tile.address, shift, stream)
            else:
                rows = 1
                _write_any_row(arrays, at, step, tile, formula)
            row += rows

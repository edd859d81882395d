"""Backward kernels for nests whose innermost loop is shared.

Work is numbered by *units*, each one chunk of one set: the first chunk of all sets, then the second
one. So sets that share their parameters pass by while those of one chunk are in cache.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from normscope.kernels.backward.input_gradient import (
    MEAN,
    ROWS,
    RSTD,
    InputGradient,
    find_input_gradients,
    input_gradient_of,
)
from normscope.kernels.backward.nest import moved, offsets, strides
from normscope.kernels.backward.runs import (
    FOUR,
    ParameterSums,
    add_along,
    add_four_sets,
    add_to_parameter,
    counted,
    even_sums,
    factor_at,
    store_dx,
    sums_of_item,
    weighted_sums,
)
from normscope.kernels.contract import (
    MEASURE,
    SHIFT,
    SIZE,
    SUM_COUNT,
    SUM_D,
    SUM_DY,
    SUM_DY_D,
    SUM_G,
    SUM_G_D,
    SUMS,
    BackwardArrays,
    BackwardPlace,
    Saved,
    SumArrays,
)
from normscope.kernels.machine.compiling import kernel, part
from normscope.kernels.machine.fetching import fetch, is_worth_fetching
from normscope.kernels.machine.instructions import take, use_widest_vectors
from normscope.kernels.machine.memory import load
from normscope.kernels.machine.streaming_stores import Stream, close, opened, pieces, room
from normscope.kernels.measures import is_sum_of_sizes
from normscope.kernels.nest import loops, run_at


class Sets(NamedTuple):
    """Neighbouring sets whose sums are taken.

    Attributes:
        first, number: the number of the first, and how many they are.
        together: whether they are four that share their parameters.
    """

    first: int
    number: int
    together: bool


@part
def _share_parameters(arrays: BackwardArrays, nest: Any, num_kept: int, size: int) -> Any:
    """Whether sets can be taken four at a time: all have the same parameters, one per element."""
    last = nest.shape[0] - 1
    step = strides(nest, last)
    same = arrays.mask is None and size > 0 and step.x == 1 and step.dy == 1
    same = same and step.scale == 1 and step.learned == 1
    for row in range(num_kept):
        around = strides(nest, row)
        same = same and around.scale == 0 and around.learned == 0
    return same


@part
def _add_run(
    arrays: BackwardArrays, at: BackwardPlace, step: BackwardPlace, n: int, formula: Any, work: Any,
    g: int, learned: ParameterSums,
) -> None:  # fmt: skip
    """Add a run to the sums of set `g`, and to those of its parameters if there are any."""
    mean, rstd, shift = work[MEAN, g], work[RSTD, g], formula[SHIFT]
    side_by_side = step.x == 1 and step.dy == 1
    if step.scale == 0:
        if side_by_side:
            a, b, c = even_sums(arrays, at, None, n, mean)
        else:
            a, b, c = even_sums(arrays, at, step, n, mean)
        work[SUM_DY, g] += a
        work[SUM_DY_D, g] += b
        if learned.size > 0 and step.learned == 0:
            add_to_parameter(learned, at.learned, a, b * rstd)
        factor = factor_at(arrays, at.scale, shift)
        a *= factor
        b *= factor
    elif side_by_side and step.scale == 1:
        a, b, c = weighted_sums(arrays, at, None, n, mean, shift)
    else:
        a, b, c = weighted_sums(arrays, at, step, n, mean, shift)
    count = float(n)
    if arrays.mask is not None:
        count, c = counted(arrays, at, step, n, mean)
    work[SUM_G, g] += a
    work[SUM_G_D, g] += b
    work[SUM_D, g] += c
    work[SUM_COUNT, g] += count
    if learned.size > 0 and step.learned != 0:
        if side_by_side and step.learned == 1:
            add_along(arrays, at, None, n, mean, rstd, learned)
        else:
            add_along(arrays, at, step, n, mean, rstd, learned)


@part
def _recall_set(saved: Saved, index: int, work: Any, g: int) -> None:
    """Note the statistics of a set."""
    work[MEAN, g] = saved.means[index]
    work[RSTD, g] = saved.rstds[index]


@part
def _take_sums(
    arrays: BackwardArrays, saved: Saved, sets: Sets, nest: Any, num_kept: int, start: int,
    stop: int, formula: Any, work: Any, learned: ParameterSums,
) -> None:  # fmt: skip
    """The sums of the elements `start` to `stop` of sets, and of their parameters.

    `work`: scratch memory, (rows, four), a column for each set: see `input_gradient`.
    """
    last = nest.shape[0] - 1
    inner, step = nest[last, SIZE], strides(nest, last)
    first = sets.first
    for g in range(sets.number):
        _recall_set(saved, offsets(nest, 0, num_kept, first + g).stats, work, g)
        for row in range(SUMS):
            work[row, g] = 0.0
    run, e = run_at(start, inner)
    position = start
    while position < stop:
        n = min(inner - e, stop - position)
        further = moved(offsets(nest, num_kept, last, run), step, e)
        if sets.together:
            four = (
                moved(offsets(nest, 0, num_kept, first), further, 1),
                moved(offsets(nest, 0, num_kept, first + 1), further, 1),
                moved(offsets(nest, 0, num_kept, first + 2), further, 1),
                moved(offsets(nest, 0, num_kept, first + 3), further, 1),
            )
            add_four_sets(arrays, four, n, formula[SHIFT], work, learned)
        else:
            for g in range(sets.number):
                at = moved(offsets(nest, 0, num_kept, first + g), further, 1)
                _add_run(arrays, at, step, n, formula, work, g, learned)
        position += n
        run += 1
        e = 0


@part
def _write_run(
    arrays: BackwardArrays,
    at: BackwardPlace,
    step: BackwardPlace,
    n: int,
    input_gradient: InputGradient,
    absolute: bool,
) -> None:
    """Write dx of one run."""
    plain = step.x == 1 and step.dy == 1 and step.dx == 1 and not absolute
    plain = plain and (arrays.mask is None or step.mask == 1)
    if plain and step.scale == 0:
        scale = load(arrays.scale, at.scale, arrays.parameter_tag)
        store_dx(arrays, at, None, n, input_gradient, scale, False)
    elif plain and step.scale == 1:
        store_dx(arrays, at, None, n, input_gradient, None, False)
    else:
        store_dx(arrays, at, step, n, input_gradient, None, absolute)


@part
def _into(arrays: BackwardArrays, at: BackwardPlace, target: int, t: int) -> Any:
    """Arrays and place with another dx."""
    return (
        BackwardArrays(
            arrays.x, arrays.dy, arrays.mask, target, arrays.scale, arrays.tag,
            arrays.parameter_tag,
        ),
        BackwardPlace(at.x, t, at.dy, at.mask, at.scale, at.learned, at.stats),
    )  # fmt: skip


@part
def _write_pieces(
    arrays: BackwardArrays, at: BackwardPlace, step: BackwardPlace, n: int,
    input_gradient: InputGradient, absolute: bool, stream: Stream,
) -> None:  # fmt: skip
    """Write dx of one run."""
    first, most = pieces(stream, arrays.dx, at.dx, step.dx, n, arrays.tag)
    e = 0
    while e < n:
        length = min(first if e == 0 else most, n - e)
        here = moved(at, step, e)
        target, t = room(stream, arrays.dx, here.dx, step.dx, length, arrays.tag)
        aimed, here = _into(arrays, here, target, t)
        _write_run(aimed, here, step, length, input_gradient, absolute)
        e += length


@part
def _write_part(
    arrays: BackwardArrays, at: BackwardPlace, nest: Any, num_kept: int, start: int, stop: int,
    input_gradient: InputGradient, absolute: bool, stream: Stream,
) -> None:  # fmt: skip
    """Write dx of the elements `start` to `stop` of a set that begins at `at`."""
    last = nest.shape[0] - 1
    inner, step = nest[last, SIZE], strides(nest, last)
    run, e = run_at(start, inner)
    position = start
    while position < stop:
        n = min(inner - e, stop - position)
        here = moved(moved(at, offsets(nest, num_kept, last, run), 1), step, e)
        _write_pieces(arrays, here, step, n, input_gradient, absolute, stream)
        position += n
        run += 1
        e = 0


@kernel
def gradient(
    counter: Any, items: int, per_item: int, nest: Any, num_kept: int, formula: Any,
    arrays: BackwardArrays, streams: bool, saved: Saved, found: SumArrays,
) -> None:  # fmt: skip
    """Dx and the sums of whole sets. An item is `per_item` sets.

    `found`: of sets (2, sets) for sum(dy) and sum(dy * (x - m)), or of size 0.
    """
    use_widest_vectors()
    size = loops(nest, num_kept, nest.shape[0])
    num_sets = loops(nest, 0, num_kept)
    totals, parameters = found
    share = _share_parameters(arrays, nest, num_kept, parameters.shape[2])
    most = FOUR if share else 1
    one_run = num_kept == nest.shape[0] - 1
    # side by side, four sets in one page of memory are no sequence that the processor sees
    fetches = share and one_run and is_worth_fetching(size, arrays.tag)
    at_once = one_run and not streams  # written with as little around as can be
    step, absolute = strides(nest, nest.shape[0] - 1), is_sum_of_sizes(formula[MEASURE])
    work = np.empty((ROWS, FOUR), np.float64)
    stream = opened(streams)
    while True:
        item = take(counter.ctypes.data)
        if item >= items:
            close(stream)
            return
        stop = min(item * per_item + per_item, num_sets)
        learned = sums_of_item(parameters, item)
        for first in range(item * per_item, stop, most):
            count = min(most, stop - first)
            sets = Sets(first, count, share and count == FOUR)
            _take_sums(arrays, saved, sets, nest, num_kept, 0, size, formula, work, learned)
            find_input_gradients(work.ctypes.data, FOUR, count, formula)
            for g in range(count):
                if fetches and first + FOUR + g < stop:
                    later = offsets(nest, 0, num_kept, first + FOUR + g)
                    fetch(arrays.x, later.x, size, arrays.tag)
                    fetch(arrays.dy, later.dy, size, arrays.tag)
                at, input_gradient = (
                    offsets(nest, 0, num_kept, first + g),
                    input_gradient_of(work, g, formula[SHIFT]),
                )
                if totals.shape[1] > 0:
                    totals[0, at.stats] = work[SUM_DY, g]
                    totals[1, at.stats] = work[SUM_DY_D, g]
                if at_once:
                    _write_run(arrays, at, step, size, input_gradient, absolute)
                else:
                    _write_part(
                        arrays, at, nest, num_kept, 0, size, input_gradient, absolute, stream
                    )


@kernel
def measure(
    counter: Any, items: int, per_item: int, chunk: int, nest: Any, num_kept: int, formula: Any,
    arrays: BackwardArrays, saved: Saved, found: SumArrays,
) -> None:  # fmt: skip
    """The sums of chunks. An item is `per_item` units; `found`: of sets (chunks, 6, sets).

    There may be (1, 2, parameters) for all items, to be filled, if an item is one chunk of all
    sets, whose parameters are the elements of that chunk.
    """
    use_widest_vectors()
    size = loops(nest, num_kept, nest.shape[0])
    num_sets = loops(nest, 0, num_kept)
    parts, parameters = found
    units = num_sets * parts.shape[0]
    one_for_all = parameters.shape[2] > 0 and parameters.shape[0] < items
    share = _share_parameters(arrays, nest, num_kept, parameters.shape[2])
    work = np.empty((ROWS, FOUR), np.float64)
    while True:
        item = take(counter.ctypes.data)
        if item >= items:
            return
        learned = sums_of_item(parameters, 0 if one_for_all else item)
        unit, end = item * per_item, min(item * per_item + per_item, units)
        while unit < end:
            part_number, first = run_at(unit, num_sets)
            start = part_number * chunk
            stop = min(start + chunk, size)
            if one_for_all and first == 0:
                parameters[0, :, start:stop] = 0.0
            count = min(FOUR, end - unit, num_sets - first) if share else 1
            sets = Sets(first, count, share and count == FOUR)
            _take_sums(arrays, saved, sets, nest, num_kept, start, stop, formula, work, learned)
            for g in range(count):
                index = offsets(nest, 0, num_kept, first + g).stats
                for row in range(SUMS):
                    parts[part_number, row, index] = work[row, g]
            unit += count


@kernel
def apply(
    counter: Any, items: int, chunk: int, nest: Any, num_kept: int, formula: Any,
    arrays: BackwardArrays, streams: bool, saved: Saved, totals: Any,
) -> None:  # fmt: skip
    """Dx, from the sums of all sets. An item is one unit; the last comes first, as it is cached."""
    use_widest_vectors()
    size = loops(nest, num_kept, nest.shape[0])
    num_sets = loops(nest, 0, num_kept)
    absolute = is_sum_of_sizes(formula[MEASURE])
    work = np.empty((ROWS, FOUR), np.float64)
    stream = opened(streams)
    while True:
        item = take(counter.ctypes.data)
        if item >= items:
            close(stream)
            return
        part_number, number = run_at(items - 1 - item, num_sets)
        start = part_number * chunk
        stop = min(start + chunk, size)
        at = offsets(nest, 0, num_kept, number)
        _recall_set(saved, at.stats, work, 0)
        for row in range(SUMS):
            work[row, 0] = totals[row, at.stats]
        find_input_gradients(work.ctypes.data, FOUR, 1, formula)
        input_gradient = input_gradient_of(work, 0, formula[SHIFT])
        _write_part(arrays, at, nest, num_kept, start, stop, input_gradient, absolute, stream)

"""Backward kernels for nests whose innermost loop is shared.

In the nest dx takes the place of the output, dy that of the residual; the strides of bias are those
of the sums for the gradients of scale and bias.

Work is numbered by *units*, each one chunk of one set: the first chunk of all sets, then the second
one. So sets that share their parameters pass by while those of one chunk are in cache.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from normscope.kernels.flags import kernel, part
from normscope.kernels.formula import L1, MEASURE, SHIFT
from normscope.kernels.gradient_runs import (
    FOUR,
    add_along,
    add_four_sets,
    add_to,
    counted,
    even_sums,
    slope,
    weighted_sums,
)
from normscope.kernels.memory import load, take, use_widest_vectors
from normscope.kernels.nest import BIAS, MASK, OUT, RESIDUAL, SCALE, SIZE, X, loops, offsets, place
from normscope.kernels.slope import (
    ALONG,
    COUNT,
    CURVE,
    MEAN,
    MOVE,
    PLAIN,
    POINT,
    ROWS,
    RSTD,
    SUMS,
    A,
    B,
    C,
    find_slopes,
)
from normscope.kernels.stream import PIECE, close, opened, room


@part
def _share_parameters(nest: Any, kept: int, mask: Any, size: int) -> Any:
    """Whether sets can be taken four at a time: all have the same parameters, one per element."""
    last = nest.shape[0] - 1
    same = mask is None and size > 0 and nest[last, X] == 1 and nest[last, RESIDUAL] == 1
    same = same and nest[last, SCALE] == 1 and nest[last, BIAS] == 1
    for row in range(kept):
        same = same and nest[row, SCALE] == 0 and nest[row, BIAS] == 0
    return same


@part
def _add_run(
    x: int, i: int, xs: int, dy: int, j: int, js: int, mask: Any, m: int, ms: int,
    scale: int, s: int, ss: int, plus: float, n: int, mean: float, rstd: float, work: Any, g: int,
    learned: int, size: int, p: int, ps: int, tag: Any, ptag: Any,
) -> None:  # fmt: skip
    """Add a run to the sums of set `g`, and to those of its parameters if there are any."""
    unit_strides = xs == 1 and js == 1
    if ss == 0:
        if unit_strides:
            a, b, c = even_sums(x, i, 1, dy, j, 1, n, mean, tag)
        else:
            a, b, c = even_sums(x, i, xs, dy, j, js, n, mean, tag)
        work[PLAIN, g] += a
        work[ALONG, g] += b
        if size > 0 and ps == 0:
            add_to(learned, p, a)
            add_to(learned, size + p, b * rstd)
        factor = load(scale, s, ptag) + plus
        a *= factor
        b *= factor
    elif unit_strides and ss == 1:
        a, b, c = weighted_sums(x, i, 1, dy, j, 1, scale, s, 1, plus, n, mean, tag, ptag)
    else:
        a, b, c = weighted_sums(x, i, xs, dy, j, js, scale, s, ss, plus, n, mean, tag, ptag)
    count = float(n)
    if mask is not None:
        count, c = counted(x, i, xs, mask, m, ms, n, mean, tag)
    work[A, g] += a
    work[B, g] += b
    work[C, g] += c
    work[COUNT, g] += count
    if size > 0 and ps != 0:
        if unit_strides and ps == 1:
            add_along(x, i, 1, dy, j, 1, n, mean, rstd, learned, size, p, 1, tag)
        else:
            add_along(x, i, xs, dy, j, js, n, mean, rstd, learned, size, p, ps, tag)


@part
def _sums(
    x: int, dy: int, mask: Any, scale: int, nest: Any, kept: int, first: int, count: int,
    start: int, stop: int, means: Any, rstds: Any, places: Any, work: Any,
    learned: int, size: int, together: bool, plus: float, tag: Any, ptag: Any,
) -> None:  # fmt: skip
    """The sums of the elements `start` to `stop` of the `count` sets from `first` on.

    `work`: scratch memory, (rows, four); `places`: where the run of each set begins.
    """
    last = nest.shape[0] - 1
    inner = nest[last, SIZE]
    xs, js, ms = nest[last, X], nest[last, RESIDUAL], nest[last, MASK]
    ss, ps = nest[last, SCALE], nest[last, BIAS]
    for g in range(count):
        _, _, _, _, _, _, index = offsets(nest, 0, kept, first + g)
        work[MEAN, g] = means[index]
        work[RSTD, g] = rstds[index]
        for row in range(SUMS):
            work[row, g] = 0.0
    run, e = place(start, inner)
    position = start
    while position < stop:
        n = min(inner - e, stop - position)
        xo, _, jo, mo, so, po, _ = offsets(nest, kept, last, run)
        for g in range(count):
            xk, _, jk, mk, sk, pk, _ = offsets(nest, 0, kept, first + g)
            places[0, g] = xk + xo + e * xs
            places[1, g] = jk + jo + e * js
            if not together:
                _add_run(
                    x, places[0, g], xs, dy, places[1, g], js, mask, mk + mo + e * ms, ms,
                    scale, sk + so + e * ss, ss, plus, n, work[MEAN, g], work[RSTD, g], work, g,
                    learned, size, pk + po + e * ps, ps, tag, ptag,
                )  # fmt: skip
        if together:
            add_four_sets(
                x, places[0], dy, places[1], scale, so + e, plus, n, work,
                learned, size, po + e, tag, ptag,
            )  # fmt: skip
        position += n
        run += 1
        e = 0


@part
def _write_run(
    x: int, i: int, dy: int, j: int, mask: Any, m: int, dx: int, o: int, scale: int, s: int,
    nest: Any, n: int, work: Any, g: int, formula: Any, tag: Any, ptag: Any,
) -> None:  # fmt: skip
    """Write dx of one run of set `g`."""
    last = nest.shape[0] - 1
    xs, js, ms, ss = nest[last, X], nest[last, RESIDUAL], nest[last, MASK], nest[last, SCALE]
    os, plus = nest[last, OUT], formula[SHIFT]
    rstd, move, curve, point = work[RSTD, g], work[MOVE, g], work[CURVE, g], work[POINT, g]
    absolute = formula[MEASURE] == L1
    plain = xs == 1 and js == 1 and os == 1 and not absolute
    if plain and ss == 0:
        slope(
            x, i, 1, dy, j, 1, mask, m, ms, dx, o, 1, scale, s, 0, plus, n,
            rstd, move, curve, point, False, tag, ptag,
        )  # fmt: skip
    elif plain and ss == 1:
        slope(
            x, i, 1, dy, j, 1, mask, m, ms, dx, o, 1, scale, s, 1, plus, n,
            rstd, move, curve, point, False, tag, ptag,
        )  # fmt: skip
    else:
        slope(
            x, i, xs, dy, j, js, mask, m, ms, dx, o, os, scale, s, ss, plus, n,
            rstd, move, curve, point, absolute, tag, ptag,
        )  # fmt: skip


@part
def _apply(
    x: int, xk: int, dy: int, jk: int, mask: Any, mk: int, dx: int, ok: int, scale: int, sk: int,
    nest: Any, kept: int, start: int, stop: int, work: Any, g: int, formula: Any,
    streams: bool, stream: Any, tag: Any, ptag: Any,
) -> None:  # fmt: skip
    """Write dx of the elements `start` to `stop` of set `g`: in pieces, if it is streamed."""
    last = nest.shape[0] - 1
    inner = nest[last, SIZE]
    streams = streams and nest[last, OUT] == 1
    most = PIECE if streams else inner
    run, e = place(start, inner)
    position = start
    while position < stop:
        n = min(most, inner - e, stop - position)
        xo, oo, jo, mo, so, _, _ = offsets(nest, kept, last, run)
        target, t = room(stream, dx, ok + oo + e * nest[last, OUT], n, streams, tag)
        _write_run(
            x, xk + xo + e * nest[last, X], dy, jk + jo + e * nest[last, RESIDUAL],
            mask, mk + mo + e * nest[last, MASK], target, t,
            scale, sk + so + e * nest[last, SCALE], nest, n, work, g, formula, tag, ptag,
        )  # fmt: skip
        position += n
        e += n
        if e == inner:
            run += 1
            e = 0


@kernel
def gradient(
    counter: Any, items: int, per_item: int, nest: Any, kept: int, formula: Any,
    x: int, dy: int, mask: Any, dx: int, streams: bool, scale: int, means: Any, rstds: Any,
    totals: Any, learned: Any, tag: Any, ptag: Any,
) -> None:  # fmt: skip
    """Dx and the sums of whole sets. An item is `per_item` sets.

    `totals`: (2, sets) for sum(dy) and sum(dy * (x - m)); or of size 0.
    `learned`: (items, 2, parameters), the sums of those, for each item; of no parameters: none.
    """
    use_widest_vectors()
    size = loops(nest, kept, nest.shape[0])
    num_sets = loops(nest, 0, kept)
    parameters = learned.shape[2]
    share = _share_parameters(nest, kept, mask, parameters)
    most = FOUR if share else 1
    one_run = kept == nest.shape[0] - 1 and not streams  # written with as little around as can be
    places = np.empty((2, FOUR), np.int64)
    work = np.empty((ROWS, FOUR), np.float64)
    stream = opened()
    while True:
        item = take(counter.ctypes.data)
        if item >= items:
            close(stream, streams)
            return
        stop = min(item * per_item + per_item, num_sets)
        own = learned[item].ctypes.data if parameters > 0 else 0
        for first in range(item * per_item, stop, most):
            count = min(most, stop - first)
            _sums(
                x, dy, mask, scale, nest, kept, first, count, 0, size, means, rstds, places,
                work, own, parameters, share and count == FOUR, formula[SHIFT], tag, ptag,
            )  # fmt: skip
            find_slopes(work.ctypes.data, FOUR, count, formula)
            for g in range(count):
                xk, ok, jk, mk, sk, _, index = offsets(nest, 0, kept, first + g)
                if totals.shape[1] > 0:
                    totals[0, index] = work[PLAIN, g]
                    totals[1, index] = work[ALONG, g]
                if one_run:
                    _write_run(
                        x, xk, dy, jk, mask, mk, dx, ok, scale, sk, nest, size, work, g,
                        formula, tag, ptag,
                    )  # fmt: skip
                else:
                    _apply(
                        x, xk, dy, jk, mask, mk, dx, ok, scale, sk, nest, kept, 0, size, work, g,
                        formula, streams, stream, tag, ptag,
                    )  # fmt: skip


@kernel
def measure(
    counter: Any, items: int, per_item: int, chunk: int, nest: Any, kept: int, formula: Any,
    x: int, dy: int, mask: Any, scale: int, means: Any, rstds: Any, parts: Any, learned: Any,
    tag: Any, ptag: Any,
) -> None:  # fmt: skip
    """The sums of chunks. An item is `per_item` units; `parts`: (chunks, 6, sets).

    `learned`: (items, 2, parameters), the sums of those, for each item; of no parameters: none. Or
    (1, 2, parameters) to be filled, if an item is one chunk of all sets, whose parameters are the
    elements of that chunk.
    """
    use_widest_vectors()
    size = loops(nest, kept, nest.shape[0])
    num_sets = loops(nest, 0, kept)
    units = num_sets * parts.shape[0]
    parameters = learned.shape[2]
    shared = parameters > 0 and learned.shape[0] < items
    share = _share_parameters(nest, kept, mask, parameters)
    places = np.empty((2, FOUR), np.int64)
    work = np.empty((ROWS, FOUR), np.float64)
    while True:
        item = take(counter.ctypes.data)
        if item >= items:
            return
        own = 0
        if parameters > 0:
            own = learned[0 if shared else item].ctypes.data
        unit, end = item * per_item, min(item * per_item + per_item, units)
        while unit < end:
            part_number, first = place(unit, num_sets)
            start = part_number * chunk
            if shared and first == 0:
                for row in range(2):
                    learned[0, row, start : start + chunk] = 0.0
            count = min(FOUR, end - unit, num_sets - first) if share else 1
            _sums(
                x, dy, mask, scale, nest, kept, first, count, start, min(start + chunk, size),
                means, rstds, places, work, own, parameters, share and count == FOUR,
                formula[SHIFT], tag, ptag,
            )  # fmt: skip
            for g in range(count):
                _, _, _, _, _, _, index = offsets(nest, 0, kept, first + g)
                for row in range(SUMS):
                    parts[part_number, row, index] = work[row, g]
            unit += count


@kernel
def apply(
    counter: Any, items: int, chunk: int, nest: Any, kept: int, formula: Any,
    x: int, dy: int, mask: Any, dx: int, streams: bool, scale: int, means: Any, rstds: Any,
    totals: Any, tag: Any, ptag: Any,
) -> None:  # fmt: skip
    """Dx, from the sums of all sets. An item is one unit; the last comes first, as it is cached."""
    use_widest_vectors()
    size = loops(nest, kept, nest.shape[0])
    num_sets = loops(nest, 0, kept)
    work = np.empty((ROWS, FOUR), np.float64)
    stream = opened()
    while True:
        item = take(counter.ctypes.data)
        if item >= items:
            close(stream, streams)
            return
        part_number, number = place(items - 1 - item, num_sets)
        start = part_number * chunk
        xk, ok, jk, mk, sk, _, index = offsets(nest, 0, kept, number)
        for row in range(SUMS):
            work[row, 0] = totals[row, index]
        work[MEAN, 0] = means[index]
        work[RSTD, 0] = rstds[index]
        find_slopes(work.ctypes.data, FOUR, 1, formula)
        _apply(
            x, xk, dy, jk, mask, mk, dx, ok, scale, sk, nest, kept, start,
            min(start + chunk, size), work, 0, formula, streams, stream, tag, ptag,
        )  # fmt: skip

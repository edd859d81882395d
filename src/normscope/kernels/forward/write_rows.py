"""Write the output of statistics sets that are a few long runs of memory."""

from __future__ import annotations

from typing import Any

from normscope.kernels.contract import SIZE, Arrays, Place
from normscope.kernels.forward.nest import moved, offsets, strides
from normscope.kernels.forward.partial_statistics import Scaling
from normscope.kernels.forward.runs import activated, are_neighbours, into, scaled, scaled_along
from normscope.kernels.machine.compiling import part
from normscope.kernels.machine.double_double import times
from normscope.kernels.machine.instructions import use_widest_vectors
from normscope.kernels.machine.memory import is_float64, load, store
from normscope.kernels.machine.streaming_stores import Stream, pieces, room
from normscope.kernels.nest import run_at


@part
def write_run(arrays: Arrays, at: Place, step: Place, n: int, scaling: Scaling) -> None:
    """Write the output of one run."""
    side_by_side = are_neighbours(arrays, step) and step.out == 1
    if step.scale == 0 and step.bias == 0:
        scale = load(arrays.scale, at.scale, arrays.parameter_tag)
        bias = load(arrays.bias, at.bias, arrays.parameter_tag)
        scaling = _times(scaling, scale, arrays.tag)
        if side_by_side:
            scaled(arrays, at, None, n, scaling, bias)
        else:
            scaled(arrays, at, step, n, scaling, bias)
    elif side_by_side and step.scale == 1 and step.bias == 1:
        scaled_along(arrays, at, None, n, scaling, None)
    elif side_by_side and step.scale == 1 and step.bias == 0:
        bias = load(arrays.bias, at.bias, arrays.parameter_tag)
        scaled_along(arrays, at, None, n, scaling, bias)
    else:
        scaled_along(arrays, at, step, n, scaling, None)


@part
def _times(scaling: Scaling, scale: float, tag: Any) -> Scaling:
    """Multiply the factor."""
    factor, rest = scaling.factor * scale, 0.0
    if is_float64(tag):
        factor, rest = times(scaling.factor, scaling.factor_rest, scale, 0.0)
    return Scaling(scaling.unit, scaling.centre, scaling.centre_rest, factor, rest)


@part
def write_pieces(
    arrays: Arrays, at: Place, step: Place, n: int, scaling: Scaling, stream: Stream
) -> None:
    """Write the output of one run."""
    first, most = pieces(stream, arrays.out, at.out, step.out, n, arrays.tag)
    e = 0
    while e < n:
        length = min(first if e == 0 else most, n - e)
        here = moved(at, step, e)
        target, t = room(stream, arrays.out, here.out, step.out, length, arrays.tag)
        aimed, here = into(arrays, here, target, t)
        write_run(aimed, here, step, length, scaling)
        e += length


@part
def _fill(arrays: Arrays, at: Place, nest: Any, num_kept: int, start: int, stop: int) -> None:
    """Write the bias: the output of a set of which no element counts."""
    use_widest_vectors()
    for position in range(start, stop):
        further = offsets(nest, num_kept, nest.shape[0], position)
        bias = load(arrays.bias, at.bias + further.bias, arrays.parameter_tag)
        store(arrays.out, at.out + further.out, activated(bias, arrays.slope), arrays.tag)


@part
def write_part(
    arrays: Arrays, at: Place, nest: Any, num_kept: int, start: int, stop: int,
    count: float, scaling: Scaling, stream: Stream,
) -> None:  # fmt: skip
    """Write the output of the elements `start` to `stop` of a set that begins at `at`."""
    if count == 0.0:
        _fill(arrays, at, nest, num_kept, start, stop)
        return
    last = nest.shape[0] - 1
    inner = nest[last, SIZE]
    step = strides(nest, last)
    run, e = run_at(start, inner)
    position = start
    while position < stop:
        length = min(inner - e, stop - position)
        here = moved(moved(at, offsets(nest, num_kept, last, run), 1), step, e)
        write_pieces(arrays, here, step, length, scaling, stream)
        position += length
        run += 1
        e = 0

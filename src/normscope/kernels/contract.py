"""What kernels are given: the arrays of one call, as addresses, and where in them they stand.

Nothing here needs Numba, which compiles these tuples to plain registers.
"""

from __future__ import annotations

from typing import Any, NamedTuple


class Arrays(NamedTuple):
    """The arrays of a forward call; what calls a kernel keeps them alive.

    Attributes:
        x: the input.
        out: the output.
        residual: what is added to x first, or None.
        mask: one byte for each element, or None.
        scale, bias: the parameters; a neutral one is a single number.
        slope: of the LeakyReLU after the normalization, or None.
        tag, parameter_tag: say by their types how elements are stored: see
            `normscope.kernels.machine.memory`.
    """

    x: int
    out: int
    residual: int | None
    mask: int | None
    scale: int
    bias: int
    slope: float | None
    tag: Any
    parameter_tag: Any


class BackwardArrays(NamedTuple):
    """The arrays of a backward call.

    Attributes:
        x: the input of the normalization.
        dy: the gradient with respect to its output.
        mask: one byte for each element, or None.
        dx: the gradient with respect to x, to be written.
        scale: what dy is multiplied by, less the shift of the formula.
        tag, parameter_tag: as in `Arrays`.
    """

    x: int
    dy: int
    mask: int | None
    dx: int
    scale: int
    tag: Any
    parameter_tag: Any


class Saved(NamedTuple):
    """Arrays of what the forward call told of each statistics set."""

    means: Any
    rstds: Any


class SumArrays(NamedTuple):
    """Arrays in which a backward kernel leaves sums.

    Attributes:
        sets: sums of each statistics set, or of chunks of it.
        parameters: (items, 2, parameters), sums for the gradients of bias and scale, which are
            taken along. Each item has its own; of no parameters there are none.
    """

    sets: Any
    parameters: Any


class ParameterArrays(NamedTuple):
    """The arrays of a call that takes the sums of parameters, and nothing else.

    Attributes:
        x, dy: as in `BackwardArrays`.
        means, rstds: the statistics, float64, laid out as the loop nest says.
        tag: as in `Arrays`.
    """

    x: int
    dy: int
    means: int
    rstds: int
    tag: Any


class Place(NamedTuple):
    """For each array a number of elements: how far into it, or from one element to the next.

    `stats` counts statistics sets. In the backward pass dx takes the place of the output, dy that
    of the residual, and the sums for the gradients of scale and bias that of the bias.
    """

    x: int
    out: int
    residual: int
    mask: int
    scale: int
    bias: int
    stats: int


CHUNK = 65536
"""Elements of a set, lying in rows, whose sums are taken together."""

LINE = 64
"""Bytes of a cache line."""

WIDEST = 872
"""No tile has more columns; it is the distance of the rows of its scratch memory.

An odd number of cache lines: rows whole pages apart would compete for the same places in a cache.
"""


class Tiling(NamedTuple):
    """How columns are cut up: see `normscope.engine.plan.Plan`.

    Attributes:
        tile: the most columns that are taken at a time.
        chunk: rows that are summed together.
        outer, inner: how many columns of a set lie apart, and side by side.
    """

    tile: int
    chunk: int
    outer: int
    inner: int

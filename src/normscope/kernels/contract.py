"""The border between the engine and the kernels: what is handed over, and where in it things stand.

Both sides read it here: how measures are numbered, where the numbers of the formula stand, what the
rows of statistics and of sums are, in which order a loop nest has its arrays, and how the arrays of
a call are passed. Nothing here needs Numba, which compiles these tuples to plain registers and the
predicates of measures to comparisons (`normscope.kernels.measures`).
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

# --- measures -------------------------------------------------------------------------------------

VARIANCE, MEAN_SQUARE, L2, L1, MAX = range(5)
"""The number of each measure that divides. Those of squares come first."""

MEASURES = {
    "variance": VARIANCE,
    "mean_square": MEAN_SQUARE,
    "l2": L2,
    "l1": L1,
    "max": MAX,
}
"""The number of each measure by its name.

The measure `none` has no number: the variance is measured then, and not used.
"""


def is_around_mean(measure: float) -> bool:
    """Whether deviations from the mean are measured, rather than the elements themselves."""
    return measure == VARIANCE


def is_square(measure: float) -> bool:
    """Whether squares are summed."""
    return measure <= L2


def is_sum_of_squares(measure: float) -> bool:
    """Whether v is the sum of the squares, rather than their mean."""
    return measure == L2


def takes_ddof(measure: float) -> bool:
    """Whether the mean may be taken over n - ddof."""
    return measure <= MEAN_SQUARE


def is_sum_of_sizes(measure: float) -> bool:
    """Whether absolute values are summed."""
    return measure == L1


def is_largest(measure: float) -> bool:
    """Whether the largest absolute value is taken, which has no gradient."""
    return measure == MAX


# --- the formula ----------------------------------------------------------------------------------


class Formula(NamedTuple):
    """The numbers of the formula; kernels are given them as one array of float64, in this order.

    Attributes:
        measure: the number of the measure.
        center: whether the mean is subtracted.
        ddof, eps, eps_outside, floor: those of the spec.
        shift: what is added to the scale.
        is_float64: whether the input is of float64, whose range can be exceeded.
        unit_up_to: the largest divisor that becomes 1. It is negative where none does, 0 where only
            0 does, and infinite where nothing is divided: every divisor is 1 then, whatever was
            measured.
    """

    measure: float
    center: float
    ddof: float
    eps: float
    eps_outside: float
    floor: float
    shift: float
    is_float64: float
    unit_up_to: float


MEASURE, CENTER, DDOF, EPS, EPS_OUTSIDE, FLOOR, SHIFT, IS_FLOAT64, UNIT_UP_TO = range(9)
"""Places in the array of a `Formula`."""

# --- rows of what is known of statistics sets -----------------------------------------------------

PARTIAL_COUNT, PARTIAL_MEAN, PARTIAL_ROOT, PARTIAL_MEAN_REST, PARTIAL_ROOT_REST = range(5)
"""Rows of partial statistics: see `normscope.kernels.forward.partial_statistics`.

A rest is what float64 cannot hold of a number.
"""
PARTIAL_ROWS, PARTIAL_ROWS_WITH_RESTS = 3, 5
"""How many rows of partial statistics there are; rests only for float64 input."""

COUNT, MEAN, VAR, DIVISOR, MEAN_REST, DIVISOR_REST = range(6)
"""Rows of statistics: count, mean, v and D of each set, in layout order."""
ROWS, ROWS_WITH_RESTS = 4, 6
"""How many rows of statistics there are; rests only if float64 input is measured, then written."""

SUM_G, SUM_G_D, SUM_D, SUM_COUNT, SUM_DY, SUM_DY_D = range(6)
"""Rows of the sums of a set in the backward pass, with g = dy * (scale + shift) and d = x - mean.

sum(g), sum(g * d), sum(d) and the number of elements that count, sum(dy), sum(dy * d).
"""
SUMS = 6
"""How many rows of sums there are; the last two, from `SUM_DY` on, are for parameters."""

# --- the loop nest --------------------------------------------------------------------------------

SIZE = 0
"""Place of the length of a loop in its row of the nest; the stride of each array follows.

    nest[i] = (size, *place)

A place says of each array how many elements to go along this loop, 0 where it does not vary. Loops
over kept axes come first, then those over shared axes; the last row is the innermost loop.
"""


class Place(NamedTuple):
    """The order of arrays in the nest of a forward call.

    For each a number of elements: how far into it, or from one element to the next. `stats` counts
    statistics sets.
    """

    x: int
    out: int
    residual: int
    mask: int
    scale: int
    bias: int
    stats: int


class BackwardPlace(NamedTuple):
    """The order of arrays in the nest of a backward call: see `Place`.

    `learned` is where the sums for the gradients of scale and bias stand.
    """

    x: int
    dx: int
    dy: int
    mask: int
    scale: int
    learned: int
    stats: int


class ParameterPlace(NamedTuple):
    """The order of arrays in the nest of a call that sums for the gradients of parameters alone.

    Nothing is written along it and no mask is read. The nest keeps the axes of the parameter:
    `learned` counts parameters as `Place.stats` counts sets; `mean` and `rstd` are the statistics.
    """

    x: int
    unwritten: int
    dy: int
    unmasked: int
    mean: int
    rstd: int
    learned: int


INPUT, WRITTEN = 0, 1
"""What is read and what is written: their places in every order."""
FULL_SIZE = range(4)
"""The places of arrays of the full size."""
PARAMETERS = range(4, 6)
"""The places of arrays that can be written out to suit those of the full size."""
SETS = 6
"""The place of what is counted: the statistics sets, or whatever else the kept axes tell apart."""
ARRAYS = 7

# --- the arrays of a call -------------------------------------------------------------------------

TAGS = {
    "float64": np.float64(0),
    "float32": np.float32(0),
    "float16": np.uint16(0),
    "bfloat16": np.int16(0),
}
"""The tag of each dtype, by its name: a number whose type says how elements are stored.

Its value is never used: see `normscope.kernels.machine.memory`.
"""


class Arrays(NamedTuple):
    """The arrays of a forward call, as addresses; what calls a kernel keeps them alive.

    Attributes:
        x: the input.
        out: the output.
        residual: what is added to x first, or None.
        mask: one byte for each element, or None.
        scale, bias: the parameters; a neutral one is a single number.
        slope: of the LeakyReLU after the normalization, or None.
        tag, parameter_tag: of the elements of x, and of those of scale and bias: see `TAGS`.
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
    """The arrays of a backward call, as addresses.

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


# --- how work is cut ------------------------------------------------------------------------------

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

"""The border between the engine and the kernels: what is handed over, and where in it things stand.

This is its Python side, and `source/contract.h` the C side of it; a test holds them equal. It says
how dtypes and measures are numbered, where the numbers of the formula stand, what the rows of
statistics and of sums are, and in which order a loop nest has its arrays. The structures that a
kernel is called with are in `normscope.kernels.calls`: they need ctypes, and nothing here does.
"""

from __future__ import annotations

from typing import NamedTuple

# --- dtypes ---------------------------------------------------------------------------------------

FLOAT64, FLOAT32, FLOAT16, BFLOAT16 = range(4)
"""The number of each dtype."""

DTYPES = {"float64": FLOAT64, "float32": FLOAT32, "float16": FLOAT16, "bfloat16": BFLOAT16}
"""The number of each dtype by its name."""

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
"""Rows of partial statistics: see `source/statistics.h`.

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
NUM_SUMS = 6
"""How many rows of sums there are; the last two, from `SUM_DY` on, are for parameters."""

# --- the loop nest --------------------------------------------------------------------------------

X, OUT, RESIDUAL, MASK, SCALE, BIAS, SET = range(7)
"""The order of arrays in a place of a loop nest, for a forward call.

A loop is its length and a place, which says of each array how many elements to go along the loop, 0
where it does not vary. Loops over kept axes come first, then those over shared axes; the last one
is the innermost. `SET` counts the statistics sets, or whatever else the kept axes tell apart.
"""
DX, DY, LEARNED = 1, 2, 5
"""What stands elsewhere for a backward call.

`LEARNED` is where the sums for the gradients of scale and bias stand.
"""
MEANS, RSTDS = 4, 5
"""What stands elsewhere for a call that sums for the gradients of parameters alone.

Nothing is written along it and no mask is read. The nest keeps the axes of the parameter: `SET`
counts parameters; the statistics lie along the nest.
"""

FULL_SIZE = range(4)
"""The places of arrays of the full size."""
PARAMETERS = range(4, 6)
"""The places of arrays that can be written out to suit those of the full size."""
ARRAYS = 7

# --- how work is cut ------------------------------------------------------------------------------

CHUNK = 65536
"""Elements of a set, lying in rows, whose sums are taken together."""

LINE = 64
"""Bytes of a cache line."""

WIDEST = 872
"""No tile has more columns; it is the distance of the rows of its scratch memory.

An odd number of cache lines: rows whole pages apart would compete for the same places in a cache.
"""

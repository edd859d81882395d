"""The derivative of a normalization, from the sums of one statistics set.

With g = dy * (scale + shift), y = (x - m) / D * (scale + shift) + bias and the sums

    A = sum(g)    B = sum(g * (x - m))    C = sum of (x - m) over the n elements that count

(the rows `SUM_G`, `SUM_G_D`, `SUM_D` and `SUM_COUNT` of `normscope.kernels.contract`)

the gradient of an element that counts is

    dx = g / D - A / (n D) - k * (x - p)            k = B / (D**2 * w * (n - ddof))

where w = sqrt(v + eps), p is the mean for the variance and 0 for other measures. The second term is
there if the mean is subtracted, the third unless the divisor is a constant: the floor, or the 1 of
a guard (see `find_input_gradients`). For L2, k lacks the n - ddof, and for L1 the third term is
B * sum(|x|) / (D**2 * w) * sign(x). An element that the mask leaves out has only the first term.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

from normscope.kernels.contract import (
    CENTER,
    DDOF,
    EPS,
    EPS_OUTSIDE,
    FLOOR,
    MEASURE,
    SUM_COUNT,
    SUM_D,
    SUM_G,
    SUM_G_D,
    SUMS,
    UNIT_UP_TO,
)
from normscope.kernels.machine.compiling import part
from normscope.kernels.machine.instructions import use_widest_vectors
from normscope.kernels.machine.memory import keep, recall
from normscope.kernels.measures import is_around_mean, is_sum_of_sizes, takes_ddof

MEAN, RSTD, MOVE, CURVE, POINT = range(SUMS, SUMS + 5)
"""Rows of scratch memory after those of sums: what is given, and what dx needs beside rstd."""
ROWS = SUMS + 5


class InputGradient(NamedTuple):
    """What dx of a statistics set needs.

    dx = dy * (scale * rstd + added) - move - curve * (x - point)
    """

    rstd: float
    added: float
    move: float
    curve: float
    point: float


@part
def input_gradient_of(work: Any, g: int, shift: float) -> InputGradient:
    """What dx needs of the set in column `g` of scratch memory."""
    rstd = work[RSTD, g]
    return InputGradient(rstd, shift * rstd, work[MOVE, g], work[CURVE, g], work[POINT, g])


@part
def find_input_gradients(work: int, step: int, sets: int, formula: Any) -> None:
    """Find what dx of each set needs.

    `work`: scratch memory whose rows begin `step` places apart, with one place for each set. The
    loop is free of branches, so that the divisions of several sets are one instruction.

    Where divisors up to some size become 1, an rstd of exactly 1 is such a constant: the caller has
    moved that of a set whose divisor is 1 by itself (`normscope.engine.guard`). With a guard
    against 0 alone nothing is to be done, for there B is 0.
    """
    use_widest_vectors()
    measure = formula[MEASURE]
    center, outside, floor, ddof = (
        formula[CENTER], formula[EPS_OUTSIDE], formula[FLOOR], formula[DDOF],
    )  # fmt: skip
    around_mean, unbiased = is_around_mean(measure), takes_ddof(measure)
    constant = 1.0 / floor  # what rstd is where the floor is the divisor, rounded as it was there
    one = 1.0 if formula[UNIT_UP_TO] > 0.0 else np.nan
    for c in range(sets):
        n, rstd = recall(work, SUM_COUNT * step + c), recall(work, RSTD * step + c)
        share = 1.0 / n
        move = recall(work, SUM_G * step + c) * rstd * share
        point = recall(work, MEAN * step + c) + recall(work, SUM_D * step + c) * share
        d = 1.0 / rstd
        w = d - outside
        free = n - ddof
        free = free if free > 0.0 else 0.0
        free = free if unbiased else 1.0
        k = recall(work, SUM_G_D * step + c) * rstd * rstd / (w * free)
        some = n > 0.0
        moves = (rstd < constant) & (rstd != one)
        keep(work, MOVE * step + c, move if some and center != 0.0 else 0.0)
        keep(work, CURVE * step + c, k if some and moves and w > 0.0 else 0.0)
        keep(work, POINT * step + c, point if some and around_mean else 0.0)
    if is_sum_of_sizes(measure):
        for c in range(sets):
            w = 1.0 / recall(work, RSTD * step + c) - outside
            size = math.sqrt(max(w * w - formula[EPS], 0.0))
            keep(work, CURVE * step + c, recall(work, CURVE * step + c) * size)

"""The derivative of a normalization, from the sums of one statistics set.

With g = dy * (scale + shift), y = (x - m) / D * (scale + shift) + bias and the sums

    A = sum(g)    B = sum(g * (x - m))    C = sum of (x - m) over the n elements that count

the gradient of an element that counts is

    dx = g / D - A / (n D) - k * (x - p)            k = B / (D**2 * w * (n - ddof))

where w = sqrt(v + eps), p is the mean for the variance and 0 for other measures. The second term is
there if the mean is subtracted, the third unless the divisor is a constant: the floor, or the 1 of
a guard (see `find_slopes`). For L2, k lacks the n - ddof, and for L1 the third term is
B * sum(|x|) / (D**2 * w) * sign(x). An element that the mask leaves out has only the first term.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

from normscope.kernels.formula import (
    CENTER,
    DDOF,
    EPS,
    EPS_OUTSIDE,
    FLOOR,
    L1,
    L2,
    MEASURE,
    UNIT_UP_TO,
    VARIANCE,
)
from normscope.kernels.machine.compiling import part
from normscope.kernels.machine.instructions import use_widest_vectors
from normscope.kernels.machine.memory import keep, recall

A, B, C, COUNT, PLAIN, ALONG = range(6)
"""Rows of an array of sums; the last two are A and B without the factor scale + shift."""
SUMS = 6

MEAN, RSTD, MOVE, CURVE, POINT = range(6, 11)
"""Further rows of scratch memory: what is given, and what dx needs beside rstd: see `Slope`."""
ROWS = 11


class Slope(NamedTuple):
    """What dx of a statistics set needs.

    dx = dy * (scale * rstd + added) - move - curve * (x - point)
    """

    rstd: float
    added: float
    move: float
    curve: float
    point: float


@part
def slope_of(work: Any, g: int, shift: float) -> Slope:
    """That of the set in column `g` of scratch memory."""
    rstd = work[RSTD, g]
    return Slope(rstd, shift * rstd, work[MOVE, g], work[CURVE, g], work[POINT, g])


@part
def find_slopes(work: int, step: int, sets: int, formula: Any) -> None:
    """The slopes of sets.

    `work`: scratch memory whose rows begin `step` places apart, with one place for each set. The
    loop is free of branches, so that the divisions of several sets are one instruction.

    Where divisors up to some size become 1, an rstd of exactly 1 is such a constant: the caller has
    moved that of a set whose divisor is 1 by itself (`engine.gradients`). With a guard against 0
    alone nothing is to be done, for there B is 0.
    """
    use_widest_vectors()
    measure = formula[MEASURE]
    center, outside, floor, ddof = (
        formula[CENTER], formula[EPS_OUTSIDE], formula[FLOOR], formula[DDOF],
    )  # fmt: skip
    around_mean, unbiased = measure == VARIANCE, measure < L2
    constant = 1.0 / floor  # what rstd is where the floor is the divisor, rounded as it was there
    one = 1.0 if formula[UNIT_UP_TO] > 0.0 else np.nan
    for c in range(sets):
        n, rstd = recall(work, COUNT * step + c), recall(work, RSTD * step + c)
        share = 1.0 / n
        move = recall(work, A * step + c) * rstd * share
        point = recall(work, MEAN * step + c) + recall(work, C * step + c) * share
        d = 1.0 / rstd
        w = d - outside
        free = n - ddof
        free = free if free > 0.0 else 0.0
        free = free if unbiased else 1.0
        k = recall(work, B * step + c) * rstd * rstd / (w * free)
        some = n > 0.0
        moves = (rstd < constant) & (rstd != one)
        keep(work, MOVE * step + c, move if some and center != 0.0 else 0.0)
        keep(work, CURVE * step + c, k if some and moves and w > 0.0 else 0.0)
        keep(work, POINT * step + c, point if some and around_mean else 0.0)
    if measure == L1:
        for c in range(sets):
            w = 1.0 / recall(work, RSTD * step + c) - outside
            size = math.sqrt(max(w * w - formula[EPS], 0.0))
            keep(work, CURVE * step + c, recall(work, CURVE * step + c) * size)

"""The loop nest: one row per loop, with its length and the stride of every array along it.

    nest[i] = (size, stride of x, of out, of residual, of mask, of scale, of bias, of statistics)

Strides are counted in elements; 0 where an array does not vary. Loops over kept axes come first,
then those over shared axes; the last row is the innermost loop.
"""

from __future__ import annotations

from typing import Any

from normscope.kernels.contract import Place
from normscope.kernels.machine.compiling import part

SIZE, X, OUT, RESIDUAL, MASK, SCALE, BIAS, STATS = range(8)
WIDTH = 8


@part
def offsets(nest: Any, first: int, stop: int, index: int) -> Place:
    """Where each array stands at position `index` of the loops `first` to `stop`."""
    x, out, residual, mask, scale, bias, stats = 0, 0, 0, 0, 0, 0, 0
    for row in range(stop - 1, first - 1, -1):
        digit = index
        if row > first:
            rest = index // nest[row, SIZE]
            digit = index - rest * nest[row, SIZE]
            index = rest
        x += digit * nest[row, X]
        out += digit * nest[row, OUT]
        residual += digit * nest[row, RESIDUAL]
        mask += digit * nest[row, MASK]
        scale += digit * nest[row, SCALE]
        bias += digit * nest[row, BIAS]
        stats += digit * nest[row, STATS]
    return Place(x, out, residual, mask, scale, bias, stats)


@part
def strides(nest: Any, row: int) -> Place:
    """The steps of all arrays along a loop."""
    return Place(
        nest[row, X], nest[row, OUT], nest[row, RESIDUAL], nest[row, MASK], nest[row, SCALE],
        nest[row, BIAS], nest[row, STATS],
    )  # fmt: skip


@part
def moved(at: Place, step: Place, n: int) -> Place:
    """`n` steps further."""
    return Place(
        at.x + n * step.x, at.out + n * step.out, at.residual + n * step.residual,
        at.mask + n * step.mask, at.scale + n * step.scale, at.bias + n * step.bias,
        at.stats + n * step.stats,
    )  # fmt: skip


@part
def ahead(at: Place, step: Place | None, n: int) -> Place:
    """`n` steps further; without `step` all arrays go on by neighbours.

    A loop in which the type says so is vectorized at once, without a second copy for other steps.
    """
    if step is None:
        return Place(
            at.x + n, at.out + n, at.residual + n, at.mask + n, at.scale + n, at.bias + n, at.stats
        )  # fmt: skip
    return moved(at, step, n)


@part
def loops(nest: Any, first: int, stop: int) -> Any:
    """How many positions the loops `first` to `stop` have."""
    count = 1
    for row in range(first, stop):
        count *= nest[row, SIZE]
    return count


@part
def run_at(position: int, inner: int) -> Any:
    """The run, and the element of it, at `position` of runs of length `inner`."""
    if position == 0:
        return 0, 0
    run = position // inner
    return run, position - run * inner


@part
def row_loop(nest: Any, kept: int, last: int) -> Any:
    """The loop around the innermost one: its length and steps.

    A single pass where no loop is left there.
    """
    row = last - 1
    if row < kept:
        return 1, Place(0, 0, 0, 0, 0, 0, 0)
    return nest[row, SIZE], strides(nest, row)

"""The loop nest: one row per loop, with its length and the stride of every array along it.

What the rows hold is said in `normscope.kernels.contract`. The order of arrays is one of several
(`Place`, `BackwardPlace`, `ParameterPlace`): `functions_for` makes the functions that step through
a nest of each.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Generic, NamedTuple, TypeVar

from normscope.kernels.contract import SIZE
from normscope.kernels.machine.compiling import part

P = TypeVar("P")


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


class NestFunctions(NamedTuple, Generic[P]):
    """Functions that step through a nest whose arrays have the order of a place.

    Attributes:
        offsets: (nest, first, stop, index), where each array stands at position `index` of the
            loops `first` to `stop`.
        strides: (nest, row), the steps of all arrays along a loop.
        moved: (at, step, n), `n` steps further.
        ahead: (at, step, n), `n` steps further; with None for `step` all arrays go on by
            neighbours. A loop in which the type says so is vectorized at once, without a second
            copy for other steps.
        row_loop: (nest, num_kept, last), the loop around the innermost one: its length and steps.
            A single pass where no loop is left there.
        has_fixed_parameters: (nest, num_kept), whether parameters are the same for all rows of a
            set.
    """

    offsets: Callable[[Any, int, int, int], P]
    strides: Callable[[Any, int], P]
    moved: Callable[[P, P, int], P]
    ahead: Callable[[P, P | None, int], P]
    row_loop: Callable[[Any, int, int], Any]
    has_fixed_parameters: Callable[[Any, int], Any]


def functions_for(place: Callable[[Any, Any, Any, Any, Any, Any, Any], P]) -> NestFunctions[P]:
    """The functions for an order of arrays, given by the class of its places.

    They know the arrays by number: four of the full size, two that may be parameters, and what is
    counted, which no run moves along.
    """

    @part
    def offsets(nest: Any, first: int, stop: int, index: int) -> Any:
        a, b, c, d, e, f, g = 0, 0, 0, 0, 0, 0, 0
        for row in range(stop - 1, first - 1, -1):
            digit = index
            if row > first:
                rest = index // nest[row, SIZE]
                digit = index - rest * nest[row, SIZE]
                index = rest
            a += digit * nest[row, 1]
            b += digit * nest[row, 2]
            c += digit * nest[row, 3]
            d += digit * nest[row, 4]
            e += digit * nest[row, 5]
            f += digit * nest[row, 6]
            g += digit * nest[row, 7]
        return place(a, b, c, d, e, f, g)

    @part
    def strides(nest: Any, row: int) -> Any:
        return place(
            nest[row, 1], nest[row, 2], nest[row, 3], nest[row, 4], nest[row, 5], nest[row, 6],
            nest[row, 7],
        )  # fmt: skip

    @part
    def moved(at: Any, step: Any, n: int) -> Any:
        return place(
            at[0] + n * step[0], at[1] + n * step[1], at[2] + n * step[2], at[3] + n * step[3],
            at[4] + n * step[4], at[5] + n * step[5], at[6] + n * step[6],
        )  # fmt: skip

    @part
    def ahead(at: Any, step: Any, n: int) -> Any:
        if step is None:
            return place(at[0] + n, at[1] + n, at[2] + n, at[3] + n, at[4] + n, at[5] + n, at[6])
        return moved(at, step, n)

    @part
    def row_loop(nest: Any, num_kept: int, last: int) -> Any:
        row = last - 1
        if row < num_kept:
            return 1, place(0, 0, 0, 0, 0, 0, 0)
        return nest[row, SIZE], strides(nest, row)

    @part
    def has_fixed_parameters(nest: Any, num_kept: int) -> Any:
        fixed = True
        for row in range(num_kept, nest.shape[0] - 1):
            step = strides(nest, row)
            if step[4] != 0 or step[5] != 0:
                fixed = False
        return fixed

    return NestFunctions(offsets, strides, moved, ahead, row_loop, has_fixed_parameters)

"""The gradients of scale and bias, from the sums that a backward kernel takes."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from normscope.engine import buffers
from normscope.engine.gradient_plan import GradientCall
from normscope.kernels.calls import address
from normscope.notation.layout import Layout

Axes = tuple[int, ...]
Floats = NDArray[np.float64]
Learned = tuple[Floats | None, Floats | None]
"""The gradients of scale and bias."""


class ParameterSums:
    """What arrays of one form have of sums: memory for them, and what becomes of them."""

    def __init__(self, planned: GradientCall, few: bool) -> None:
        """Ask the plan.

        Args:
            planned: how the gradients are computed.
            few: there are so few elements that it does not matter where cache lines begin.
        """
        plan, cut = planned.prepared.plan, planned.cut
        self._layout, self._few = planned.prepared.layout, few
        self._named = planned.named
        self._along, self._of_sets = planned.along, planned.of_sets
        self._shape = (cut.blocks, 2, planned.parameters)
        self._cleared = cut.blocks == cut.items
        self._sets = plan.num_sets
        self._lying = plan.parameters[1]
        self._as_they_lie = self._along == [self._lying] and len(self._lying) == 1

    def room(self) -> Floats | None:
        """Memory for the sums that are taken along, (blocks, 2, parameters), if there are any."""
        if not self._along:
            return None
        if not self._cleared:  # one for all items: each begins with clearing its part of it
            return buffers.empty(self._shape, np.dtype(np.float64), None)
        return np.zeros(self._shape) if self._few else zeros(self._shape)

    def of_sets_room(self) -> Floats | None:
        """Memory for the sums of sets, (2, sets), if there is something to learn from them."""
        return np.empty((2, self._sets)) if self._of_sets else None

    def gradients(
        self,
        sums: dict[Axes, Any],
        along: Floats | None,
        of_sets: Floats | None,
        rstds: Floats,
    ) -> Learned:
        """The gradients of scale and bias.

        Args:
            sums: two rows for each parameter that was summed in a pass of its own: sum(dy) and
                sum(dy * (x - mean) * rstd).
            along: the sums that were taken along.
            of_sets: sum(dy) and sum(dy * (x - mean)) of each set.
            rstds: of each set.
        """
        if along is not None:
            rows = added(along)
            for axes in self._along:
                sums[axes] = rows
                if not self._as_they_lie:
                    sums[axes] = in_order(self._layout, axes, self._lying, rows)
        for axes in self._of_sets:
            assert of_sets is not None
            sums[axes] = self._from_sets(axes, of_sets, rstds)
        scale, bias = self._named
        return (
            None if scale is None else sums[scale][1],
            None if bias is None else sums[bias][0],
        )

    def _from_sets(self, axes: Axes, of_sets: Floats, rstds: Floats) -> list[Floats]:
        """The two rows, from the sums of sets."""
        layout = self._layout
        rows = (of_sets[:1], of_sets[1:] * rstds.reshape(-1))
        return [in_order(layout, axes, layout.kept, row)[0] for row in rows]


def zeros(shape: tuple[int, ...]) -> Floats:
    """Zeros that begin where a cache line does: no vector of 512 bits lies in two of them."""
    size = math.prod(shape)
    memory = np.zeros(size + 8)
    skipped = -(address(memory) // 8) % 8
    return memory[skipped : skipped + size].reshape(shape)


def added(parts: Floats) -> Floats:
    """The sum of the parts of a sum; of a single one there is no copy."""
    return parts[0] if len(parts) == 1 else np.asarray(np.add.reduce(parts, axis=0))


def in_order(layout: Layout, axes: Axes, lying: Axes, sums: Floats) -> list[Floats]:
    """Rows of sums that lie along some axes: those along `axes`, in that order."""
    sizes = layout.known_sizes
    shape = [sizes[i] for i in axes]
    if axes == lying:
        return [row.reshape(shape) for row in sums]
    long = [i for i in lying if sizes[i] > 1]  # NumPy has room for one more than these
    sums = sums.reshape(len(sums), *(sizes[i] for i in long))
    others = tuple(n for n, i in enumerate(long, 1) if i not in axes)
    left = [i for i in long if i in axes]
    order = [left.index(i) + 1 for i in axes if i in left]
    ordered = (sums.sum(others) if others else sums).transpose(0, *order)
    return [row.reshape(shape) for row in ordered]

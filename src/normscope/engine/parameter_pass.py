"""Sums over the elements that have a parameter, in a pass of their own: a nest of its own."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from normscope.engine import threads
from normscope.engine.cuts import cut_of
from normscope.engine.loops import Strides, atomic_strides
from normscope.engine.operands import Kind, written_out
from normscope.engine.parameter_sums import added, in_order
from normscope.engine.plan import Plan, plan as find_plan
from normscope.kernels.calls import ParameterCall, address
from normscope.kernels.contract import DTYPES, SET
from normscope.kernels.library import address_of
from normscope.notation.layout import Layout

Array = NDArray[Any]
Floats = NDArray[np.float64]


class ParameterPass:
    """The pass for arrays of one form: the parameter's axes are kept, all others are shared."""

    def __init__(
        self,
        layout: Layout,
        axes: tuple[int, ...],
        dtype: Kind,
        strides: tuple[tuple[int, ...], tuple[int, ...]],
    ) -> None:
        """Plan the pass.

        Args:
            layout: of the arrays.
            axes: of the parameter.
            dtype: of x and dy, in native byte order.
            strides: of x and dy, in bytes.
        """
        turned = replace(
            layout,
            axes=tuple(replace(a, shared=i not in axes) for i, a in enumerate(layout.axes)),
        )
        read, beside = (atomic_strides(layout, along, dtype.itemsize) for along in strides)
        order: list[Strides | None] = [read, read, beside, None]  # nothing is written along it
        self._plan: Plan = find_plan(turned, order, [layout.kept, layout.kept], dtype.itemsize)
        self._layout, self._axes, self._dtype = layout, axes, dtype
        self._bytes = 2 * self._plan.num_sets * self._plan.set_size * dtype.itemsize

    def sums(self, x: int, dy: int, means: Floats, rstds: Floats) -> list[Floats]:
        """sum(dy) and sum(dy * (x - mean) * rstd), in the shape of the parameter.

        Args:
            x, dy: the addresses of the arrays.
            means, rstds: one for each set, contiguous.
        """
        layout, axes, plan = self._layout, self._axes, self._plan
        lying = tuple(i for i in range(len(layout.axes)) if i in axes)
        sums = self._summed(x, dy, means, rstds)
        step = plan.loops[-1].strides
        if plan.mode == "rows" or (
            plan.num_kept == 0 and plan.outer * plan.inner == 1 and step[SET] == 1
        ):  # in order already; with one parameter per element they are large
            return in_order(layout, axes, lying, sums)
        sets = plan.loops[-1].size // (plan.outer * plan.inner)
        folded = sums.reshape(2, plan.positions, plan.outer, sets, plan.inner).sum((2, 4))
        found = np.empty((2, plan.num_sets))
        found[:, plan.set_order] = folded.reshape(2, -1)
        return in_order(layout, axes, lying, found)

    def _summed(self, x: int, dy: int, means: Floats, rstds: Floats) -> Floats:
        """The sums of each set, or column, of the nest."""
        layout, plan = self._layout, self._plan
        if plan.parameters[0] != layout.kept:
            shape = [layout.known_sizes[i] for i in layout.kept]
            means, rstds = (
                np.ascontiguousarray(
                    written_out(layout, layout.kept, a.reshape(shape), plan.parameters[0])
                )
                for a in (means, rstds)
            )
        rows = plan.mode == "rows"
        columns = plan.num_sets if rows else plan.positions * plan.loops[-1].size
        items = (plan.num_sets if rows else plan.positions * plan.tiles) * plan.chunks
        parts = np.empty((plan.chunks, 2, columns))
        call = ParameterCall(
            cut=cut_of(plan, items=items),
            x=x,
            dy=dy,
            means=address(means),
            rstds=address(rstds),
            dtype=DTYPES[self._dtype.name],
            parts=address(parts),
            columns=columns,
        )
        threads.run(address_of(f"parameter_{plan.mode}"), call, items, self._bytes)
        return added(parts)

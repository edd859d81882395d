"""Prepared call + arrays -> kernels: the gradient of the input, and those of the parameters."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from normscope.engine import buffers, threads
from normscope.engine.cuts import cut_of
from normscope.engine.gradient_plan import GradientCall, gradient_call, parameter_axes
from normscope.engine.loops import Strides, atomic_strides
from normscope.engine.operands import (
    SHORT,
    not_overwritten,
    parameter_dtype,
    written_out,
)
from normscope.engine.plan import STREAM_BYTES, Plan, plan as find_plan
from normscope.engine.validation import laid_along, name_of
from normscope.kernels.calls import BackwardCall, ParameterCall, address
from normscope.kernels.contract import DTYPES, NUM_SUMS, SET, SUM_DY
from normscope.kernels.library import address_of
from normscope.notation.layout import Layout
from normscope.notation.spec import NormSpec

Array = NDArray[Any]
Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False, kw_only=True)
class BackwardPass:
    """The operands of one call, as kernels can read them; `means` and `rstds`: one per set."""

    spec: NormSpec
    layout: Layout
    x: Array
    dy: Array
    mask: Array | None
    means: Floats
    rstds: Floats

    def run(self, dx: Array, scale: ArrayLike | None) -> list[Floats | None]:
        """Write dx.

        Returns:
            The gradients of scale and bias.
        """
        sizes = self.layout.known_sizes
        if not self.x.size:
            named = parameter_axes(self.spec, self.layout)
            return [None if a is None else np.zeros([sizes[i] for i in a]) for a in named]
        arrays = (self.x, dx, self.dy, self.mask)
        strides = [None if a is None else a.strides for a in arrays]
        call = gradient_call(self.spec, self.layout, scale is not None, self.x.dtype, *strides)
        cases = list(zip(call.named, call.constant, call.fused, strict=True))
        # What is taken in a pass of its own comes first: afterwards x or dy may be overwritten.
        sums = {
            axes: self._from_elements(axes)
            for axes, constant, fused in cases
            if axes is not None and not constant and not fused
        }
        totals, learned = self._write_dx(call, dx, not_overwritten(self._factor(call, scale), dx))
        for axes, constant, _ in cases:
            if axes is None or axes in sums:
                continue
            if constant:
                sums[axes] = self._from_sets(axes, totals)
            else:
                lying = call.prepared.plan.parameters[1]
                sums[axes] = self._in_order(axes, lying, _added(learned))
        return [None if a is None else sums[a][n] for a, n in zip(call.named, (1, 0), strict=True)]

    def _factor(self, call: GradientCall, scale: ArrayLike | None) -> Array:
        """What dy is multiplied by, contiguous, as the plan wants it in memory."""
        if scale is None:
            return np.full(1, 1.0 - self.spec.scale_shift)
        axes, wanted = call.named[0] or (), call.prepared.plan.parameters[0]
        factor = laid_along(self.layout, "scale", axes, scale)
        if wanted != axes:
            factor = written_out(self.layout, axes, factor, wanted)
        narrow = parameter_dtype(self.x.dtype, factor.size, self.x.size, factor)
        if factor.size > SHORT:
            return np.ascontiguousarray(factor, narrow)
        short = _zeros(factor.shape)
        short[...] = factor
        return short

    def _write_dx(self, gradient: GradientCall, dx: Array, factor: Array) -> tuple[Floats, Floats]:
        """Write dx.

        Returns:
            sum(dy) and sum(dy * (x - mean)) of each set, (2, sets), if they are needed; and those
            of the parameters with rstd, (blocks, 2, parameters), if they are taken along.
        """
        prepared, cut = gradient.prepared, gradient.cut
        plan, size = prepared.plan, 3 * self.x.nbytes
        learned = self._learned(gradient)
        call = self._call(gradient, dx, factor, learned)
        kernels = f"backward_{plan.mode}"
        if cut.whole:
            totals = np.empty((2, plan.num_sets if gradient.from_sets else 0))
            call.sums = address(totals) if gradient.from_sets else None
            threads.run(address_of(f"{kernels}_gradient"), call, cut.items, size)
            return totals, learned
        parts = np.empty((cut.chunks, NUM_SUMS, plan.num_sets))
        call.sums = address(parts)
        threads.run(address_of(f"{kernels}_measure"), call, cut.items, size)
        totals = np.asarray(np.add.reduce(parts, axis=0))
        call.totals = address(totals)
        call.cut.items = cut.units
        threads.run(address_of(f"{kernels}_apply"), call, cut.units, size)
        return totals[SUM_DY:], learned

    def _call(
        self, gradient: GradientCall, dx: Array, factor: Array, learned: Floats
    ) -> BackwardCall:
        """What the kernels are called with, but for the sums of sets."""
        prepared, cut = gradient.prepared, gradient.cut
        # What is overwritten in place is in the caches already.
        in_place = address(dx) in (address(self.x), address(self.dy))
        return BackwardCall(
            cut=cut_of(
                prepared.plan,
                items=cut.items,
                per_item=cut.per_item,
                chunk=cut.chunk,
                chunks=cut.chunks,
            ),
            formula=address(prepared.formula),
            x=address(self.x),
            dy=address(self.dy),
            mask=None if self.mask is None else address(self.mask),
            dx=address(dx),
            scale=address(factor),
            dtype=prepared.dtype,
            parameter_dtype=DTYPES[name_of(factor.dtype)],
            streams=dx.nbytes > STREAM_BYTES and not in_place,
            means=address(self.means),
            rstds=address(self.rstds),
            sets=prepared.plan.num_sets,
            learned=address(learned),
            blocks=len(learned),
            parameters=learned.shape[2],
        )

    def _learned(self, call: GradientCall) -> Floats:
        """Memory for the sums of the parameters that are taken along."""
        blocks = call.cut.blocks
        if blocks == call.cut.items:
            return _zeros((blocks, 2, call.parameters))
        shape = (blocks, 2, call.parameters if blocks else 0)
        # If there is one for all items, each begins with clearing its part of it.
        return buffers.empty(shape, np.dtype(np.float64), None)

    def _in_order(self, axes: Sequence[int], lying: Sequence[int], sums: Floats) -> list[Floats]:
        """Rows of sums that lie along some axes: those along `axes`, in that order."""
        sizes = self.layout.known_sizes
        long = [i for i in lying if sizes[i] > 1]  # NumPy has room for one more than these
        sums = sums.reshape(len(sums), *(sizes[i] for i in long))
        others = tuple(n for n, i in enumerate(long, 1) if i not in axes)
        left = [i for i in long if i in axes]
        order = [left.index(i) + 1 for i in axes if i in left]
        ordered = (sums.sum(others) if others else sums).transpose(0, *order)
        return [row.reshape([sizes[i] for i in axes]) for row in ordered]

    def _from_sets(self, axes: tuple[int, ...], totals: Floats) -> list[Floats]:
        """Two rows: sum(dy) and sum(dy * (x - mean) * rstd), from those of each set."""
        rows = (totals[:1], totals[1:] * self.rstds)
        return [self._in_order(axes, self.layout.kept, row)[0] for row in rows]

    def _from_elements(self, axes: tuple[int, ...]) -> list[Floats]:
        """Two such rows, from the elements: a nest of its own, which keeps the parameter's axes."""
        layout = self.layout
        turned = replace(
            layout,
            axes=tuple(replace(a, shared=i not in axes) for i, a in enumerate(layout.axes)),
        )
        read, beside = (atomic_strides(layout, a.strides, a.itemsize) for a in (self.x, self.dy))
        order: list[Strides | None] = [read, read, beside, None]  # nothing is written along it
        plan: Plan = find_plan(turned, order, [layout.kept, layout.kept], self.x.itemsize)
        lying = [i for i in range(len(layout.axes)) if i in axes]
        sums = self._summed(plan)
        step = plan.loops[-1].strides
        if plan.mode == "rows" or (
            plan.num_kept == 0 and plan.outer * plan.inner == 1 and step[SET] == 1
        ):  # in order already; with one parameter per element they are large
            return self._in_order(axes, lying, sums)
        sets = plan.loops[-1].size // (plan.outer * plan.inner)
        folded = sums.reshape(2, plan.positions, plan.outer, sets, plan.inner).sum((2, 4))
        found = np.empty((2, plan.num_sets))
        found[:, plan.set_order] = folded.reshape(2, -1)
        return self._in_order(axes, lying, found)

    def _summed(self, plan: Plan) -> Floats:
        """sum(dy) and sum(dy * (x - mean) * rstd) of each set, or column, of such a nest."""
        layout, means, rstds = self.layout, self.means, self.rstds
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
            x=address(self.x),
            dy=address(self.dy),
            means=address(means),
            rstds=address(rstds),
            dtype=DTYPES[name_of(self.x.dtype)],
            parts=address(parts),
            columns=columns,
        )
        threads.run(address_of(f"parameter_{plan.mode}"), call, items, 2 * self.x.nbytes)
        return _added(parts)


def _zeros(shape: tuple[int, ...]) -> Floats:
    """Zeros that begin where a cache line does: no vector of 512 bits lies in two of them."""
    size = math.prod(shape)
    memory = np.zeros(size + 8)
    skipped = -(address(memory) // 8) % 8
    return memory[skipped : skipped + size].reshape(shape)


def _added(parts: Floats) -> Floats:
    """The sum of the parts of a sum; of a single one there is no copy."""
    return parts[0] if len(parts) == 1 else np.asarray(np.add.reduce(parts, axis=0))

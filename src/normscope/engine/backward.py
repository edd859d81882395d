"""Prepared call + arrays -> kernels: the gradient of the input, and those of the parameters."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from normscope.engine import buffers, threads
from normscope.engine.gradient_plan import BackwardCall, backward_call, parameter_axes
from normscope.engine.loops import Strides, atomic_strides
from normscope.engine.operands import (
    SHORT,
    address,
    not_overwritten,
    parameter_dtype,
    written_out,
)
from normscope.engine.plan import STREAM_BYTES, Plan, plan as find_plan
from normscope.engine.validation import laid_along
from normscope.kernels.contract import (
    SUM_DY,
    SUMS,
    TAGS,
    BackwardArrays,
    ParameterArrays,
    ParameterPlace,
    Saved,
    SumArrays,
)
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
        call = backward_call(self.spec, self.layout, scale is not None, self.x.dtype, *strides)
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

    def _factor(self, call: BackwardCall, scale: ArrayLike | None) -> Array:
        """What dy is multiplied by, contiguous, as the plan wants it in memory."""
        if scale is None:
            return np.full(1, 1.0 - self.spec.scale_shift)
        axes, wanted = call.named[0] or (), call.prepared.plan.parameters[0]
        factor = laid_along(self.layout, "scale", axes, scale)
        if wanted != axes:
            factor = written_out(self.layout, axes, factor, wanted)
        narrow = parameter_dtype(self.x.dtype, factor.size, factor)
        if factor.size > SHORT:
            return np.ascontiguousarray(factor, narrow)
        short = _zeros(factor.shape)
        short[...] = factor
        return short

    def _write_dx(self, call: BackwardCall, dx: Array, factor: Array) -> tuple[Floats, Floats]:
        """Write dx.

        Returns:
            sum(dy) and sum(dy * (x - mean)) of each set, (2, sets), if they are needed; and those
            of the parameters with rstd, (blocks, 2, parameters), if they are taken along.
        """
        from normscope.kernels.backward import columns as gradient_columns, rows as gradient_rows

        prepared, cut = call.prepared, call.cut
        plan = prepared.plan
        rows = plan.mode == "rows"
        kernels: Any = gradient_rows if rows else gradient_columns
        arrays = BackwardArrays(
            x=address(self.x),
            dy=address(self.dy),
            mask=None if self.mask is None else address(self.mask),
            dx=address(dx),
            scale=address(factor),
            tag=prepared.tag,
            parameter_tag=TAGS[factor.dtype.name],
        )
        # What is overwritten in place is in the caches already.
        streams = dx.nbytes > STREAM_BYTES and arrays.dx not in (arrays.x, arrays.dy)
        learned = self._learned(call)
        counter = np.zeros(1, np.int64)
        given: dict[str, Any] = {
            "nest": plan.nest,
            "num_kept": plan.num_kept,
            "formula": prepared.formula,
            "arrays": arrays,
            "saved": Saved(means=self.means, rstds=self.rstds),
        }
        if not rows:
            given |= {"tiling": plan.tiling}
        if cut.whole:
            totals = np.empty((2, plan.num_sets if call.from_sets else 0))
            given |= {"streams": streams, "found": SumArrays(sets=totals, parameters=learned)}
            whole = {"items": cut.items, "per_item": cut.per_item}
            threads.run(partial(kernels.gradient, counter, **whole, **given), cut.items)
            return totals, learned
        if rows:
            given |= {"chunk": cut.chunk}
        parts = np.empty((cut.chunks, SUMS, plan.num_sets))
        chunks = {
            "items": cut.items,
            "per_item": cut.per_item,
            "found": SumArrays(sets=parts, parameters=learned),
        }
        threads.run(partial(kernels.measure, counter, **chunks, **given), cut.items)
        totals = np.asarray(np.add.reduce(parts, axis=0))
        counter[0] = 0
        units = {"items": cut.units, "streams": streams, "totals": totals}
        threads.run(partial(kernels.apply, counter, **units, **given), cut.units)
        return totals[SUM_DY:], learned

    def _learned(self, call: BackwardCall) -> Floats:
        """Memory for the sums of the parameters that are taken along."""
        blocks = call.cut.blocks
        if blocks == call.cut.items:
            return _zeros((blocks, 2, call.parameters))
        shape = (blocks, 2, call.parameters if blocks else 0)
        # If there is one for all items, each begins with clearing its part of it.
        return buffers.empty(shape, np.dtype(np.float64), (0, 1, 2))

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
        from normscope.kernels.backward import parameters

        layout, x, dy, means, rstds = self.layout, self.x, self.dy, self.means, self.rstds
        turned = replace(
            layout,
            axes=tuple(replace(a, shared=i not in axes) for i, a in enumerate(layout.axes)),
        )
        read, beside = (atomic_strides(layout, a.strides, a.itemsize) for a in (x, dy))
        order: list[Strides | None] = [read, read, beside, None]  # see `ParameterPlace`
        plan: Plan = find_plan(turned, order, [layout.kept, layout.kept], x.itemsize)
        if plan.parameters[0] != layout.kept:
            shape = [layout.known_sizes[i] for i in layout.kept]
            means, rstds = (
                np.ascontiguousarray(
                    written_out(layout, layout.kept, a.reshape(shape), plan.parameters[0])
                )
                for a in (means, rstds)
            )
        lying = [i for i in range(len(layout.axes)) if i in axes]
        counter = np.zeros(1, np.int64)
        arrays = ParameterArrays(
            x=address(x),
            dy=address(dy),
            means=address(means),
            rstds=address(rstds),
            tag=TAGS[x.dtype.name],
        )
        given: dict[str, Any] = {"nest": plan.nest, "num_kept": plan.num_kept, "arrays": arrays}
        if plan.mode == "rows":
            parts = np.empty((plan.chunks, 2, plan.num_sets))
            items = plan.num_sets * plan.chunks
            job = partial(parameters.rows, counter, items=items, **given, parts=parts)
            threads.run(job, items)
            return self._in_order(axes, lying, np.add.reduce(parts, axis=0))
        items = plan.positions * plan.tiles * plan.chunks
        parts = np.empty((plan.chunks, 2, plan.positions * plan.loops[-1].size))
        given |= {"tiling": plan.tiling, "parts": parts}
        threads.run(partial(parameters.columns, counter, items=items, **given), items)
        sums = parts[0] if plan.chunks == 1 else np.add.reduce(parts, axis=0)
        step = ParameterPlace(*plan.loops[-1].strides)
        if plan.num_kept == 0 and plan.outer * plan.inner == 1 and step.learned == 1:
            # in order already; with one parameter per element they are large
            return self._in_order(axes, lying, sums)
        sets = plan.loops[-1].size // (plan.outer * plan.inner)
        folded = sums.reshape(2, plan.positions, plan.outer, sets, plan.inner).sum((2, 4))
        found = np.empty((2, plan.num_sets))
        found[:, plan.set_order] = folded.reshape(2, -1)
        return self._in_order(axes, lying, found)


def _zeros(shape: tuple[int, ...]) -> Floats:
    """Zeros that begin where a cache line does: no vector of 512 bits lies in two of them."""
    size = math.prod(shape)
    memory = np.zeros(size + 8)
    skipped = -(address(memory) // 8) % 8
    return memory[skipped : skipped + size].reshape(shape)


def _added(parts: Floats) -> Floats:
    """The sum of the parts of a sum; of a single one there is no copy."""
    return parts[0] if len(parts) == 1 else np.asarray(np.add.reduce(parts, axis=0))

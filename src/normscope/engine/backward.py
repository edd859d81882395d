"""Planned gradients + arrays -> kernels: the gradient of the input, and those of the parameters.

The structure that a kernel is called with is made once for arrays of one form, as `template`, and
copied for each call, which sets the addresses of its arrays.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from normscope.engine import threads
from normscope.engine.cuts import cut_of
from normscope.engine.gradient_plan import GradientCall
from normscope.engine.operands import (
    FEW,
    SHORT,
    Kind,
    is_plain,
    not_overwritten,
    parameter_dtype,
    written_out,
)
from normscope.engine.parameter_pass import ParameterPass
from normscope.engine.parameter_sums import Learned, ParameterSums, zeros
from normscope.engine.plan import STREAM_BYTES
from normscope.engine.validation import laid_along
from normscope.kernels.calls import BackwardCall, address
from normscope.kernels.contract import DTYPES, NUM_SUMS, SUM_DY
from normscope.kernels.library import address_of

Axes = tuple[int, ...]
Array = NDArray[Any]
Floats = NDArray[np.float64]

_copy_of = BackwardCall.from_buffer_copy
"""A call like this one."""


class BackwardKernels:
    """The kernels for arrays of one form, which have elements."""

    def __init__(
        self,
        planned: GradientCall,
        dtype: Kind,
        strides: tuple[Axes | None, ...],
        scale: ArrayLike | None,
    ) -> None:
        """Make what all calls have in common.

        Args:
            planned: how the gradients are computed.
            dtype: of x, in native byte order.
            strides: of x, its gradient, dy and mask, in bytes.
            scale: one like those to come, of the right shape.
        """
        prepared, cut = planned.prepared, planned.cut
        plan, spec, layout = prepared.plan, prepared.spec, prepared.layout
        size = plan.num_sets * plan.set_size
        self._planned = planned
        self._bytes = 3 * size * dtype.itemsize
        self._streams = size * dtype.itemsize > STREAM_BYTES
        self._few = size <= FEW
        self._sums = ParameterSums(planned, self._few)
        self._neutral = np.full(1, 1.0 - spec.scale_shift)
        self._factor_dtype, self._factor_ready = self._neutral.dtype, True
        if scale is not None:
            factor = self._laid(scale)
            self._factor_dtype = parameter_dtype(dtype, factor.size, size, factor)
            self._factor_ready = (
                is_plain(scale)
                and factor.dtype == self._factor_dtype
                and plan.parameters[0] == planned.named[0]
                and (self._few or factor.size > SHORT)
            )
        self._template = BackwardCall(
            cut=cut_of(
                plan,
                items=cut.items,
                per_item=cut.per_item,
                chunk=cut.chunk,
                chunks=cut.chunks,
            ),
            formula=address(prepared.formula),
            scale=address(self._neutral),
            dtype=prepared.dtype,
            parameter_dtype=DTYPES[self._factor_dtype.name],
            sets=plan.num_sets,
            blocks=cut.blocks,
            parameters=planned.parameters if cut.blocks else 0,
        )
        kernels = f"backward_{plan.mode}"
        self._gradient = address_of(f"{kernels}_gradient")
        self._measure, self._apply = (address_of(f"{kernels}_{n}") for n in ("measure", "apply"))
        x, _, dy, _ = strides
        assert x is not None
        assert dy is not None
        self._passes = {
            axes: ParameterPass(layout, axes, dtype, (x, dy)) for axes in planned.in_passes
        }

    def run(
        self,
        x: Array,
        dy: Array,
        dx: Array,
        means: Floats,
        rstds: Floats,
        scale: Any,
        mask: Array | None,
        overwrites: bool,
    ) -> Learned:
        """Write dx, from arrays as kernels can read them.

        Args:
            x, dy: what is read.
            dx: what is written.
            means, rstds: one for each set, contiguous.
            scale: the learned scale, None without.
            mask: what counts.
            overwrites: whether dx may lie where the scale does.

        Returns:
            The gradients of scale and bias.
        """
        if overwrites or not self._factor_ready:
            scale = self._factor(scale, dx if overwrites else None)
        return self.run_at(
            address(x),
            address(dy),
            address(dx),
            means,
            rstds,
            scale,
            None if mask is None else address(mask),
        )

    def scale_ready(self, scale: ArrayLike) -> Array:
        """A scale as `run_at` takes it."""
        factor = scale if self._factor_ready else self._factor(scale, None)
        assert isinstance(factor, np.ndarray)
        return factor

    def run_at(
        self,
        x: int,
        dy: int,
        dx: int,
        means: Floats,
        rstds: Floats,
        scale: Array | None,
        mask: int | None,
    ) -> Learned:
        """`run`, given the addresses of arrays of the full size, which any library may hold."""
        call = _copy_of(self._template)
        call.x, call.dy, call.dx = x, dy, dx
        call.means, call.rstds = address(means), address(rstds)
        if scale is not None:
            call.scale = address(scale)
        if mask is not None:
            call.mask = mask
        # What is overwritten in place is in the caches already.
        if self._streams and call.dx not in (call.x, call.dy):
            call.streams = 1
        # What is taken in a pass of its own comes first: afterwards x or dy may be overwritten.
        sums = {}
        if self._passes:
            sums = {axes: own.sums(x, dy, means, rstds) for axes, own in self._passes.items()}
        along = self._sums.room()
        if along is not None:
            call.learned = address(along)
        return self._sums.gradients(sums, along, self._write_dx(call), rstds)

    def _laid(self, scale: ArrayLike) -> Array:
        """What dy is multiplied by, written out as the plan wants it."""
        layout, axes = self._planned.prepared.layout, self._planned.named[0] or ()
        wanted = self._planned.prepared.plan.parameters[0]
        factor = laid_along(layout, "scale", axes, scale)
        return factor if wanted == axes else written_out(layout, axes, factor, wanted)

    def _factor(self, scale: ArrayLike | None, dx: Array | None) -> Array | None:
        """What dy is multiplied by, as kernels want it, and where no dx lies."""
        if scale is None:
            return None
        factor = self._laid(scale)
        if factor.size > SHORT or self._few:
            return not_overwritten(np.ascontiguousarray(factor, self._factor_dtype), dx)
        short = zeros(factor.shape)
        short[...] = factor
        return short

    def _write_dx(self, call: BackwardCall) -> Floats | None:
        """Write dx.

        Returns:
            sum(dy) and sum(dy * (x - mean)) of each set, (2, sets), if they are needed.
        """
        cut = self._planned.cut
        if cut.whole:
            totals = self._sums.of_sets_room()
            if totals is not None:
                call.sums = address(totals)
            threads.run(self._gradient, call, cut.items, self._bytes)
            return totals
        sets = self._planned.prepared.plan.num_sets
        parts = np.empty((cut.chunks, NUM_SUMS, sets))
        call.sums = address(parts)
        threads.run(self._measure, call, cut.items, self._bytes)
        totals = np.asarray(np.add.reduce(parts, axis=0))
        call.totals = address(totals)
        call.cut.items = cut.units
        threads.run(self._apply, call, cut.units, self._bytes)
        return totals[SUM_DY:]

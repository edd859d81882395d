"""Prepared call + arrays -> kernels: measure statistics sets, and write the normalized output.

The structure that a kernel is called with is made once for arrays of one form, as `template`, and
copied for each call, which sets the addresses of its arrays.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from normscope.engine import threads
from normscope.engine.cuts import cut_of
from normscope.engine.merging import find_divisors, fold_columns, merge_chunks
from normscope.engine.plan import WRITTEN
from normscope.engine.prepared import PreparedCall
from normscope.kernels.calls import ForwardCall, address
from normscope.kernels.contract import (
    DTYPES,
    FLOAT64,
    PARTIAL_ROWS,
    PARTIAL_ROWS_WITH_RESTS,
    ROWS,
    ROWS_WITH_RESTS,
)
from normscope.kernels.library import address_of

Array = NDArray[Any]
Floats = NDArray[np.float64]
Order = NDArray[np.int64]

_copy_of = ForwardCall.from_buffer_copy
"""A call like this one."""


class ForwardKernels:
    """The kernels for arrays of one form."""

    def __init__(self, prepared: PreparedCall, parameter_dtype: np.dtype[Any]) -> None:
        """Make what all calls have in common.

        Args:
            prepared: the prepared call.
            parameter_dtype: how scale and bias lie in memory.
        """
        self._prepared = prepared
        self._neutral = np.ones(1, parameter_dtype), np.zeros(1, parameter_dtype)
        scale, bias = map(address, self._neutral)
        self._template = ForwardCall(
            cut=cut_of(prepared.plan),
            formula=address(prepared.formula),
            scale=scale,
            bias=bias,
            dtype=prepared.dtype,
            parameter_dtype=DTYPES[parameter_dtype.name],
            streams=prepared.plan.streams,
            sets=prepared.plan.num_sets,
        )

    def run(
        self,
        x: Array,
        out: Array,
        scale: Array | None,
        bias: Array | None,
        residual: Array | None,
        mask: Array | None,
        slope: float | None,
        given: Floats | None,
        measured: bool,
    ) -> Floats | None:
        """Normalize arrays as kernels can read them.

        Returns:
            The statistics: those given, else those measured if they are wanted.
        """
        return self.run_at(
            address(x),
            address(out),
            scale,
            bias,
            None if residual is None else address(residual),
            None if mask is None else address(mask),
            slope,
            given,
            measured,
        )

    def run_at(
        self,
        x: int,
        out: int,
        scale: Array | None,
        bias: Array | None,
        residual: int | None,
        mask: int | None,
        slope: float | None,
        given: Floats | None,
        measured: bool,
    ) -> Floats | None:
        """`run`, given the addresses of arrays of the full size, which any library may hold."""
        prepared, call = self._prepared, _copy_of(self._template)
        call.x, call.out = x, out
        if scale is not None:
            call.scale = address(scale)
        if bias is not None:
            call.bias = address(bias)
        if residual is not None:
            call.residual = residual
        if mask is not None:
            call.mask = mask
        if slope is not None:
            call.slope, call.activated = slope, 1
        if prepared.plan.streams and call.out == call.x:  # what is overwritten is in the caches
            call.streams = 0
        if given is not None:
            _apply(prepared, call, given)
            return given
        statistics = _empty_statistics(prepared) if measured else None
        if prepared.plan.whole:
            if statistics is not None:
                _set_statistics(call, statistics)
            threads.run(prepared.kernel, call, prepared.plan.items, prepared.size)
            return statistics
        found = _empty_statistics(prepared) if statistics is None else statistics
        find_divisors(*_measured(prepared, call), prepared.formula, found)
        _apply(prepared, call, found)
        return statistics


def measured(prepared: PreparedCall, x: Array, mask: Array | None) -> tuple[Floats, Order]:
    """The partial statistics of all sets, and the place in layout order of each.

    See `normscope.kernels.contract` for their rows; only float64 input has rests.
    """
    call = ForwardCall(
        formula=address(prepared.formula),
        x=address(x),
        mask=None if mask is None else address(mask),
        dtype=prepared.dtype,
        sets=prepared.plan.num_sets,
    )
    return _measured(prepared, call)


def _empty_statistics(prepared: PreparedCall) -> Floats:
    """An array for the statistics of a call: see `normscope.kernels.contract` for its rows."""
    rests = not prepared.plan.whole and prepared.dtype == FLOAT64
    return np.empty((ROWS_WITH_RESTS if rests else ROWS, prepared.plan.num_sets))


def _measured(prepared: PreparedCall, call: ForwardCall) -> tuple[Floats, Order]:
    """Measure all sets, chunk by chunk, as `measured`."""
    plan, formula = prepared.plan, prepared.formula
    rows = plan.mode == "rows"
    columns = plan.num_sets if rows else plan.positions * plan.loops[-1].size
    num_rows = PARTIAL_ROWS_WITH_RESTS if prepared.dtype == FLOAT64 else PARTIAL_ROWS
    partials = np.empty((plan.chunks, num_rows, columns))
    items = (plan.num_sets if rows else plan.positions * plan.tiles) * plan.chunks
    call = _copy_of(call)
    call.cut = cut_of(plan, items=items)
    call.partials = address(partials)
    call.partial_rows, call.partial_columns = num_rows, columns
    threads.run(address_of(f"forward_{plan.mode}_measure"), call, items, prepared.size)
    merged = merge_chunks(partials, formula, even=call.mask is None)
    if rows:
        return merged, np.arange(plan.num_sets)
    if plan.outer * plan.inner > 1:
        sets = plan.loops[-1].size // (plan.outer * plan.inner)
        merged = fold_columns(merged, formula, outer=plan.outer, inner=plan.inner, sets=sets)
    return merged, plan.set_order


def _apply(prepared: PreparedCall, call: ForwardCall, statistics: Floats) -> None:
    """Write the output, from statistics that are known."""
    plan = prepared.plan
    call = _copy_of(call)
    call.mask = None  # the statistics say which sets are empty
    _set_statistics(call, statistics)
    if plan.mode == "rows":
        per_item, step = (plan.per_item, plan.set_size) if plan.whole else (1, WRITTEN)
        items = -(-plan.num_sets // per_item) * -(-plan.set_size // step)
        call.cut = cut_of(plan, items=items, per_item=per_item, step=step)
    else:
        items = plan.positions * plan.tiles * plan.chunks
        call.cut = cut_of(plan, items=items)
    threads.run(address_of(f"forward_{plan.mode}_apply"), call, items, prepared.size)


def _set_statistics(call: ForwardCall, statistics: Floats) -> None:
    call.statistics, call.statistics_rows = address(statistics), len(statistics)

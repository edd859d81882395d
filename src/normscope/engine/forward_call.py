"""The call that `normalize` makes: prepared once for arrays of one form, then looked up."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from normscope.engine import buffers, by_definition
from normscope.engine.kept_calls import Key, keep
from normscope.engine.operands import (
    as_plain,
    dense_strides,
    is_native,
    memory_order,
    readable,
    readable_strides,
    unless_in_order,
)
from normscope.engine.parameters import Parameters, checked_axes
from normscope.engine.prepared import PreparedCall, prepare
from normscope.engine.validation import (
    check_array,
    check_like,
    check_mask,
    check_out,
)
from normscope.frameworks.statement import stated
from normscope.kernels.library import kernels_built
from normscope.notation.spec import NormSpec

if TYPE_CHECKING:
    from normscope.engine.forward import ForwardKernels

Array = NDArray[Any]
Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False, kw_only=True)
class ForwardCall:
    """All that depends only on the spec and on the shapes, strides and dtypes of the arrays.

    Attributes:
        pattern: what the caller stated.
        prepared: what kernels need.
        dtype: of x and the output, in native byte order.
        foreign: whether x is of foreign byte order.
        order: the axes of the output, from the outermost in memory to the innermost; None: in
            their order.
        parameters: how scale and bias are read.
        reads_x, writes_out: whether kernels can use x and `out` as they come; else a copy.
        size: how many elements x has.
        measurable: whether a statistics set has more elements than `ddof`.
    """

    pattern: NormSpec | str
    prepared: PreparedCall
    dtype: np.dtype[Any]
    foreign: bool
    order: tuple[int, ...] | None
    parameters: Parameters
    reads_x: bool
    writes_out: bool
    size: int
    measurable: bool

    def run(
        self,
        x: Array,
        scale: Any,
        bias: Any,
        given: Floats | None,
        mask: ArrayLike | None,
        residual: Array | None,
        slope: float | None,
        out: Array | None,
        measured: bool,
    ) -> tuple[Array, Floats | None]:
        """Normalize arrays like those that the call was made for.

        Returns:
            The output, and the statistics: those given, else those measured if they are wanted.
        """
        prepared = self.prepared
        target = out
        if target is None or not self.writes_out:
            target = buffers.empty(x.shape, self.dtype, self.order)
        result = target if out is None else out
        if out is None and self.foreign:
            result = np.empty_like(as_plain(x), subok=False)
        if not self.reads_x:
            x = readable(x, None)
        counted = None
        if mask is not None:
            counted = check_mask(mask, x.shape, prepared.layout.pattern.text)
        if residual is not None:
            residual = readable(residual, None)
        statistics = given
        kernels = self._kernels
        if kernels is not None:
            parameters = self.parameters
            if out is not None or not parameters.ready:
                scale, bias = parameters.read(0, scale, out), parameters.read(1, bias, out)
            statistics = kernels.run(
                x, target, scale, bias, residual, counted, slope, given, measured
            )
        elif self.size:
            operands = by_definition.Operands(
                x=x,
                out=target,
                residual=residual,
                mask=counted,
                scale=self.parameters.laid("scale", scale, out),
                bias=self.parameters.laid("bias", bias, out),
                slope=slope,
            )
            spec, layout = prepared.spec, prepared.layout
            statistics = by_definition.normalize(spec, layout, operands, given)
        if target is not result:
            result[...] = target
        return result, statistics

    @cached_property
    def _kernels(self) -> ForwardKernels | None:
        """The kernels, if there are any, and elements. They bring ctypes, which a browser lacks."""
        if not self.size or not kernels_built():
            return None
        from normscope.engine.forward import ForwardKernels

        return ForwardKernels(self.prepared, self.parameters.dtype)


_calls: dict[Key | None, ForwardCall] = {}
call_of = _calls.get
"""The call that was kept under a key of `key_of`: of pattern, fields, and all arrays in order."""


def new_call(
    key: Key | None,
    pattern: NormSpec | str,
    fields_and_sizes: dict[str, Any],
    x: Array,
    *,
    scale: ArrayLike | None,
    bias: ArrayLike | None,
    mask: ArrayLike | None,
    residual: Array | None,
    out: Array | None,
) -> ForwardCall:
    """The call for arrays like these, whose x holds floats; it is kept under the key."""
    spec = stated(pattern, fields_and_sizes, scale is not None, bias is not None)
    call = _prepared(
        x, pattern, spec, scale=scale, bias=bias, mask=mask, residual=residual, out=out
    )
    keep(_calls, key, call)
    return call


def _prepared(
    x: Array,
    pattern: NormSpec | str,
    spec: NormSpec,
    *,
    scale: ArrayLike | None,
    bias: ArrayLike | None,
    mask: ArrayLike | None,
    residual: Array | None,
    out: Array | None,
) -> ForwardCall:
    check_array("x", x)
    layout = spec.layout(x.shape)
    check_out(out, x)
    if residual is not None:
        check_like("residual", residual, x)
    dtype = x.dtype.newbyteorder("=")
    order = memory_order(x)
    written = dense_strides(x.shape, order, dtype.itemsize)
    if out is not None and is_native(out):
        written = out.strides
    axes = checked_axes(spec, layout, scale, bias)
    counted = None
    if mask is not None:
        counted = check_mask(mask, x.shape, layout.pattern.text)
    strides = (
        readable_strides(x),
        written,
        None if residual is None else readable_strides(residual),
        None if counted is None else counted.strides,
    )
    prepared = prepare(spec, layout, dtype, strides, axes)
    return ForwardCall(
        pattern=pattern,
        prepared=prepared,
        dtype=dtype,
        foreign=not x.dtype.isnative,
        order=unless_in_order(order),
        parameters=Parameters.like(prepared, dtype, axes, scale, bias),
        reads_x=is_native(x),
        writes_out=out is None or is_native(out),
        size=x.size,
        measurable=prepared.plan.set_size > spec.ddof,
    )

"""The call that `gradients` makes: prepared once for arrays of one form, then looked up."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from normscope.engine import buffers
from normscope.engine.gradient_plan import gradient_call, parameter_axes
from normscope.engine.guard import has_constants, with_constants_apart
from normscope.engine.kept_calls import Key, keep
from normscope.engine.operands import (
    dense_strides,
    is_native,
    is_plain,
    memory_order,
    not_overwritten,
    readable,
    readable_strides,
    unless_in_order,
)
from normscope.engine.prepared import measure_number
from normscope.engine.validation import (
    check_array,
    check_like,
    check_mask,
    check_out,
    check_set_size,
    laid_along,
)
from normscope.errors import SpecError
from normscope.frameworks.statement import stated
from normscope.kernels.contract import is_largest
from normscope.kernels.library import check_kernels
from normscope.notation.layout import Layout
from normscope.notation.spec import NormSpec

if TYPE_CHECKING:
    from normscope.engine.backward import BackwardKernels

Array = NDArray[Any]
Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False, kw_only=True)
class BackwardCall:
    """All that depends only on the spec and on the shapes, strides and dtypes of the arrays.

    Attributes:
        pattern: what the caller stated.
        spec, layout: what that says, and what it says of arrays of this shape.
        kernels: what writes the gradients; None if there are no elements.
        dtype: of the gradient of x, in native byte order.
        order: its axes, from the outermost in memory to the innermost; None: in their order.
        reads_x, reads_dy, writes_out: whether kernels can use these as they come; else a copy.
        statistics_ready: whether kernels can use mean and rstd as they come.
        has_constants: whether values of rstd are to be looked at.
    """

    pattern: NormSpec | str
    spec: NormSpec
    layout: Layout
    kernels: BackwardKernels | None
    dtype: np.dtype[Any]
    order: tuple[int, ...] | None
    reads_x: bool
    reads_dy: bool
    writes_out: bool
    statistics_ready: bool
    has_constants: bool

    def run(
        self,
        dy: Array,
        x: Array,
        mean: Any,
        rstd: Any,
        scale: ArrayLike | None,
        mask: ArrayLike | None,
        out: Array | None,
    ) -> tuple[Array, Floats | None, Floats | None]:
        """Differentiate with arrays like those that the call was made for.

        Args:
            dy, x, mean, rstd, scale, mask: as of `gradients`; `out` overlaps x and dy nowhere or
                everywhere, and the mask nowhere.
            out: array for the gradient of x; None: a new one.

        Returns:
            The gradients of x, scale and bias.
        """
        target = out
        if target is None or not self.writes_out:
            target = buffers.empty(x.shape, self.dtype, self.order)
        result = target if out is None else out
        if self.kernels is None:
            return result, *self._nothing()
        if out is not None or not self.statistics_ready:
            mean, rstd = self._of_sets("mean", mean, out), self._of_sets("rstd", rstd, out)
        counted = None
        if mask is not None:
            counted = check_mask(mask, x.shape, self.layout.pattern.text)
        if self.has_constants:
            rstd = with_constants_apart(self.spec, x, counted, rstd)
        if counted is not None:
            rstd = self._of_filled_sets(rstd, counted)
        if not self.reads_x:
            x = readable(x, None)
        if not self.reads_dy:
            dy = readable(dy, None)
        learned = self.kernels.run(x, dy, target, mean, rstd, scale, counted, out is not None)
        if target is not result:
            result[...] = target
        return result, *learned

    def _of_sets(self, name: str, values: ArrayLike, out: Array | None) -> Floats:
        """A statistic, as kernels want it."""
        laid = laid_along(self.layout, name, self.layout.kept, values)
        return not_overwritten(np.ascontiguousarray(laid, np.float64), out)

    def _of_filled_sets(self, rstd: Floats, counted: Array) -> Floats:
        """The rstds, 0 of sets of which nothing counts: their output is the bias, whatever x is."""
        layout = self.layout
        some = counted.reshape(layout.known_sizes).any(layout.shared).reshape(rstd.shape)
        return np.where(some, rstd, 0.0)

    def _nothing(self) -> tuple[Floats | None, Floats | None]:
        """The gradients of scale and bias of no elements."""
        sizes = self.layout.known_sizes
        scale, bias = (
            None if axes is None else np.zeros([sizes[i] for i in axes])
            for axes in parameter_axes(self.spec, self.layout)
        )
        return scale, bias


_calls: dict[Key | None, BackwardCall] = {}
call_of = _calls.get
"""The call that was kept under a key of `key_of`: of pattern, fields, and all arrays in order."""


def new_call(
    key: Key | None,
    pattern: NormSpec | str,
    fields_and_sizes: dict[str, Any],
    dy: Array,
    x: Array,
    *,
    mean: ArrayLike,
    rstd: ArrayLike,
    scale: ArrayLike | None,
    mask: ArrayLike | None,
    out: Array | None,
) -> BackwardCall:
    """The call for arrays like these, whose x holds floats; it is kept under the key."""
    check_kernels("gradients")
    spec = stated(pattern, fields_and_sizes, scale is not None, False)
    check_array("x", x)
    layout = spec.layout(x.shape)
    _check(spec, layout, dy, x, scale=scale, out=out)
    for name, values in (("mean", mean), ("rstd", rstd)):
        laid_along(layout, name, layout.kept, values)
    counted = None if mask is None else check_mask(mask, x.shape, layout.pattern.text)
    if scale is not None:
        laid_along(layout, "scale", layout.named(spec.scale or ""), scale)
    dtype = x.dtype.newbyteorder("=")
    order = memory_order(x)
    written = dense_strides(x.shape, order, dtype.itemsize)
    if out is not None and is_native(out):
        written = out.strides
    strides = (
        readable_strides(x),
        written,
        readable_strides(dy),
        None if counted is None else counted.strides,
    )
    call = BackwardCall(
        pattern=pattern,
        spec=spec,
        layout=layout,
        kernels=_kernels(spec, layout, dtype, strides, scale) if x.size else None,
        dtype=dtype,
        order=unless_in_order(order),
        reads_x=is_native(x),
        reads_dy=is_native(dy),
        writes_out=out is None or is_native(out),
        statistics_ready=all(
            is_plain(values) and np.asarray(values).dtype == np.float64 for values in (mean, rstd)
        ),
        has_constants=has_constants(spec),
    )
    keep(_calls, key, call)
    return call


def _check(
    spec: NormSpec,
    layout: Layout,
    dy: Array,
    x: Array,
    *,
    scale: ArrayLike | None,
    out: Array | None,
) -> None:
    """There is a gradient, and the arrays of x's shape and the scale have a place in it."""
    check_set_size(spec, layout)
    check_like("dy", dy, x)
    check_out(out, x)
    if is_largest(measure_number(spec)):
        raise SpecError("the maximum has no gradient where two elements are equal; none is taken")
    if scale is not None and spec.scale is None:
        raise SpecError("scale= is given, but the spec has no scale")


def _kernels(
    spec: NormSpec,
    layout: Layout,
    dtype: np.dtype[Any],
    strides: tuple[tuple[int, ...] | None, ...],
    scale: ArrayLike | None,
) -> BackwardKernels:
    """The kernels for arrays of these strides, in bytes: of x, its gradient, dy and mask."""
    from normscope.engine.backward import BackwardKernels  # which brings ctypes

    planned = gradient_call(spec, layout, scale is not None, dtype, *strides)
    return BackwardKernels(planned, dtype, strides, scale)

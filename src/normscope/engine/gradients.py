"""`gradients`: the backward pass of any normalization, from the saved mean and rstd."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from normscope.engine import buffers, threads
from normscope.engine.gradient_plan import BackwardCall, backward_call, parameter_axes
from normscope.engine.guard import with_constants_apart
from normscope.engine.kernels_installed import check_kernels
from normscope.engine.loops import Strides, atomic_strides
from normscope.engine.operands import (
    SHORT,
    address,
    is_native,
    memory_order,
    parameter_dtype,
    readable,
    written_out,
)
from normscope.engine.plan import STREAM_BYTES, Plan, plan as find_plan
from normscope.engine.validation import (
    check_array,
    check_like,
    check_mask,
    check_out,
    check_set_size,
    in_floats,
    laid_along,
)
from normscope.errors import SpecError
from normscope.frameworks.statement import stated
from normscope.kernels.contract import (
    MEASURES,
    SUM_DY,
    SUMS,
    TAGS,
    BackwardArrays,
    ParameterArrays,
    ParameterPlace,
    Saved,
    SumArrays,
    is_largest,
)
from normscope.notation.layout import Layout
from normscope.notation.spec import Measure, NormSpec
from normscope.notebook import html_of, rows_of, text_of

Array = NDArray[Any]
Floats = NDArray[np.float64]


class Gradients(NamedTuple):
    """The gradients of a loss with respect to what a normalization was given.

    Attributes:
        x: with respect to the input; an array of its shape, dtype and memory layout.
        scale, bias: with respect to the learned parameters, in the shape of their axes, in float64;
            None where the spec has no such parameter.
    """

    x: Array
    scale: Floats | None
    bias: Floats | None

    def __repr__(self) -> str:
        return text_of(_GRADIENTS, rows_of(self))

    def _repr_html_(self) -> str:
        return html_of(_GRADIENTS, rows_of(self))


_GRADIENTS = "Gradients: of a loss, with respect to what was normalized"


def gradients(
    dy: Array,
    x: Array,
    pattern: NormSpec | str,
    *,
    mean: ArrayLike,
    rstd: ArrayLike,
    scale: ArrayLike | None = None,
    mask: ArrayLike | None = None,
    out: Array | None = None,
    **fields_and_sizes: Any,
) -> Gradients:
    """Differentiate a normalization whose statistics were taken from x.

        dx = g * rstd - mean(g) * rstd - sum(g * (x - m)) * rstd**2 / (w * (n - ddof)) * (x - m)

    with g = dy * scale and w = sqrt(v + eps): the case of the centred variance. Where the divisor
    is a constant (the floor, or the 1 of `unit_below` or of the measure `none`) the last term is
    not there. Sums are taken in float64, and each result is rounded once.

    Args:
        dy: gradient with respect to the output; an array of its shape and dtype, which are x's.
        x: what was normalized; integers become floats first, as in `normalize`.
        pattern: the spec, a layer by name, or a pattern with sizes and fields as keywords; as for
            `normalize`.
        mean, rstd: the `Stats` that `normalize(..., return_stats=True)` gave. With the measure
            `none` the rstd is not used.
        scale: the learned scale; left out, it is neutral.
        mask: the mask that the statistics were taken through.
        out: array of dy's shape and dtype for the gradient; it may be dy or x itself.
        **fields_and_sizes: with a bare pattern only, as for `spec`.

    Returns:
        The `Gradients`.

    Raises:
        PatternError, SpecError: the normalization is not stated correctly, or measures the maximum.
        ShapeError: x, scale or a statistic has a shape that does not fit.
        DtypeError: x is not an array of real numbers.
        MissingPackageError: Numba is not installed: pip install "normscope[fast]".

    Example:
        >>> import numpy as np
        >>> from normscope import normalize
        >>> x = np.array([[1.0, 2.0, 4.0]])
        >>> y, stats = normalize(x, "b [c]", return_stats=True)
        >>> dy = np.array([[1.0, 0.0, 0.0]])
        >>> gradients(dy, x, "b [c]", mean=stats.mean, rstd=stats.rstd).x.round(4)
        array([[ 0.2291, -0.3436,  0.1145]])
    """
    check_kernels("gradients")
    spec = stated(pattern, fields_and_sizes, scale is not None, False)
    check_array("x", x)
    x = in_floats(x)
    layout = spec.layout(x.shape)
    check_set_size(spec, layout)
    check_like("dy", dy, x)
    check_out(out, x)
    if spec.measure is not Measure.NONE and is_largest(MEASURES[spec.measure]):
        raise SpecError("the maximum has no gradient where two elements are equal; none is taken")
    if scale is not None and spec.scale is None:
        raise SpecError("scale= is given, but the spec has no scale")
    if scale is not None and not x.size:
        laid_along(layout, "scale", layout.named(spec.scale or ""), scale)
    means, rstds = (
        # to Numba a read-only array is of another type, for which it would compile anew
        _not_overwritten(
            np.require(laid_along(layout, name, layout.kept, values), np.float64, "W"), out
        )
        for name, values in (("mean", mean), ("rstd", rstd))
    )
    counted = None
    if mask is not None:
        counted = _not_overwritten(check_mask(mask, x.shape, layout.pattern.text), out)
    rstds = with_constants_apart(spec, x, counted, rstds)
    if counted is not None:
        some = counted.reshape(layout.known_sizes).any(layout.shared).reshape(rstds.shape)
        rstds = np.where(some, rstds, 0.0)  # the output of an empty set is the bias, whatever x is

    dtype = x.dtype.newbyteorder("=")
    x, dy = readable(x, out), readable(dy, out)
    target = out
    if target is None or not is_native(target):
        target = buffers.empty(x.shape, dtype, memory_order(x))
    operands = _Operands(
        spec=spec,
        layout=layout,
        x=x,
        dy=dy,
        mask=counted,
        means=means.ravel(),
        rstds=rstds.ravel(),
    )
    learned = operands.differentiate(target, scale)
    if out is not None and target is not out:
        out[...] = target
    return Gradients(target if out is None else out, *learned)


@dataclass(frozen=True, eq=False, kw_only=True)
class _Operands:
    """The operands of one call, as kernels can read them; `means` and `rstds`: one per set."""

    spec: NormSpec
    layout: Layout
    x: Array
    dy: Array
    mask: Array | None
    means: Floats
    rstds: Floats

    def differentiate(self, dx: Array, scale: ArrayLike | None) -> list[Floats | None]:
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
        totals, learned = self._write_dx(call, dx, _not_overwritten(self._factor(call, scale), dx))
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


def _not_overwritten(array: Array, out: Array | None) -> Array:
    """The array, or a copy of one that `out` would overwrite."""
    return array.copy() if out is not None and np.may_share_memory(array, out) else array


def _zeros(shape: tuple[int, ...]) -> Floats:
    """Zeros that begin where a cache line does: no vector of 512 bits lies in two of them."""
    size = math.prod(shape)
    memory = np.zeros(size + 8)
    skipped = -(address(memory) // 8) % 8
    return memory[skipped : skipped + size].reshape(shape)


def _added(parts: Floats) -> Floats:
    """The sum of the parts of a sum; of a single one there is no copy."""
    return parts[0] if len(parts) == 1 else np.asarray(np.add.reduce(parts, axis=0))

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
from normscope.engine.gradient_plan import SUMS, Way, find_way, parameter_axes
from normscope.engine.guard import with_constants_apart
from normscope.engine.kernels_installed import check_kernels
from normscope.engine.loops import STATS, Strides, atomic_strides
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
from normscope.kernels.contract import BackwardArrays, ParameterArrays, Saved, SumArrays
from normscope.notation.layout import Layout
from normscope.notation.spec import Measure, NormSpec
from normscope.notebook import html_of, rows_of, text_of

Array = NDArray[Any]
Floats = NDArray[np.float64]

PLAIN = 4
"""The first of the last two sums of a set, in the order of `kernels.backward.input_gradient`."""


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
    if spec.measure is Measure.MAX:
        raise SpecError("the maximum has no gradient where two elements are equal; none is taken")
    if scale is not None and spec.scale is None:
        raise SpecError("scale= is given, but the spec has no scale")
    if scale is not None and not x.size:
        laid_along(layout, "scale", layout.named(spec.scale or ""), scale)
    means, rstds = (
        # to Numba a read-only array is of another type, for which it would compile anew
        _kept(np.require(laid_along(layout, name, layout.kept, values), np.float64, "W"), out)
        for name, values in (("mean", mean), ("rstd", rstd))
    )
    counted = None
    if mask is not None:
        counted = _kept(check_mask(mask, x.shape, layout.pattern.text), out)
    rstds = with_constants_apart(spec, x, counted, rstds)
    if counted is not None:
        some = counted.reshape(layout.known_sizes).any(layout.shared).reshape(rstds.shape)
        rstds = np.where(some, rstds, 0.0)  # the output of an empty set is the bias, whatever x is

    dtype = x.dtype.newbyteorder("=")
    x, dy = readable(x, out), readable(dy, out)
    target = out
    if target is None or not is_native(target):
        target = buffers.empty(x.shape, dtype, memory_order(x))
    call = _Call(spec, layout, x, dy, counted, means.ravel(), rstds.ravel())
    learned = call.run(target, scale)
    if out is not None and target is not out:
        out[...] = target
    return Gradients(target if out is None else out, *learned)


@dataclass(frozen=True, eq=False)
class _Call:
    """The operands of one call, as kernels can read them; `means` and `rstds`: one per set."""

    spec: NormSpec
    layout: Layout
    x: Array
    dy: Array
    mask: Array | None
    means: Floats
    rstds: Floats

    def run(self, dx: Array, scale: ArrayLike | None) -> list[Floats | None]:
        """Write dx; the gradients of scale and bias."""
        sizes = self.layout.known_sizes
        if not self.x.size:
            named = parameter_axes(self.spec, self.layout)
            return [None if a is None else np.zeros([sizes[i] for i in a]) for a in named]
        arrays = (self.x, dx, self.dy, self.mask)
        strides = [None if a is None else a.strides for a in arrays]
        way = find_way(self.spec, self.layout, scale is not None, self.x.dtype, *strides)
        cases = list(zip(way.named, way.constant, way.fused, strict=True))
        # What is taken in a pass of its own comes first: afterwards x or dy may be overwritten.
        sums = {
            axes: self._from_elements(axes)
            for axes, constant, fused in cases
            if axes is not None and not constant and not fused
        }
        totals, learned = self._slopes(way, dx, _kept(self._factor(way, scale), dx))
        for axes, constant, _ in cases:
            if axes is None or axes in sums:
                continue
            if constant:
                sums[axes] = self._from_sets(axes, totals)
            else:
                sums[axes] = self._in_order(axes, way.plan.parameters[1], _added(learned))
        return [None if a is None else sums[a][n] for a, n in zip(way.named, (1, 0), strict=True)]

    def _factor(self, way: Way, scale: ArrayLike | None) -> Array:
        """What dy is multiplied by, contiguous, as the plan wants it in memory."""
        if scale is None:
            return np.full(1, 1.0 - self.spec.scale_shift)
        axes = way.named[0] or ()
        factor = laid_along(self.layout, "scale", axes, scale)
        if way.plan.parameters[0] != axes:
            factor = written_out(self.layout, axes, factor, way.plan.parameters[0])
        narrow = parameter_dtype(self.x.dtype, factor.size, factor)
        if factor.size > SHORT:
            return np.ascontiguousarray(factor, narrow)
        short = _zeros(factor.shape)
        short[...] = factor
        return short

    def _slopes(self, way: Way, dx: Array, factor: Array) -> tuple[Floats, Floats]:
        """Write dx.

        Returns:
            sum(dy) and sum(dy * (x - mean)) of each set, (2, sets), if they are needed; and those
            of the parameters with rstd, (blocks, 2, parameters), if they are taken along.
        """
        from normscope.kernels.backward import columns as gradient_columns, rows as gradient_rows

        plan, cut = way.plan, way.cut
        rows = plan.mode == "rows"
        kernels: Any = gradient_rows if rows else gradient_columns
        arrays = self._arrays(dx, factor)
        # What is overwritten in place is in the caches already.
        streams = dx.nbytes > STREAM_BYTES and arrays.dx not in (arrays.x, arrays.dy)
        saved = Saved(self.means, self.rstds)
        nest, formula = (plan.nest, plan.kept), way.numbers
        learned = self._learned(way)
        counter = np.zeros(1, np.int64)
        if cut.whole:
            totals = np.empty((2, plan.num_sets if way.from_sets else 0))
            found = SumArrays(totals, learned)
            cut_up = (cut.items, cut.per_item) if rows else (cut.items, cut.per_item, plan.tiling)
            ends = (*nest, formula, arrays, streams, saved, found)
            threads.run(partial(kernels.gradient, counter, *cut_up, *ends), cut.items)
            return totals, learned
        parts = np.empty((cut.chunks, SUMS, plan.num_sets))
        found = SumArrays(parts, learned)
        pieces = cut.chunk if rows else plan.tiling
        measured = (cut.items, cut.per_item, pieces, *nest, formula, arrays, saved, found)
        threads.run(partial(kernels.measure, counter, *measured), cut.items)
        totals = np.asarray(np.add.reduce(parts, axis=0))
        counter[0] = 0
        applied = (cut.units, pieces, *nest, formula, arrays, streams, saved, totals)
        threads.run(partial(kernels.apply, counter, *applied), cut.units)
        return totals[PLAIN:], learned

    def _arrays(self, dx: Array, factor: Array) -> BackwardArrays:
        """What kernels are given."""
        from normscope.kernels.machine.memory import TAGS

        return BackwardArrays(
            address(self.x),
            address(self.dy),
            None if self.mask is None else address(self.mask),
            address(dx),
            address(factor),
            TAGS[self.x.dtype.name],
            TAGS[factor.dtype.name],
        )

    def _learned(self, way: Way) -> Floats:
        """Memory for the sums of the parameters that are taken along."""
        if way.cut.blocks == way.cut.items:
            return _zeros((way.cut.blocks, 2, way.parameters))
        shape = (way.cut.blocks, 2, way.parameters if way.cut.blocks else 0)
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
        """The same, from the elements: a nest of its own, which keeps the axes of the parameter."""
        from normscope.kernels.backward import parameters
        from normscope.kernels.machine.memory import TAGS

        layout, x, dy, means, rstds = self.layout, self.x, self.dy, self.means, self.rstds
        turned = replace(
            layout,
            axes=tuple(replace(a, shared=i not in axes) for i, a in enumerate(layout.axes)),
        )
        arrays: list[Strides | None] = [
            atomic_strides(layout, a.strides, a.itemsize) for a in (x, x, dy)
        ]
        plan: Plan = find_plan(turned, [*arrays, None], [layout.kept, layout.kept], x.itemsize)
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
        given = ParameterArrays(
            address(x), address(dy), address(means), address(rstds), TAGS[x.dtype.name]
        )
        ends = (plan.nest, plan.kept, given)
        if plan.mode == "rows":
            parts = np.empty((plan.chunks, 2, plan.num_sets))
            items = plan.num_sets * plan.chunks
            threads.run(partial(parameters.rows, counter, items, *ends, parts), items)
            return self._in_order(axes, lying, np.add.reduce(parts, axis=0))
        items = plan.positions * plan.tiles * plan.chunks
        parts = np.empty((plan.chunks, 2, plan.positions * plan.loops[-1].size))
        job = partial(parameters.columns, counter, items, plan.tiling, *ends, parts)
        threads.run(job, items)
        sums = parts[0] if plan.chunks == 1 else np.add.reduce(parts, axis=0)
        if plan.kept == 0 and plan.outer * plan.inner == 1 and plan.loops[-1].strides[STATS] == 1:
            # in order already; with one parameter per element they are large
            return self._in_order(axes, lying, sums)
        sets = plan.loops[-1].size // (plan.outer * plan.inner)
        folded = sums.reshape(2, plan.positions, plan.outer, sets, plan.inner).sum((2, 4))
        found = np.empty((2, plan.num_sets))
        found[:, plan.set_order] = folded.reshape(2, -1)
        return self._in_order(axes, lying, found)


def _kept(array: Array, out: Array | None) -> Array:
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

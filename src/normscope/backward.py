"""`gradients`: the backward pass of any normalization, from the saved mean and rstd."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from normscope import buffers, threads
from normscope.errors import SpecError
from normscope.forward import formula
from normscope.layout import Layout
from normscope.operands import (
    address,
    is_native,
    memory_order,
    parameter_dtype,
    readable,
    written_out,
)
from normscope.plan import STATS, Plan, Strides, atomic_strides, plan as find_plan
from normscope.spec import Measure, NormSpec
from normscope.validation import (
    check_array,
    check_like,
    check_mask,
    check_out,
    check_set_size,
    laid_along,
    stated,
)

Array = NDArray[Any]
Floats = NDArray[np.float64]

SUMS, PLAIN, ALONG = 6, 4, 5
"""Rows of the sums of a set, as in `normscope.kernels.slope`."""


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

    with g = dy * scale and w = sqrt(v + eps): the case of the centred variance. Sums are taken in
    float64, and each result is rounded once.

    Args:
        dy: gradient with respect to the output; an array of x's shape and dtype.
        x: what was normalized.
        pattern: the spec, or a pattern with sizes and fields as keywords; as for `normalize`.
        mean, rstd: the `Stats` that `normalize(..., return_stats=True)` gave.
        scale: the learned scale; left out, it is neutral.
        mask: the mask that the statistics were taken through.
        out: array of x's shape and dtype for the gradient; it may be dy or x itself.
        **fields_and_sizes: with a bare pattern only, as for `spec`.

    Returns:
        The `Gradients`.

    Raises:
        PatternError, SpecError: the normalization is not stated correctly, or measures the maximum.
        ShapeError: x, scale or a statistic has a shape that does not fit.
        DtypeError: x is not an array of real floats.

    Example:
        >>> import numpy as np
        >>> from normscope import normalize
        >>> x = np.array([[1.0, 2.0, 4.0]])
        >>> y, stats = normalize(x, "b [c]", return_stats=True)
        >>> dy = np.array([[1.0, 0.0, 0.0]])
        >>> gradients(dy, x, "b [c]", mean=stats.mean, rstd=stats.rstd).x.round(4)
        array([[ 0.2291, -0.3436,  0.1145]])
    """
    spec = stated(pattern, fields_and_sizes, scale is not None, False)
    check_array("x", x)
    layout = spec.layout(x.shape)
    check_set_size(spec, layout)
    check_like("dy", dy, x)
    check_out(out, x)
    if spec.measure is Measure.MAX:
        raise SpecError("the maximum has no gradient where two elements are equal; none is taken")
    means = laid_along(layout, "mean", layout.kept, mean).astype(np.float64, copy=False).ravel()
    rstds = laid_along(layout, "rstd", layout.kept, rstd).astype(np.float64, copy=False).ravel()
    counted = None
    if mask is not None:
        counted = check_mask(mask, x.shape, layout.pattern.text)
        some = counted.reshape(layout.known_sizes).any(layout.shared).ravel()
        rstds = np.where(some, rstds, 0.0)  # the output of an empty set is the bias, whatever x is

    dtype = x.dtype.newbyteorder("=")
    x, dy = readable(x, out), readable(dy, out)
    target = out
    if target is None or not is_native(target):
        target = buffers.empty(x.shape, dtype, memory_order(x))
    in_place = out is not None and (address(target) in (address(x), address(dy)))
    before = None
    if in_place:  # the sums over parameters come first: afterwards x or dy is gone
        before = _over_parameters(spec, layout, x, dy, means, rstds)
    totals = _slopes(spec, layout, x, dy, counted, target, scale, means, rstds)
    if out is not None and target is not out:
        out[...] = target
    learned = before or _over_parameters(spec, layout, x, dy, means, rstds, totals)
    return Gradients(target if out is None else out, *learned)


def _slopes(
    spec: NormSpec,
    layout: Layout,
    x: Array,
    dy: Array,
    mask: Array | None,
    dx: Array,
    scale: ArrayLike | None,
    means: Floats,
    rstds: Floats,
) -> Floats:
    """Write dx; the sums of each set, (6, sets)."""
    from normscope.kernels import gradient_columns, gradient_rows
    from normscope.kernels.memory import TAGS

    axes: tuple[int, ...] = ()
    factor: Array = np.full(1, 1.0 - spec.scale_shift)
    if scale is not None:
        axes = layout.named(spec.scale or "")
        if spec.scale is None:
            raise SpecError("scale= is given, but the spec has no scale")
        factor = laid_along(layout, "scale", axes, scale)
    arrays = [atomic_strides(layout, a.strides, a.itemsize) for a in (x, dx, dy)]
    masked = None if mask is None else atomic_strides(layout, mask.strides, mask.itemsize)
    plan = find_plan(layout, [*arrays, masked], [axes, ()], x.itemsize)
    if scale is not None and plan.parameters[0] != axes:
        factor = written_out(layout, axes, factor, plan.parameters[0])
    narrow = parameter_dtype(x.dtype, factor.size, factor if scale is not None else None)
    factor = np.ascontiguousarray(factor, narrow)
    totals = np.zeros((SUMS, plan.num_sets))
    if not x.size:
        return totals
    numbers = formula(spec, x.dtype.name)
    counter = np.zeros(1, np.int64)
    tags = TAGS[x.dtype.name], TAGS[narrow.name]
    start = (plan.nest, plan.kept, numbers, address(x), address(dy))
    counted = None if mask is None else address(mask)
    ends = (counted, address(dx), address(factor), means, rstds, totals, *tags)
    rows = plan.mode == "rows"
    columns = (plan.tile, plan.chunk, plan.outer, plan.inner)
    if plan.whole:
        if rows:
            job = partial(gradient_rows.gradient, counter, plan.items, plan.per_item, *start, *ends)
        else:
            job = partial(
                gradient_columns.gradient, counter, plan.items, plan.tile, *columns[2:],
                *start, *ends,
            )  # fmt: skip
        threads.run(job, plan.items)
        return totals
    sums = (counted, address(factor), means)
    parts = np.empty((plan.chunks, SUMS, plan.num_sets))
    if rows:
        job = partial(gradient_rows.measure, counter, plan.items, *start, *sums, parts, *tags)
    else:
        job = partial(
            gradient_columns.measure, counter, plan.items, *columns, *start, *sums, parts, *tags
        )
    threads.run(job, plan.items)
    np.add.reduce(parts, axis=0, out=totals)
    counter[0] = 0
    if rows:
        job = partial(gradient_rows.apply, counter, plan.items, *start, *ends)
    else:
        job = partial(gradient_columns.apply, counter, plan.items, *columns, *start, *ends)
    threads.run(job, plan.items)
    return totals


def _over_parameters(
    spec: NormSpec,
    layout: Layout,
    x: Array,
    dy: Array,
    means: Floats,
    rstds: Floats,
    totals: Floats | None = None,
) -> tuple[Floats | None, Floats | None]:
    """The gradients of scale and bias; from the sums of the sets where each has one parameter."""
    found: list[Floats | None] = []
    done: dict[tuple[int, ...], Floats] = {}
    for which, names in ((1, spec.scale), (0, spec.bias)):
        if names is None:
            found.append(None)
            continue
        axes = layout.named(names)
        in_order = tuple(sorted(axes))
        if in_order not in done:
            # with a scale that varies within a set, its sums are weighted
            along_scale = set(layout.named(spec.scale)) if spec.scale else set()
            constant = not (set(axes) | along_scale) & set(layout.shared)
            if constant and totals is not None:
                done[in_order] = _from_sets(layout, in_order, rstds, totals)
            else:
                done[in_order] = _from_elements(layout, in_order, x, dy, means, rstds)
        sums = done[in_order][which]
        sizes = [layout.known_sizes[i] for i in in_order]
        found.append(sums.reshape(sizes).transpose([in_order.index(i) for i in axes]))
    return found[0], found[1]


def _from_sets(layout: Layout, axes: tuple[int, ...], rstds: Floats, totals: Floats) -> Floats:
    """(2, parameters): sum(dy) and sum(dy * (x - mean) * rstd), from those of each set."""
    shape = [layout.known_sizes[i] for i in layout.kept]
    others = tuple(n for n, i in enumerate(layout.kept) if i not in axes)
    plain = totals[PLAIN].reshape(shape).sum(others)
    along = (totals[ALONG] * rstds).reshape(shape).sum(others)
    return np.stack([plain.ravel(), along.ravel()])


def _from_elements(
    layout: Layout, axes: tuple[int, ...], x: Array, dy: Array, means: Floats, rstds: Floats
) -> Floats:
    """The same, from the elements: a nest of its own, which keeps the axes of the parameter."""
    from normscope.kernels import parameters
    from normscope.kernels.memory import TAGS

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
    if not x.size:
        return np.zeros((2, plan.num_sets))
    counter = np.zeros(1, np.int64)
    ends = (plan.nest, plan.kept, address(x), address(dy), address(means), address(rstds))
    tag = TAGS[x.dtype.name]
    if plan.mode == "rows":
        parts = np.empty((plan.chunks, 2, plan.num_sets))
        items = plan.num_sets * plan.chunks
        threads.run(partial(parameters.rows, counter, items, *ends, parts, tag), items)
        return np.asarray(np.add.reduce(parts, axis=0))
    items = plan.positions * plan.tiles * plan.chunks
    parts = np.empty((plan.chunks, 2, plan.positions * plan.loops[-1].size))
    job = partial(
        parameters.columns, counter, items, plan.tile, plan.chunk, plan.outer, *ends, parts, tag
    )
    threads.run(job, items)
    sums = parts[0] if plan.chunks == 1 else np.add.reduce(parts, axis=0)
    if plan.kept == 0 and plan.outer * plan.inner == 1 and plan.loops[-1].strides[STATS] == 1:
        return np.asarray(sums)  # in order already; with one parameter per element they are large
    sets = plan.loops[-1].size // (plan.outer * plan.inner)
    folded = sums.reshape(2, plan.positions, plan.outer, sets, plan.inner).sum((2, 4))
    found = np.empty((2, plan.num_sets))
    found[:, plan.set_order] = folded.reshape(2, -1)
    return found

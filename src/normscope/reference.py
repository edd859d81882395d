"""The definition of every normalization in float64 NumPy, each statistics set a row of a table.

Written for reading: this is the specification that the fast code is compared with. It shares with
that code only the notation (`NormSpec` and its layout), not a line of arithmetic.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from normscope.frameworks.statement import stated
from normscope.notation.layout import Layout
from normscope.notation.running import Running, stored_variance, updated
from normscope.notation.spec import Measure, NormSpec

Floats = NDArray[np.float64]


def reference(
    x: ArrayLike,
    spec: NormSpec | str,
    *,
    scale: ArrayLike | None = None,
    bias: ArrayLike | None = None,
    mean: ArrayLike | None = None,
    var: ArrayLike | None = None,
    mask: ArrayLike | None = None,
    **fields_and_sizes: Any,
) -> Floats:
    """Normalize by the definition.

        y = (x - m) / max(sqrt(v + eps) + eps_outside, floor) * scale + bias

    The divisor is 1 where it would be 0 or less than `spec.unit_below`, if that is given, and with
    the measure `none` everywhere.

    Args:
        x: numbers, of a shape that meets the spec's pattern.
        spec: the normalization: a `NormSpec`, a layer by name, or a pattern with sizes and fields
            as keywords; as for `normalize`.
        scale, bias: the learned parameters, shaped like the axes that the spec names, in that
            order, or flat; left out, they are neutral (factor 1, offset 0).
        mean, var: statistics from elsewhere, such as running ones, one per statistics set: in the
            shape of the axes outside brackets, or flat. `var` is the v of the
            formula; without `center` the mean is not used.
        mask: booleans that broadcast to x; only elements where it is True enter the statistics. A
            set without any has nothing to be measured against: its output is the bias. Of one with
            some, but no more than ddof, it is NaN.

        **fields_and_sizes: with a bare pattern only, as for `spec`.

    Returns:
        float64 array of x's shape.

    Raises:
        PatternError, SpecError: the normalization is not stated correctly.
        ShapeError: x does not meet the pattern.
        ValueError: a parameter has another number of values than its axes.

    Example:
        >>> from normscope import spec
        >>> reference([[1, 2, 3], [4, 5, 6]], spec("b [c]", eps=0)).round(3)
        array([[-1.225,  0.   ,  1.225],
               [-1.225,  0.   ,  1.225]])
    """
    spec = stated(spec, fields_and_sizes, scale is not None, bias is not None)
    x = np.asarray(x, np.float64)
    layout = spec.layout(x.shape)
    counted = np.broadcast_to(True if mask is None else np.asarray(mask, bool), x.shape)
    sums = summed(x, counted, layout, spec.measure)
    m = sums.means if mean is None else _per_set(layout, mean)
    v = squared_measures(sums, spec) if var is None else _per_set(layout, var)
    if mean is not None and (var is not None or spec.measure is Measure.NONE):
        known = np.ones(sums.counts.shape, bool)
    else:
        known = sums.counts > 0
    return formula(x, layout, spec, m, divisors(v, spec), known, scale, bias)


class Sums(NamedTuple):
    """What is summed up over each statistics set, one number per set.

    Attributes:
        counts: how many elements are counted.
        means: of these; 0 where there are none.
        totals: the sum that the measure takes: of squared deviations for the variance, of squares
            for mean square and L2, of sizes for L1; for the maximum the largest size.
    """

    counts: Floats
    means: Floats
    totals: Floats


def summed(x: Floats, counted: NDArray[np.bool_], layout: Layout, measure: Measure) -> Sums:
    """The sums over the counted elements of each statistics set."""
    rows, where = set_rows(x, layout), set_rows(counted, layout)
    count = where.sum(axis=1, dtype=np.float64)
    mean = _average(rows, where, count)
    match measure:
        case Measure.VARIANCE:
            return Sums(count, mean, _sum((rows - mean[:, None]) ** 2, where))
        case Measure.MEAN_SQUARE | Measure.L2:
            return Sums(count, mean, _sum(rows**2, where))
        case Measure.L1:
            return Sums(count, mean, _sum(np.abs(rows), where))
        case Measure.MAX:
            return Sums(count, mean, np.where(where, np.abs(rows), 0).max(axis=1, initial=0))
        case Measure.NONE:
            return Sums(count, mean, np.zeros_like(mean))


def set_rows(array: NDArray[Any], layout: Layout) -> NDArray[Any]:
    """An array with its statistics sets as rows.

    >>> from normscope import spec
    >>> set_rows(np.arange(6).reshape(3, 2), spec("[b] c").layout((3, 2)))
    array([[0, 2, 4],
           [1, 3, 5]])
    """
    sizes = layout.known_sizes
    shape = [math.prod(sizes[i] for i in axes) for axes in (layout.kept, layout.shared)]
    rows = array.reshape(sizes).transpose(*layout.kept, *layout.shared).reshape(shape)
    return np.ascontiguousarray(rows)  # NumPy sums neighbours in pairs, which rounds less


def _from_rows(rows: Floats, layout: Layout) -> Floats:
    """An array with its groups taken apart, whose statistics sets are these rows."""
    axes = (*layout.kept, *layout.shared)
    return rows.reshape([layout.known_sizes[i] for i in axes]).transpose(np.argsort(axes))


def _per_set(layout: Layout, values: ArrayLike) -> Floats:
    """Statistics from elsewhere, one per statistics set."""
    return (
        np.asarray(values, np.float64).reshape([layout.known_sizes[i] for i in layout.kept]).ravel()
    )


def _sum(rows: Floats, counted: NDArray[np.bool_]) -> Floats:
    total: Floats = np.where(counted, rows, 0).sum(axis=1)
    return total


def _average(rows: Floats, counted: NDArray[np.bool_], count: Floats) -> Floats:
    """The means; of equal values exactly that value, which a sum over their number may miss."""
    n = np.maximum(count, 1)
    mean = _sum(rows, counted) / n
    with np.errstate(invalid="ignore"):  # of infinite ones, which are not corrected
        rest = _sum(rows - mean[:, None], counted) / n
    return np.where(np.isfinite(mean), mean + rest, mean)


def squared_measures(sums: Sums, spec: NormSpec) -> Floats:
    """The v of the formula, for each statistics set; NaN of too few values for the ddof."""
    match spec.measure:
        case Measure.VARIANCE | Measure.MEAN_SQUARE:
            free = sums.counts - spec.ddof
            enough = np.where(free > 0, free, np.nan)
            return np.where(sums.counts > 0, sums.totals / enough, 0)
        case Measure.L2:
            return sums.totals
        case Measure.L1 | Measure.MAX:
            return sums.totals**2
        case Measure.NONE:
            return np.ones_like(sums.totals)


def divisors(v: Floats, spec: NormSpec) -> Floats:
    """What the elements of each statistics set are divided by."""
    if spec.measure is Measure.NONE:
        return np.ones_like(v)
    divisor = np.sqrt(v + spec.eps) + spec.eps_outside
    if spec.unit_below is not None:
        return np.where((divisor == 0) | (divisor < spec.unit_below), 1, divisor)
    return np.maximum(divisor, spec.floor)


def formula(
    x: Floats,
    layout: Layout,
    spec: NormSpec,
    mean: Floats,
    divisor: Floats,
    known: NDArray[np.bool_],
    scale: ArrayLike | None,
    bias: ArrayLike | None,
) -> Floats:
    """The output, from mean and divisor of each statistics set; of a set not known, the bias."""
    m = mean[:, None] if spec.center else 0.0
    with np.errstate(divide="ignore", invalid="ignore"):
        normalized = (set_rows(x, layout) - m) / divisor[:, None]
    y = _from_rows(np.where(known[:, None], normalized, 0), layout)
    if scale is not None and spec.scale is not None:
        y = y * (_along(layout, spec.scale, scale) + spec.scale_shift)
    if bias is not None and spec.bias is not None:
        y = y + _along(layout, spec.bias, bias)
    return y.reshape(x.shape)


def running_update(
    x: ArrayLike, spec: NormSpec, running_mean: ArrayLike, running_var: ArrayLike
) -> tuple[Floats, Floats]:
    """The running statistics after one training step on `x`.

        new = decay * old + (1 - decay) * batch

    Args:
        x: the batch.
        spec: a spec with `running`.
        running_mean, running_var: the values before the step, one per statistics set.

    Returns:
        mean and variance after the step, in the shapes that came. With `Running.plus_eps` the
        second array holds variance + eps, with `Running.deviation` the square root of what it
        would hold; where nothing is divided (the measure `none`) it stays as it was.

    Raises:
        ValueError: the spec has no running statistics.

    Example:
        >>> from normscope import Running, spec
        >>> batch = spec("[b] c", running=Running(decay=0.9))
        >>> running_update([[0.0], [2.0]], batch, [0.0], [1.0])
        (array([0.1]), array([1.]))
    """
    if spec.running is None:
        raise ValueError(f"{spec} has no running statistics")
    x = np.asarray(x, np.float64)
    sums = summed(x, np.ones(x.shape, bool), spec.layout(x.shape), Measure.VARIANCE)
    new_mean = _updated(spec.running, running_mean, sums.means)
    if spec.measure is Measure.NONE:
        return new_mean, np.array(running_var, np.float64)
    variances = sums.totals / (sums.counts - spec.running.ddof)
    stored = stored_variance(spec.running, variances, spec.eps, np.sqrt)
    return new_mean, _updated(spec.running, running_var, stored)


def _updated(running: Running, old: ArrayLike, batch: Floats) -> Floats:
    old = np.asarray(old, np.float64)
    new: Floats = updated(running.decay, old, batch.reshape(old.shape))
    return new


def _along(layout: Layout, names: str, parameter: ArrayLike) -> Floats:
    """A parameter, laid along the axes that it is named after, ready to broadcast."""
    axes = layout.named(names)
    sizes = layout.known_sizes
    values = np.asarray(parameter, np.float64).reshape([sizes[i] for i in axes])
    in_order = np.transpose(values, np.argsort(axes))
    return in_order.reshape([size if i in axes else 1 for i, size in enumerate(sizes)])

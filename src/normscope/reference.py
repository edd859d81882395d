"""The definition of every normalization in float64 NumPy, one statistics set after another.

Slow, and written for reading: this is the specification that the fast code is compared with. It
shares with that code only the notation (`NormSpec` and its layout), not a line of arithmetic.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

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
    shape = x.shape
    counted = np.broadcast_to(True if mask is None else np.asarray(mask, bool), x.shape)
    x, counted = x.reshape(layout.known_sizes), counted.reshape(layout.known_sizes)

    y = np.empty_like(x)
    for number, members in enumerate(statistics_sets(layout)):
        values, known = x[members], x[members][counted[members]]
        m = _mean(known, spec) if mean is None else np.ravel(mean)[number]
        m = m if spec.center else 0.0
        v = _squared_measure(known, spec) if var is None else np.ravel(var)[number]
        divisor = _divisor(v, spec)
        given = mean is not None and (var is not None or spec.measure is Measure.NONE)
        measured = known.size > 0 or given
        with np.errstate(divide="ignore", invalid="ignore"):
            y[members] = (values - m) / divisor if measured else 0.0

    if scale is not None and spec.scale is not None:
        y = y * (_along(layout, spec.scale, scale) + spec.scale_shift)
    if bias is not None and spec.bias is not None:
        y = y + _along(layout, spec.bias, bias)
    return y.reshape(shape)


def statistics_sets(layout: Layout) -> Iterator[tuple[slice | int, ...]]:
    """An index for each statistics set, into an array of shape `layout.sizes`.

    >>> from normscope import spec
    >>> list(statistics_sets(spec("b [h] c").layout((2, 9, 1))))
    [(0, slice(None, None, None), 0), (1, slice(None, None, None), 0)]
    """
    kept_sizes = [
        1 if axis.shared else size
        for axis, size in zip(layout.axes, layout.known_sizes, strict=True)
    ]
    for place in np.ndindex(*kept_sizes):
        yield tuple(
            slice(None) if axis.shared else index
            for axis, index in zip(layout.axes, place, strict=True)
        )


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
    layout = spec.layout(x.shape)
    x = x.reshape(layout.known_sizes)
    sets = [x[members].ravel() for members in statistics_sets(layout)]
    means = np.array([_average(values) for values in sets])
    new_mean = _updated(spec.running, running_mean, means)
    if spec.measure is Measure.NONE:
        return new_mean, np.array(running_var, np.float64)
    ddof = spec.running.ddof
    variances = np.array([_sum_of_squares(x - _average(x)) / (x.size - ddof) for x in sets])
    stored = stored_variance(spec.running, variances, spec.eps, np.sqrt)
    return new_mean, _updated(spec.running, running_var, stored)


def _updated(running: Running, old: ArrayLike, batch: Floats) -> Floats:
    old = np.asarray(old, np.float64)
    new: Floats = updated(running.decay, old, batch.reshape(old.shape))
    return new


def _mean(values: Floats, spec: NormSpec) -> float:
    return _average(values) if spec.center and values.size else 0.0


def _average(values: Floats) -> float:
    """The mean; of equal values exactly that value, which a sum over their number may miss."""
    mean = float(np.mean(values))
    return mean + float(np.mean(values - mean)) if np.isfinite(mean) else mean


def _squared_measure(values: Floats, spec: NormSpec) -> float:
    """The v of the formula, for the values of one statistics set."""
    if values.size == 0:
        return 0.0
    match spec.measure:
        case Measure.VARIANCE:
            return _mean_square(values - _average(values), spec.ddof)
        case Measure.MEAN_SQUARE:
            return _mean_square(values, spec.ddof)
        case Measure.L2:
            return _sum_of_squares(values)
        case Measure.L1:
            return float(np.sum(np.abs(values))) ** 2
        case Measure.MAX:
            return float(np.max(np.abs(values))) ** 2
        case Measure.NONE:
            return 1.0


def _divisor(v: float, spec: NormSpec) -> float:
    if spec.measure is Measure.NONE:
        return 1.0
    divisor = float(np.sqrt(v + spec.eps)) + spec.eps_outside
    if spec.unit_below is not None and (divisor == 0 or divisor < spec.unit_below):
        return 1.0
    return max(divisor, spec.floor)


def _mean_square(values: Floats, ddof: int) -> float:
    """NaN if there are too few values for that ddof."""
    free = values.size - ddof
    return _sum_of_squares(values) / free if free > 0 else np.nan


def _sum_of_squares(values: Floats) -> float:
    return float(np.sum(values**2))


def _along(layout: Layout, names: str, parameter: ArrayLike) -> Floats:
    """A parameter, laid along the axes that it is named after, ready to broadcast."""
    axes = layout.named(names)
    sizes = layout.known_sizes
    values = np.asarray(parameter, np.float64).reshape([sizes[i] for i in axes])
    in_order = np.transpose(values, np.argsort(axes))
    return in_order.reshape([size if i in axes else 1 for i, size in enumerate(sizes)])

"""The formula of every `NormSpec`, over a small set of operations that any framework has.

The mean is taken away in two steps, the second of which removes what the first left by rounding,
and the variance is the mean square of what remains: so a large mean costs no digits, neither in the
sums nor in the result.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable
from typing import NamedTuple

from normscope.errors import SpecError
from normscope.layers.common.operations import Operations, Tensor
from normscope.layers.common.shapes import per_set, placed
from normscope.notation.layout import Layout
from normscope.notation.spec import Measure, NormSpec

AllSum = Callable[[Tensor], Tensor]
"""Adds a tensor up over all replicas, and in the backward pass its gradient."""

_SMALLEST = 2.0**-126  # the smallest normal number of float32


class Moments(NamedTuple):
    """The measurements, one value per statistics set.

    Attributes:
        mean: the mean; 0 where the spec needs none.
        v: v of the formula: the variance, or the square of another measure; 1 where nothing is
            divided.
        count: how many values each set holds; a number where that is known before the run.

    Tensors have the shape of the input with its groups taken apart and shared axes of length 1.
    """

    mean: Tensor
    v: Tensor
    count: Tensor


def normalize(
    ops: Operations,
    x: Tensor,
    spec: NormSpec,
    layout: Layout,
    *,
    scale: Tensor | None = None,
    bias: Tensor | None = None,
    counted: Tensor | None = None,
    all_sum: AllSum | None = None,
) -> tuple[Tensor, Moments]:
    """Normalize the split input `x` by its own statistics.

        y = (x - m) / max(sqrt(v + eps) + eps_outside, floor) * scale + bias

    Args:
        ops: the framework.
        x: floats in the dtype of the statistics, with the groups of axes taken apart.
        spec: the normalization.
        layout: the spec's, for the shape of the input.
        scale, bias: parameters along the axes that the spec names, in that order, or flat.
        counted: booleans that broadcast to x; where it is False a value does not enter the
            statistics. A set without any value is set to the bias; one with some, but no more than
            ddof, to NaN. A value that does not count and gives no finite output has no gradient.
        all_sum: adds up over replicas that hold other values of the same statistics sets.

    Returns:
        y, of x's shape and dtype, and the `Moments`.
    """
    sets = Sets(ops, x, layout, counted, all_sum)
    return normalize_by(sets, x, spec, layout, scale=scale, bias=bias)


def normalize_by(
    sets: Sets,
    x: Tensor,
    spec: NormSpec,
    layout: Layout,
    *,
    scale: Tensor | None = None,
    bias: Tensor | None = None,
) -> tuple[Tensor, Moments]:
    """Normalize the split input as its sets are measured; the rest is as for `normalize`."""
    centred, found = _measure(x, spec, sets)
    ops, factor = sets.ops, sets.zero_if_empty(_factor(sets.ops, found.v, spec))

    def scaled(values: Tensor) -> Tensor:
        return _scaled(ops, values, spec, layout, factor, scale, bias)

    return _hiding(ops, sets.counted, centred, scaled), found


def moments(
    ops: Operations,
    x: Tensor,
    spec: NormSpec,
    layout: Layout,
    *,
    counted: Tensor | None = None,
    all_sum: AllSum | None = None,
) -> Moments:
    """The statistics of the split input alone; the arguments are those of `normalize`."""
    return _measure(x, spec, Sets(ops, x, layout, counted, all_sum))[1]


def normalized(
    ops: Operations,
    x: Tensor,
    spec: NormSpec,
    layout: Layout,
    mean: Tensor | None,
    v: Tensor | None,
    *,
    scale: Tensor | None = None,
    bias: Tensor | None = None,
    counted: Tensor | None = None,
) -> Tensor:
    """Normalize the split input by statistics from elsewhere, such as moving ones.

    Args:
        ops, x, spec, layout, scale, bias: as for `normalize`.
        counted: as for `normalize`; here it matters to gradients alone.
        mean, v: one value per statistics set, in the shape that `Moments` have, in that of the kept
            axes, or flat. A spec that is not centred does not use `mean`, one that divides by
            nothing does not use `v`; what is not used may be None.

    Returns:
        y, of x's shape and dtype.

    Raises:
        SpecError: the spec uses what is None.
    """
    if spec.center:
        if mean is None:
            raise SpecError(f"mean is None, but {spec} subtracts it: give one per statistics set")
        x = x - per_set(ops, mean, layout, x)
    factor = None
    if spec.measure is not Measure.NONE:
        if v is None:
            raise SpecError(f"v is None, but {spec} divides by it: give one value for each set")
        factor = _factor(ops, per_set(ops, v, layout, x), spec)

    def scaled(values: Tensor) -> Tensor:
        return _scaled(ops, values, spec, layout, factor, scale, bias)

    return _hiding(ops, counted, x, scaled)


# --- measure --------------------------------------------------------------------------------------


class Sets:
    """The statistics sets of one split input: which values count, and sums over each set."""

    def __init__(
        self,
        ops: Operations,
        x: Tensor,
        layout: Layout,
        counted: Tensor | None,
        all_sum: AllSum | None,
    ) -> None:
        self.ops = ops
        self.axes = layout.shared
        before = any(i < max(layout.kept, default=-1) for i in self.axes)
        # Over rows in cache the second pass costs little, and where `_near_mean` is one element it
        # may be far from the mean. Otherwise both sums are taken in one pass.
        self.twice = (not before or len(self.axes) == 1) and all_sum is None
        self.counted = counted
        self.all_sum = all_sum
        self.count = self._count(x)

    def _count(self, x: Tensor) -> Tensor:
        ops, sizes = self.ops, self.ops.shape(x)
        if self.counted is None:
            count: Tensor = math.prod(sizes[i] for i in self.axes)
            if ops.is_number(count):
                if self.all_sum is None:
                    return count
                count = ops.sum(ops.ones_like(x), self.axes)
            count = ops.cast(count, x.dtype)
        else:
            counted = ops.broadcast_to(ops.cast(self.counted, x.dtype), sizes)
            count = ops.sum(counted, self.axes)
        return count if self.all_sum is None else self.all_sum(count)

    def only(self, values: Tensor) -> Tensor:
        """The values that count, and 0 in place of the others."""
        return values if self.counted is None else self.ops.where(self.counted, values, 0)

    def sum(self, values: Tensor) -> Tensor:
        """The sum over each set, over all replicas."""
        own = self.ops.sum(values, self.axes)
        return own if self.all_sum is None else self.all_sum(own)

    def largest(self, magnitudes: Tensor) -> Tensor:
        """The largest magnitude of each set; 0 for an empty one."""
        return self.ops.largest(magnitudes, self.axes)

    def centred(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """`x` minus the mean of its set, and the mean.

        What is taken away first is a constant, so that no gradient needs to go through it.
        """
        near = self.ops.stop_gradient(self._near_mean(x))
        x = x - near
        rest = self.sum(self.only(x)) / self._divisor()
        return x - rest, near + rest

    def deviations(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """The two results of `centred`, and the sum of squared deviations."""
        ops = self.ops
        if self.twice:
            centred, mean = self.centred(x)
            return centred, mean, self.sum(ops.square(self.only(centred)))
        near = ops.stop_gradient(self._near_mean(x))
        x = x - near
        counted = self.only(x)
        sums = [ops.sum(counted, self.axes), ops.sum(ops.square(counted), self.axes)]
        if self.all_sum is not None:
            sums = self.all_sum(ops.stack(sums))
        rest = sums[0] / self._divisor()
        squares = ops.maximum(sums[1] - self.count * ops.square(rest), 0)
        return x - rest, near + rest, squares

    def _near_mean(self, x: Tensor) -> Tensor:
        """Some value close to those of each set, the same in all replicas.

        The mean of one slice of the set, but within the slice's ends: so it is exactly the value of
        a set where all are equal. One element would do, but XLA computes that again wherever it is
        used.
        """
        ops = self.ops
        if self.counted is not None or self.all_sum is not None or self._is_empty():
            mean = self.sum(self.only(x)) / self._divisor()
            # The bound changes no finite number. Without it XLA divides and subtracts in one step
            # in some of its loops, where the mean is then another number than elsewhere.
            return ops.maximum(mean, _LOWEST["float64" in str(x.dtype)])
        if not self.axes:
            return x
        slices = (slice(0, 1) if i == self.axes[0] else slice(None) for i in range(len(x.shape)))
        some = x[tuple(slices)]
        low, high = ops.smallest(some, self.axes), ops.largest(some, self.axes)
        return ops.minimum(ops.maximum(ops.mean(some, self.axes), low), high)

    def _divisor(self) -> Tensor:
        if not self.ops.is_number(self.count):
            return self.ops.maximum(self.count, 1)
        return 1 if self._is_empty() else self.count

    def _is_empty(self) -> bool:
        """True if sets are known to have no values; a length known only later is taken as some."""
        return isinstance(self.count, int) and self.count == 0

    def less(self, ddof: int) -> Tensor:
        """The divisor count - ddof; 1 for an empty set, whose sum is 0, and NaN for a small one."""
        if self.ops.is_number(self.count):
            return 1 if self._is_empty() else self.count - ddof
        if not ddof:
            return self._divisor()
        some = self.ops.where(self.count > ddof, self.count - ddof, math.nan)
        return self.ops.where(self.count > 0, some, 1)

    def zero_if_empty(self, factor: Tensor) -> Tensor:
        """The factor of each set; 0 for a set that a mask leaves without any value."""
        return factor if self.counted is None else self.ops.where(self.count > 0, factor, 0)


_LOWEST = (-float.fromhex("0x1.fffffep+127"), -sys.float_info.max)
"""The lowest finite numbers of float32 and float64."""


def _measure(x: Tensor, spec: NormSpec, sets: Sets) -> tuple[Tensor, Moments]:
    """The values that the divisor divides, and the moments; `x` is split."""
    ops = sets.ops
    centred, mean, squares = x, 0.0, 0.0
    if spec.measure is Measure.NONE:
        centred, mean = sets.centred(x)
    elif spec.center or spec.measure is Measure.VARIANCE:
        centred, mean, squares = sets.deviations(x)
    match spec.measure:
        case Measure.VARIANCE:
            v = squares / sets.less(spec.ddof)
        case Measure.MEAN_SQUARE:
            v = sets.sum(ops.square(sets.only(x))) / sets.less(spec.ddof)
        case Measure.L2:
            v = sets.sum(ops.square(sets.only(x)))
        case Measure.L1:
            v = ops.square(sets.sum(ops.absolute(sets.only(x))))
        case Measure.MAX:
            v = ops.square(sets.largest(ops.absolute(sets.only(x))))
        case Measure.NONE:
            v = ops.ones_like(mean)
    return centred if spec.center else x, Moments(mean, v, sets.count)


# --- divide, scale and shift ----------------------------------------------------------------------


def _factor(ops: Operations, v: Tensor, spec: NormSpec) -> Tensor:
    """1 / max(sqrt(v + eps) + eps_outside, floor), or 1 in its place.

    Floor and guard are applied under the root: there the gradient of a set of zeros is 0, not NaN.
    """
    if spec.measure is Measure.NONE:
        return ops.ones_like(v)
    v = v + spec.eps
    if spec.unit_below is not None:
        divisor = ops.sqrt(ops.stop_gradient(v)) + spec.eps_outside
        one = divisor < spec.unit_below if spec.unit_below else divisor <= 0
        root = ops.sqrt(ops.where(one, ops.ones_like(v), v))
        return ops.where(one, ops.ones_like(v), 1 / (root + spec.eps_outside))
    if spec.floor > spec.eps_outside:
        v = ops.maximum(v, max((spec.floor - spec.eps_outside) ** 2, _SMALLEST))
    return 1 / (ops.sqrt(v) + spec.eps_outside) if spec.eps_outside else ops.rsqrt(v)


def _hiding(
    ops: Operations, counted: Tensor | None, centred: Tensor, scaled: Callable[[Tensor], Tensor]
) -> Tensor:
    """The values scaled, where one that does not count and has no finite output is a constant.

    Otherwise its product with a gradient of 0 would be NaN, in the gradients of all its set.
    """
    if counted is None:
        return scaled(centred)
    whole = ops.stop_gradient(scaled(centred))
    finite = ops.isfinite(whole)
    y = scaled(ops.where(counted, centred, ops.where(finite, centred, 0)))
    return ops.where(counted, y, ops.where(finite, y, whole))


def _scaled(
    ops: Operations,
    centred: Tensor,
    spec: NormSpec,
    layout: Layout,
    factor: Tensor | None,
    scale: Tensor | None,
    bias: Tensor | None,
) -> Tensor:
    """The product centred * factor * scale, the small factors first, plus bias."""
    if scale is None or spec.scale is None:
        y = centred if factor is None else centred * factor
    else:
        axes = layout.named(spec.scale)
        scale = placed(ops, scale, layout, axes, centred.dtype)
        scale = scale + spec.scale_shift if spec.scale_shift else scale
        spread = {*layout.kept, *axes}  # the axes of factor * scale
        if factor is None:
            y = centred * scale
        elif len(spread) < len(layout.axes):
            y = centred * (factor * scale)
        else:
            y = centred * factor * scale
    if bias is None or spec.bias is None:
        return y
    return y + placed(ops, bias, layout, layout.named(spec.bias), centred.dtype)

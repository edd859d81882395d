"""The formula of every `NormSpec` in `keras.ops`: the same code on TensorFlow, JAX and torch.

Statistics are computed in float32 (float64 for float64 input). The mean is taken away in two steps,
the second of which removes what the first left by rounding, and the variance is the mean square of
what remains: so a large mean costs no digits, neither in the sums nor in the result.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import keras
from keras import ops

from normscope.errors import SpecError
from normscope.layers.keras.shapes import (
    Tensor,
    join,
    per_set,
    placed,
    split,
    split_mask,
)
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
    x: Tensor,
    spec: NormSpec,
    layout: Layout,
    *,
    scale: Tensor | None = None,
    bias: Tensor | None = None,
    mask: Tensor | None = None,
    all_sum: AllSum | None = None,
) -> tuple[Tensor, Moments | None]:
    """Normalize `x` by its own statistics.

        y = (x - m) / max(sqrt(v + eps) + eps_outside, floor) * scale + bias

    Faster kernels come in here, as torch's own operators do: this function is given everything that
    the result depends on.

    Args:
        x: floats, of the shape that `layout` was made for.
        spec: the normalization.
        layout: `spec.layout(x.shape)`; lengths may be unknown.
        scale, bias: parameters along the axes that the spec names, in that order, or flat.
        mask: booleans over the leading axes of x; where it is False a value does not enter the
            statistics. A set without any value is set to the bias. A mask that lies wholly outside
            the statistics sets changes nothing.
        all_sum: adds up over replicas that hold other values of the same statistics sets.

    Returns:
        y, of x's shape, in the dtype of the statistics; and the `Moments` if the spec has running
        statistics, for which they are meant.
    """
    x = split(x, layout)
    if keras.backend.backend() == "torch" and mask is None and all_sum is None:
        done = _by_torch_operator(x, spec, layout, scale, bias)
        if done:
            return join(done[0], layout), done[1]
    sets = _Sets(x, layout, mask, all_sum)
    centred, moments = _measure(x, spec, sets)
    y = _scaled(centred, spec, layout, sets.zero_if_empty(_factor(moments.v, spec)), scale, bias)
    return join(y, layout), moments if spec.running else None


def moments(
    x: Tensor,
    spec: NormSpec,
    layout: Layout,
    *,
    mask: Tensor | None = None,
    all_sum: AllSum | None = None,
) -> Moments:
    """The statistics of `x` alone; the arguments are those of `normalize`."""
    x = split(x, layout)
    return _measure(x, spec, _Sets(x, layout, mask, all_sum))[1]


def normalized(
    x: Tensor,
    spec: NormSpec,
    layout: Layout,
    mean: Tensor,
    v: Tensor | None,
    *,
    scale: Tensor | None = None,
    bias: Tensor | None = None,
) -> Tensor:
    """Normalize `x` by statistics from elsewhere, such as moving ones.

    Args:
        x, spec, layout, scale, bias: as for `normalize`.
        mean, v: one value per statistics set, in the shape that `Moments` have, in that of the kept
            axes, or flat. A spec that is not centred does not use `mean`, one that divides by
            nothing does not use `v`, which may then be None.

    Returns:
        y, of x's shape, in the dtype of the statistics.

    Raises:
        SpecError: the spec divides, and `v` is None.
    """
    x = split(x, layout)
    if spec.center:
        x = x - per_set(mean, layout, x)
    if v is None and spec.measure is not Measure.NONE:
        raise SpecError(f"v is None, but {spec} divides by it: give one value per statistics set")
    known = per_set(mean if v is None else v, layout, x)
    y = _scaled(x, spec, layout, _factor(known, spec), scale, bias)
    return join(y, layout)


# --- measure --------------------------------------------------------------------------------------


class _Sets:
    """The statistics sets of one split input: which values count, and sums over each set."""

    def __init__(
        self, x: Tensor, layout: Layout, mask: Tensor | None, all_sum: AllSum | None
    ) -> None:
        self.axes = layout.shared
        last_kept = max(layout.kept, default=-1)
        before = tuple(i for i in self.axes if i < last_kept)
        after = tuple(i for i in self.axes if i > last_kept)
        self.steps = [axes for axes in (before, after) if axes]
        # Over rows in cache the second pass costs little, and where `_near_mean` is one element it
        # may be far from the mean. Otherwise both sums are taken in one pass.
        self.twice = (not before or len(self.axes) == 1) and all_sum is None
        self.counted = None if mask is None else split_mask(mask, x, layout)
        self.all_sum = all_sum
        self.count = self._count(x)

    @property
    def are_plain(self) -> bool:
        """True if every value counts, and this replica holds them all."""
        return self.counted is None and self.all_sum is None

    def _count(self, x: Tensor) -> Tensor:
        sizes = ops.shape(x)
        if self.counted is None:
            count: Tensor = math.prod(sizes[i] for i in self.axes)
            if isinstance(count, int) and self.all_sum is None:
                return count
            count = ops.cast(count, x.dtype)
        else:
            counted = ops.broadcast_to(ops.cast(self.counted, x.dtype), sizes)
            count = ops.sum(counted, axis=self.axes, keepdims=True)
        return count if self.all_sum is None else self.all_sum(count)

    def sum(self, values: Tensor) -> Tensor:
        """The sum over each set, over all replicas."""
        own = self._own_sum(values)
        return own if self.all_sum is None else self.all_sum(own)

    def _own_sum(self, values: Tensor) -> Tensor:
        """In two steps: XLA is slow at summing over the last axis together with earlier ones."""
        values = self._or_zero(values)
        for axes in self.steps:
            values = ops.sum(values, axis=axes, keepdims=True)
        return values

    def largest(self, magnitudes: Tensor) -> Tensor:
        """The largest magnitude of each set; 0 for an empty one."""
        return ops.max(self._or_zero(magnitudes), axis=self.axes, keepdims=True)

    def centred(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """`x` minus the mean of its set, and the mean.

        What is taken away first is a constant, so that no gradient needs to go through it.
        """
        near = ops.stop_gradient(self._near_mean(x))
        x = x - near
        rest = self.sum(x) / self._divisor()
        return x - rest, near + rest

    def deviations(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """The two results of `centred`, and the sum of squared deviations."""
        if self.twice:
            centred, mean = self.centred(x)
            return centred, mean, self.sum(ops.square(centred))
        near = ops.stop_gradient(self._near_mean(x))
        x = x - near
        sums = [self._own_sum(x), self._own_sum(ops.square(x))]
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
        if not self.are_plain:
            return self.sum(x) / self._divisor()
        if not self.axes:
            return x
        slices = (slice(0, 1) if i == self.axes[0] else slice(None) for i in range(len(x.shape)))
        some = x[tuple(slices)]
        mean, low, high = (f(some, self.axes, keepdims=True) for f in (ops.mean, ops.min, ops.max))
        return ops.minimum(ops.maximum(mean, low), high)

    def _divisor(self) -> Tensor:
        return max(self.count, 1) if isinstance(self.count, int) else ops.maximum(self.count, 1)

    def _or_zero(self, values: Tensor) -> Tensor:
        return values if self.counted is None else ops.where(self.counted, values, 0)

    def zero_if_empty(self, factor: Tensor) -> Tensor:
        """The factor of each set; 0 for a set that a mask leaves without any value."""
        return factor if self.counted is None else ops.where(self.count > 0, factor, 0)


def _measure(x: Tensor, spec: NormSpec, sets: _Sets) -> tuple[Tensor, Moments]:
    """The values that the divisor divides, and the moments; `x` is split."""
    centred, mean, squares = x, 0.0, 0.0
    if spec.measure is Measure.NONE:
        centred, mean = sets.centred(x)
    elif spec.center or spec.measure is Measure.VARIANCE:
        centred, mean, squares = sets.deviations(x)
    match spec.measure:
        case Measure.VARIANCE:
            v = squares / _minus(sets.count, spec.ddof)
        case Measure.MEAN_SQUARE:
            v = sets.sum(ops.square(x)) / _minus(sets.count, spec.ddof)
        case Measure.L2:
            v = sets.sum(ops.square(x))
        case Measure.L1:
            v = ops.square(sets.sum(ops.abs(x)))
        case Measure.MAX:
            v = ops.square(sets.largest(ops.abs(x)))
        case Measure.NONE:
            v = ops.ones_like(mean)
    return centred if spec.center else x, Moments(mean, v, sets.count)


def _minus(count: Tensor, ddof: int) -> Tensor:
    """The divisor count - ddof; 1 for an empty set, whose sum is 0."""
    if isinstance(count, int):
        return count - ddof if count else 1
    return ops.where(count > 0, count - ddof, 1)


# --- torch's operators ----------------------------------------------------------------------------


def _by_torch_operator(
    x: Tensor,
    spec: NormSpec,
    layout: Layout,
    scale: Tensor | None,
    bias: Tensor | None,
) -> tuple[Tensor, Moments | None] | None:
    """The result of one of torch's own operators on the split input, if one computes this spec."""
    from normscope.layers.keras import torch_operators

    scale, bias = (None if p is None else ops.convert_to_tensor(p) for p in (scale, bias))
    done = torch_operators.normalize(x, spec, layout, scale, bias)
    if done is None or done.mean is None:
        return done and (done.y, None)
    return done.y, Moments(done.mean, done.variance, layout.set_size)


# --- divide, scale and shift ----------------------------------------------------------------------


def _factor(v: Tensor, spec: NormSpec) -> Tensor:
    """1 / max(sqrt(v + eps) + eps_outside, floor), or 1 in its place.

    Floor and guard are applied under the root: there the gradient of a set of zeros is 0, not NaN.
    """
    if spec.measure is Measure.NONE:
        return ops.ones_like(v)
    v = v + spec.eps
    if spec.unit_below is not None:
        divisor = ops.sqrt(ops.stop_gradient(v)) + spec.eps_outside
        one = ops.logical_or(ops.equal(divisor, 0), ops.less(divisor, spec.unit_below))
        root = ops.sqrt(ops.where(one, ops.ones_like(v), v))
        return ops.where(one, ops.ones_like(v), 1 / (root + spec.eps_outside))
    if spec.floor > spec.eps_outside:
        v = ops.maximum(v, max((spec.floor - spec.eps_outside) ** 2, _SMALLEST))
    return 1 / (ops.sqrt(v) + spec.eps_outside) if spec.eps_outside else ops.rsqrt(v)


def _scaled(
    centred: Tensor,
    spec: NormSpec,
    layout: Layout,
    factor: Tensor,
    scale: Tensor | None,
    bias: Tensor | None,
) -> Tensor:
    """The product centred * factor * scale, the small factors first, plus bias."""
    if scale is None or spec.scale is None:
        y = centred * factor
    else:
        axes = layout.named(spec.scale)
        scale = placed(scale, layout, axes, centred) + spec.scale_shift
        spread = {*layout.kept, *axes}  # the axes of factor * scale
        small = len(spread) < len(layout.axes)
        y = centred * (factor * scale) if small else centred * factor * scale
    if bias is None or spec.bias is None:
        return y
    return y + placed(bias, layout, layout.named(spec.bias), centred)

"""The formula of every `NormSpec` in `keras.ops`: the same code on TensorFlow, JAX and torch.

Statistics are computed in float32 (float64 for float64 input). Before anything is summed, one value
of each set is taken away from the whole set, and the variance is the mean square of what remains
after the mean: so a large mean costs no digits, neither in the sums nor in the result.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import keras
from keras import ops

from normscope.errors import ShapeError
from normscope.layout import AtomicAxis, Layout
from normscope.shape import product
from normscope.spec import Measure, NormSpec

Tensor = Any
"""A tensor of the backend in use; keras has no type for it."""

AllSum = Callable[[Tensor], Tensor]
"""Adds a tensor up over all replicas, and in the backward pass its gradient."""

_SMALLEST = 2.0**-126  # the smallest normal number of float32


class Moments(NamedTuple):
    """What was measured, one value per statistics set.

    Attributes:
        mean: the mean; 0 where the spec needs none.
        v: v of the formula: the variance, or the square of another measure.
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
    x = _split(x, layout)
    sets = _Sets(x, layout, mask, all_sum)
    operator = _torch_operator(spec, layout, sets)
    if operator is not None:
        y, measured = _run(operator, x, spec, layout, sets, scale, bias)
        return _join(y, layout), measured
    centred, moments = _measure(x, spec, sets)
    y = _scaled(centred, spec, layout, sets.zero_if_empty(_factor(moments.v, spec)), scale, bias)
    return _join(y, layout), moments if spec.running else None


def moments(
    x: Tensor,
    spec: NormSpec,
    layout: Layout,
    *,
    mask: Tensor | None = None,
    all_sum: AllSum | None = None,
) -> Moments:
    """The statistics of `x` alone; the arguments are those of `normalize`."""
    x = _split(x, layout)
    return _measure(x, spec, _Sets(x, layout, mask, all_sum))[1]


def normalized(
    x: Tensor,
    spec: NormSpec,
    layout: Layout,
    mean: Tensor,
    v: Tensor,
    *,
    scale: Tensor | None = None,
    bias: Tensor | None = None,
) -> Tensor:
    """Normalize `x` by statistics from elsewhere, such as moving ones.

    Args:
        x, spec, layout, scale, bias: as for `normalize`.
        mean, v: one value per statistics set, in the shape that `Moments` have, in that of the kept
            axes, or flat. A spec that is not centred does not use `mean`.

    Returns:
        y, of x's shape, in the dtype of the statistics.
    """
    x = _split(x, layout)
    if spec.center:
        x = x - _per_set(mean, layout, x)
    y = _scaled(x, spec, layout, _factor(_per_set(v, layout, x), spec), scale, bias)
    return _join(y, layout)


def statistics_dtype(dtype: Any) -> str:
    """The dtype in which statistics of such values are computed.

    >>> statistics_dtype("bfloat16"), statistics_dtype("float64")
    ('float32', 'float64')
    """
    return "float64" if "float64" in str(dtype) else "float32"


# --- measure --------------------------------------------------------------------------------------


class _Sets:
    """The statistics sets of one split input: which values count, and sums over each set."""

    def __init__(
        self, x: Tensor, layout: Layout, mask: Tensor | None, all_sum: AllSum | None
    ) -> None:
        self.axes = layout.shared
        self.counted = None if mask is None else _split_mask(mask, x, layout)
        self.all_sum = all_sum
        self.count = self._count(x)

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
        return ops.sum(self._or_zero(values), axis=self.axes, keepdims=True)

    def largest(self, magnitudes: Tensor) -> Tensor:
        """The largest magnitude of each set; 0 for an empty one."""
        return ops.max(self._or_zero(magnitudes), axis=self.axes, keepdims=True)

    def deviations(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """`x` minus the mean of its set, the mean, and the sum of squared deviations.

        What is taken away first is a constant, so that no gradient needs to go through it.
        """
        near = ops.stop_gradient(self.near_mean(x))
        x = x - near
        if self.all_sum is None:
            rest = self.sum(x) / self._divisor()
            centred = x - rest
            squares = self.sum(ops.square(centred))
        else:  # `near` is the mean but for rounding, so nothing cancels in the difference
            own = ops.stack([self._own_sum(x), self._own_sum(ops.square(x))])
            sums = self.all_sum(own)
            rest = sums[0] / self._divisor()
            centred = x - rest
            squares = ops.maximum(sums[1] - self.count * ops.square(rest), 0)
        return centred, near + rest, squares

    def near_mean(self, x: Tensor) -> Tensor:
        """Some value close to those of each set, the same in all replicas.

        The mean of one slice of the set is close enough, and taken so that it is exact where all
        values are equal. One element alone would do, but XLA would copy what computes that element
        into every place that uses it.
        """
        if self.all_sum is not None or self.counted is not None:
            return self.sum(x) / self._divisor()
        if not self.axes:
            return x
        some = _first(x, self.axes[:1])
        one = _first(some, self.axes)
        return one + ops.mean(some - one, axis=self.axes, keepdims=True)

    def _divisor(self) -> Tensor:
        return max(self.count, 1) if isinstance(self.count, int) else ops.maximum(self.count, 1)

    def _or_zero(self, values: Tensor) -> Tensor:
        return values if self.counted is None else ops.where(self.counted, values, 0)

    def zero_if_empty(self, factor: Tensor) -> Tensor:
        """The factor of each set; 0 for a set that a mask leaves without any value."""
        return factor if self.counted is None else ops.where(self.count > 0, factor, 0)


def _first(x: Tensor, axes: tuple[int, ...]) -> Tensor:
    """Where `x` begins along some axes, which then have length 1."""
    return x[tuple(slice(0, 1) if i in axes else slice(None) for i in range(len(x.shape)))]


def _measure(x: Tensor, spec: NormSpec, sets: _Sets) -> tuple[Tensor, Moments]:
    """What the divisor divides, and the moments; `x` is split."""
    centred, mean, squares = x, 0.0, 0.0
    if spec.center or spec.measure is Measure.VARIANCE:
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
    return centred if spec.center else x, Moments(mean, v, sets.count)


def _minus(count: Tensor, ddof: int) -> Tensor:
    """The divisor count - ddof; 1 for an empty set, whose sum is 0."""
    if isinstance(count, int):
        return count - ddof if count else 1
    return ops.where(count > 0, count - ddof, 1)


# --- torch's operators ----------------------------------------------------------------------------


def _torch_operator(spec: NormSpec, layout: Layout, sets: _Sets) -> Any | None:
    """The operator of torch that may do all the work: without a mask, and for one replica."""
    if keras.backend.backend() != "torch" or sets.counted is not None or sets.all_sum is not None:
        return None
    from normscope.layers.keras.torch_operators import operator_for

    return operator_for(spec, layout.shape)


def _run(
    operator: Any,
    x: Tensor,
    spec: NormSpec,
    layout: Layout,
    sets: _Sets,
    scale: Tensor | None,
    bias: Tensor | None,
) -> tuple[Tensor, Moments | None]:
    """What the operator makes of `x` freed from a large mean, with which it would lose digits."""
    near = ops.stop_gradient(sets.near_mean(x)) if spec.center else None
    if scale is not None:
        scale = ops.reshape(ops.cast(scale, x.dtype), (-1,))
        scale = scale + spec.scale_shift if spec.scale_shift else scale
    if bias is not None:
        bias = ops.reshape(ops.cast(bias, x.dtype), (-1,))
    y, mean, variance = operator(x if near is None else x - near, scale, bias)
    if mean is None:
        return y, None
    mean = near + _per_set(mean, layout, x)
    return y, Moments(mean, _per_set(variance, layout, x), sets.count)


# --- divide, scale and shift ----------------------------------------------------------------------


def _factor(v: Tensor, spec: NormSpec) -> Tensor:
    """1 / max(sqrt(v + eps) + eps_outside, floor).

    The floor is applied under the root: there the gradient of a set of zeros is 0, not NaN.
    """
    v = v + spec.eps
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
        scale = _placed(scale, layout, axes, centred) + spec.scale_shift
        spread = {*layout.kept, *axes}  # the axes of factor * scale
        small = len(spread) < len(layout.axes)
        y = centred * (factor * scale) if small else centred * factor * scale
    if bias is None or spec.bias is None:
        return y
    return y + _placed(bias, layout, layout.named(spec.bias), centred)


# --- shapes ---------------------------------------------------------------------------------------


def _placed(parameter: Tensor, layout: Layout, axes: tuple[int, ...], x: Tensor) -> Tensor:
    """A parameter along some axes, shaped to broadcast against the split input `x`."""
    place = layout.place(axes)
    parameter = ops.cast(parameter, x.dtype)
    if place.order != tuple(range(len(axes))):
        parameter = ops.transpose(ops.reshape(parameter, place.shape), place.order)
    return ops.reshape(parameter, place.broadcast)


def _per_set(values: Tensor, layout: Layout, x: Tensor) -> Tensor:
    """One value per statistics set, shaped to broadcast against the split input `x`."""
    sizes = ops.shape(x)
    shape = [1 if axis.shared else sizes[i] for i, axis in enumerate(layout.axes)]
    return ops.reshape(ops.cast(values, x.dtype), shape)


def _split(x: Tensor, layout: Layout) -> Tensor:
    """`x` in the dtype of the statistics, with every group of axes taken apart."""
    x = ops.convert_to_tensor(x)
    x = ops.cast(x, statistics_dtype(x.dtype))
    return ops.reshape(x, _split_sizes(x, layout)) if _is_split(layout) else x


def _join(y: Tensor, layout: Layout) -> Tensor:
    """The opposite of `_split`."""
    if not _is_split(layout):
        return y
    sizes = ops.shape(y)
    return ops.reshape(
        y,
        [
            math.prod(sizes[i] for i, axis in enumerate(layout.axes) if axis.dim == dim)
            for dim in range(len(layout.shape))
        ],
    )


def _is_split(layout: Layout) -> bool:
    return [axis.dim for axis in layout.axes] != list(range(len(layout.shape)))


def _split_sizes(x: Tensor, layout: Layout) -> list[Any]:
    """The lengths of the atomic axes, where they are not known before the run: tensors."""
    own = ops.shape(x)
    return [
        axis.size if axis.size is not None else own[axis.dim] // _others(layout, axis)
        for axis in layout.axes
    ]


def _others(layout: Layout, axis: AtomicAxis) -> int:
    """The product of the axes that make up one axis of the array together with `axis`."""
    others = product(part.size for part in layout.parts(axis.dim) if part is not axis)
    if others is None:
        raise ShapeError(
            f'pattern "{layout.pattern}" does not tell how axis {axis.dim} is split, and its '
            "length is not known before the run",
            layout.pattern.text,
            layout.shape,
            f"give all but one of the sizes, for example {axis.name}=2",
        )
    return others


def _split_mask(mask: Tensor, x: Tensor, layout: Layout) -> Tensor | None:
    """The mask, shaped to broadcast against the split input `x`; None if it lies outside the sets.

    Raises:
        ShapeError: it does not have the leading axes of the input.
    """
    mask = ops.convert_to_tensor(mask, "bool")
    rank = len(mask.shape)
    for length, wanted in zip(mask.shape, layout.shape, strict=False):
        if rank > len(layout.shape) or (None not in (length, wanted) and length != wanted):
            raise ShapeError(
                f"a mask has the leading axes of the input, {layout.shape}; this one has the "
                f"shape {tuple(mask.shape)}",
                layout.pattern.text,
                layout.shape,
            )
    if not any(axis.shared and axis.dim < rank for axis in layout.axes):
        return None
    sizes = ops.shape(x)
    return ops.reshape(
        mask, [sizes[i] if axis.dim < rank else 1 for i, axis in enumerate(layout.axes)]
    )

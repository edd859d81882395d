"""Any `NormSpec` in `keras.ops`: the same code on TensorFlow, JAX and torch.

The formula is `layers/common/formula.py`; statistics are computed in float32 (float64 for float64
input).
"""

from __future__ import annotations

import keras
from keras import ops

from normscope.layers.common import formula
from normscope.layers.common.formula import AllSum as AllSum, Moments as Moments
from normscope.layers.common.operations import Tensor
from normscope.layers.keras.shapes import KERAS, join, split, split_mask
from normscope.notation.layout import Layout
from normscope.notation.spec import NormSpec


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
    y, found = formula.normalize(
        KERAS,
        x,
        spec,
        layout,
        scale=scale,
        bias=bias,
        counted=split_mask(mask, x, layout),
        all_sum=all_sum,
    )
    return join(y, layout), found if spec.running else None


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
    counted = split_mask(mask, x, layout)
    return formula.moments(KERAS, x, spec, layout, counted=counted, all_sum=all_sum)


def normalized(
    x: Tensor,
    spec: NormSpec,
    layout: Layout,
    mean: Tensor | None,
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
            nothing does not use `v`; what is not used may be None.

    Returns:
        y, of x's shape, in the dtype of the statistics.

    Raises:
        SpecError: the spec uses what is None.
    """
    x = split(x, layout)
    y = formula.normalized(KERAS, x, spec, layout, mean, v, scale=scale, bias=bias)
    return join(y, layout)


def _by_torch_operator(
    x: Tensor,
    spec: NormSpec,
    layout: Layout,
    scale: Tensor | None,
    bias: Tensor | None,
) -> tuple[Tensor, Moments | None] | None:
    """The result of one of torch's own operators on the split input, if one computes this spec."""
    from normscope.layers.torch import operators

    scale, bias = (None if p is None else ops.convert_to_tensor(p) for p in (scale, bias))
    done = operators.normalize_near_zero(x, spec, layout, scale, bias)
    if done is None or done.mean is None:
        return done and (done.y, None)
    return done.y, Moments(done.mean, done.variance, layout.set_size)

"""The input of a normalization, found again from its output where that says enough."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from normscope.layers.common.shapes import join, per_set, placed, split
from normscope.layers.torch.formula import TORCH
from normscope.layers.torch.kernels import Form
from normscope.layers.torch.operands import Operands
from normscope.notation.spec import NormSpec

MOST = 64.0
"""How many times as large as its scale a bias may be: so many times the rounding of the output is
what the normalized value is off by."""


def is_invertible(given: Operands, spec: NormSpec, slope: float | None) -> bool:
    """Whether `input_of` finds the input of such a call to about the rounding of its output."""
    if given.mask is not None or (slope is not None and slope <= 0):
        return False
    if spec.bias != spec.scale and given.bias is not None:
        return False  # how large a bias is beside which scale is not looked at
    scale, bias = given.scale, given.bias
    if scale is None:
        return bias is None or bool((bias.detach().abs() <= MOST).all())
    size = (scale.detach() + spec.scale_shift).abs()
    if bias is None:
        return bool((size > 0).all())
    return bool(((bias.detach().reshape(size.shape).abs() <= MOST * size) & (size > 0)).all())


def input_of(
    y: Tensor,
    kept: Tensor,
    form: Form,
    scale: Tensor | None,
    bias: Tensor | None,
    slope: float | None,
) -> Tensor:
    """The input, residual included, in the memory layout of the output.

    Args:
        y: the output.
        kept: mean and rstd of each set, (2, sets).
        form: of the call.
        scale, bias, slope: those of the call.
    """
    spec, layout = form.spec, form.layout
    values = y if slope is None else functional.leaky_relu(y, 1 / slope)
    x = split(TORCH, values, layout)
    if bias is not None and spec.bias is not None:
        x = x - placed(TORCH, bias, layout, layout.named(spec.bias), x.dtype)
    mean, rstd = (per_set(TORCH, values, layout, x) for values in kept)
    if scale is not None and spec.scale is not None:
        factor = placed(TORCH, scale, layout, layout.named(spec.scale), x.dtype) + spec.scale_shift
        x = x / factor
    found: Tensor = join(TORCH, torch.addcdiv(mean, x, rstd), layout).to(y.dtype)
    return found

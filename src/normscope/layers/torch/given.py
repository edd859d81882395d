"""Normalizing by statistics from elsewhere, with kernels: running ones, say, in `eval()`.

The statistics are numbers that no gradient flows to. So that of the input is dy * scale / D, which
is dy normalized by a mean of 0.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from normscope.engine.given import given_statistics
from normscope.errors import ShapeError
from normscope.kernels.contract import MEAN, VAR
from normscope.layers.torch import formula
from normscope.layers.torch.autograd import (
    before_activation,
    gradients_of,
    like_parameter,
    may_be_overwritten,
    needs_gradient,
    without_hidden,
)
from normscope.layers.torch.formula import check_mask
from normscope.layers.torch.kernels import Form, form_of, numbers
from normscope.layers.torch.operands import Operands, is_eager, is_gradient
from normscope.notation.layout import Layout
from normscope.notation.spec import NormSpec
from normscope.wording import counted

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Given:
    """A call, with its statistics.

    Attributes:
        form: of its tensors.
        slope: of a LeakyReLU that follows, or None.
        statistics: in the rows of `normscope.kernels.contract`.
    """

    form: Form
    slope: float | None
    statistics: Floats


def normalize_with(
    given: Operands,
    spec: NormSpec,
    layout: Layout,
    mean: Tensor | None,
    var: Tensor | None,
    slope: float | None = None,
    *,
    inplace: bool = False,
) -> Tensor:
    """Normalize by kernels, which `can_run` this, with statistics to which no gradient flows.

    Args:
        given: the tensors; a mask matters to gradients alone.
        spec, layout: the normalization, fitted to x.
        mean, var: one value per statistics set; None where the spec does not use it.
        slope: of a LeakyReLU that follows, or None.
        inplace: whether x may be overwritten, which it is where no gradient is wanted.

    Raises:
        ShapeError: a parameter does not fit, or the statistics are not as many as there are sets.
    """
    if given.mask is not None:
        check_mask(given.mask, layout)
    derived = needs_gradient(given)
    inplace = inplace and not derived and may_be_overwritten(given)
    form = form_of(spec, layout, given._replace(mask=None), inplace)
    call = Given(form, slope, _statistics(form, mean, var))
    if derived:
        y: Tensor = _NormalizeWith.apply(call, *given)  # type: ignore[no-untyped-call]
        return y
    return form.run(given, slope, call.statistics, False, given.x if inplace else None)[0]


def _statistics(form: Form, mean: Tensor | None, var: Tensor | None) -> Floats:
    sets = form.layout.num_sets or 0
    m, v = (
        np.full(sets, value) if found is None else _flat(found)
        for found, value in ((mean, 0.0), (var, 1.0))
    )
    if (form.spec.center and len(m) != sets) or len(v) != sets:
        raise ShapeError(
            f"mean and variance of {len(m)} and {len(v)} values, for {counted(sets, 'set')}",
            form.spec.pattern,
            form.shape,
        )
    return given_statistics(form.spec, m if form.spec.center else np.zeros(sets), v)


def _flat(values: Tensor) -> Floats:
    found = numbers(values)
    assert found is not None
    return found.astype(np.float64).ravel()


class _NormalizeWith(torch.autograd.Function):
    """The kernels that write, with the backward pass of numbers that are given."""

    @staticmethod
    def forward(ctx: Any, call: Given, *tensors: Tensor | None) -> Tensor:
        x, scale, bias, residual, mask = tensors
        assert x is not None
        given = Operands(x, scale, bias, residual)
        ctx.call = call
        ctx.save_for_backward(x, residual, scale, bias, mask)
        return call.form.run(given, call.slope, call.statistics, False)[0]

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Any:
        (dy,) = gradients
        call: Given = ctx.call
        x, residual, scale, bias, mask = ctx.saved_tensors
        needed = ctx.needs_input_grad[1:]
        given = Operands(x, scale, bias, residual, mask)
        if torch.is_grad_enabled() or not (is_eager() and is_gradient(dy)):
            return None, *_by_formula(dy, given, call, needed), None
        if call.slope is not None:
            dy = before_activation(dy, call.form, given, call.slope, call.statistics)
        dx = d_scale = d_bias = None
        whole = x if residual is None else x + residual
        dy, whole = without_hidden(dy, whole, mask)
        if needed[0] or needed[3]:
            dx = _input_gradient(dy, scale, call)
        if needed[1] or needed[2]:
            d_scale, d_bias = call.form.parameter_gradients(dy, whole, call.statistics)
        return (
            None,
            dx if needed[0] else None,
            like_parameter(d_scale, scale) if needed[1] else None,
            like_parameter(d_bias, bias) if needed[2] else None,
            dx if needed[3] else None,
            None,
        )


def _input_gradient(dy: Tensor, scale: Tensor | None, call: Given) -> Tensor:
    statistics = call.statistics.copy()
    statistics[MEAN] = 0
    given = Operands(dy, scale)
    form = form_of(call.form.spec, call.form.layout, given)
    return form.run(given, None, statistics, False)[0]


def _by_formula(
    dy: Tensor, given: Operands, call: Given, needed: Sequence[bool]
) -> tuple[Tensor | None, ...]:
    """The gradients as the formula has them, which can be derived again."""
    with torch.enable_grad():
        x, scale, bias, residual = (None if t is None else t.view_as(t) for t in given[:4])
        assert x is not None
        y = formula.normalized(
            x,
            call.form.spec,
            call.form.layout,
            torch.from_numpy(call.statistics[MEAN]),
            torch.from_numpy(call.statistics[VAR]),
            scale=scale,
            bias=bias,
            mask=given.mask,
            residual=residual,
            negative_slope=call.slope,
        )
    return gradients_of(y, (x, scale, bias, residual), dy, needed)

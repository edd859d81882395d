"""Differentiable calls of the kernels: what is kept for the backward pass, and what that does.

Kept are the input, and mean and rstd of each set. Where the input is overwritten not even that: it
is found again from the output (In-place activated batch norm, arXiv 1712.02616). Derivatives of
gradients are those of the formula.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from normscope.errors import SpecError
from normscope.kernels.contract import COUNT, MEAN, VAR
from normscope.layers.torch import formula
from normscope.layers.torch.formula import Moments
from normscope.layers.torch.inverse import input_of, is_invertible
from normscope.layers.torch.kernels import Form, form_of, kept_of, statistics_of
from normscope.layers.torch.operands import Operands, is_eager, is_gradient
from normscope.notation.layout import Layout
from normscope.notation.spec import Measure, NormSpec

Floats = NDArray[np.float64]


@dataclass
class Call:
    """A call, and what it has measured.

    Attributes:
        form: of its tensors.
        slope: of a LeakyReLU that follows, or None.
        inplace: whether the input is overwritten by the output, and forgotten.
        statistics: those measured, in the rows of `normscope.kernels.contract`.
    """

    form: Form
    slope: float | None
    inplace: bool = False
    statistics: Floats | None = None


def normalize(
    given: Operands,
    spec: NormSpec,
    layout: Layout,
    slope: float | None = None,
    *,
    inplace: bool = False,
) -> tuple[Tensor, Moments | None]:
    """Normalize by kernels, which `can_run` this.

    Args:
        given: the tensors.
        spec, layout: the normalization, fitted to x.
        slope: of a LeakyReLU that follows, or None.
        inplace: whether x may be overwritten. It is where it can be found again, or need not be:
            not if it is a leaf that requires a gradient, if there is a mask, if the slope is not
            above 0, or if a scale is so near to 0 that its output says too little.

    Returns:
        y, and the `Moments` if the spec has running statistics: in float64, without a gradient.

    Raises:
        ShapeError: a parameter does not fit, or a statistics set holds too few values.
    """
    derived = needs_gradient(given)
    if inplace:
        inplace = may_be_overwritten(given) and (not derived or is_invertible(given, spec, slope))
    call = Call(form_of(spec, layout, given, inplace), slope, inplace)
    if derived:
        y = _Normalize.apply(call, *given)  # type: ignore[no-untyped-call]
    else:
        out = given.x if inplace else None
        y, call.statistics = call.form.run(given, slope, None, spec.running is not None, out)
    found, call.statistics = call.statistics, None  # the backward pass keeps `call`, not these
    if spec.running is None or found is None:
        return y, None
    return y, moments_of(found, spec, layout, given.mask is not None)


def needs_gradient(given: Sequence[Tensor | None]) -> bool:
    """Whether a gradient flows to one of these."""
    return torch.is_grad_enabled() and any(t is not None and t.requires_grad for t in given)


def moments_of(statistics: Floats, spec: NormSpec, layout: Layout, masked: bool) -> Moments:
    """The `Moments`, of what kernels have measured."""
    shared, sizes = layout.shared, layout.known_sizes
    shape = [1 if i in shared else size for i, size in enumerate(sizes)]
    mean, v = (torch.from_numpy(statistics[row]).reshape(shape) for row in (MEAN, VAR))
    if not (spec.center or spec.measure is Measure.VARIANCE):
        mean = torch.zeros_like(mean)
    if spec.measure is Measure.NONE:
        v = torch.ones_like(v)
    if not masked:
        return Moments(mean, v, layout.set_size)
    return Moments(mean, v, torch.from_numpy(statistics[COUNT]).reshape(shape))


def before_activation(
    dy: Tensor, form: Form, given: Operands, slope: float, statistics: Floats
) -> Tensor:
    """The gradient with respect to what the activation was given, which is computed once more."""
    y, _ = form.run(given, None, statistics, False)
    gradient: Tensor = torch.ops.aten.leaky_relu_backward(dy, y, slope, False)
    return gradient


def by_kernels(
    dy: Tensor, given: Operands, form: Form, slope: float | None, kept: Tensor
) -> tuple[Tensor, Floats | None, Floats | None]:
    """The gradients of x, scale and bias; those of the parameters in float64.

    Args:
        dy: with respect to the output.
        given, form, slope: the call.
        kept: mean and rstd of each set, (2, sets).
    """
    if slope is not None:
        dy = before_activation(dy, form, given, slope, statistics_of(kept.numpy()))
    x = given.x if given.residual is None else given.x + given.residual
    dy, x = without_hidden(dy, x, given.mask)
    return form.gradients(dy, x, kept.numpy(), given.scale, given.mask)


def without_hidden(dy: Tensor, x: Tensor, mask: Tensor | None) -> tuple[Tensor, Tensor]:
    """Both with 0 where a mask hides what is not finite: 0 times that would be NaN.

    >>> x, mask = torch.tensor([1.0, torch.nan]), torch.tensor([True, False])
    >>> without_hidden(torch.tensor([2.0, 3.0]), x, mask)
    (tensor([2., 0.]), tensor([1., 0.]))
    """
    if mask is None or x.sum(dtype=torch.float64).isfinite():  # which one quick pass tells
        return dy, x
    hidden = ~(x.isfinite() | mask)
    return dy.masked_fill(hidden, 0), x.masked_fill(hidden, 0)


def like_parameter(gradient: Floats | None, parameter: Tensor | None) -> Tensor | None:
    """A sum in float64 as the gradient of a parameter."""
    if gradient is None or parameter is None:
        return None
    if parameter.dtype == torch.float32:  # what NumPy does in half the time
        found = torch.from_numpy(np.asarray(gradient, np.float32))
    else:
        found = torch.from_numpy(np.asarray(gradient)).to(parameter.dtype)
    return found if found.shape == parameter.shape else found.reshape(parameter.shape)


class _Normalize(torch.autograd.Function):
    """The kernels, with their own backward pass."""

    @staticmethod
    def forward(ctx: Any, call: Call, *tensors: Tensor | None) -> Tensor:
        x, scale, bias, residual, mask = tensors
        assert x is not None
        given = Operands(x, scale, bias, residual, mask)
        y, found = call.form.run(given, call.slope, None, True, x if call.inplace else None)
        assert found is not None
        call.statistics = found
        ctx.call = call
        kept_numbers = kept_of(found, call.form.spec)
        if mask is not None:  # a set without a value is the bias, whatever x
            kept_numbers[1, found[COUNT] == 0] = 0
        kept = torch.from_numpy(kept_numbers)
        if call.inplace:
            ctx.mark_dirty(x)
            ctx.save_for_backward(y, None, scale, bias, mask, kept)
        else:
            ctx.save_for_backward(x, residual, scale, bias, mask, kept)
        return y

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Any:
        (dy,) = gradients
        call: Call = ctx.call
        x, residual, scale, bias, mask, kept = ctx.saved_tensors
        needed = ctx.needs_input_grad[1:]
        if torch.is_grad_enabled() or not (is_eager() and is_gradient(dy)):
            if call.inplace:
                raise SpecError(
                    "inplace=True keeps no input, so gradients cannot be derived again, nor taken "
                    "in batches; write inplace=False"
                )
            given = Operands(x, scale, bias, residual, mask)
            return None, *_by_formula(dy, given, call, needed)
        if call.inplace:
            y, x = x, input_of(x, kept, call.form, scale, bias, call.slope)
            if call.slope is not None:
                dy = torch.ops.aten.leaky_relu_backward(dy, y, call.slope, True)
            found = call.form.gradients(dy, x, kept.numpy(), scale, mask)
        else:
            given = Operands(x, scale, bias, residual, mask)
            found = by_kernels(dy, given, call.form, call.slope, kept)
        dx, d_scale, d_bias = found
        return (
            None,
            dx if needed[0] else None,
            like_parameter(d_scale, scale) if needed[1] else None,
            like_parameter(d_bias, bias) if needed[2] else None,
            dx if needed[3] else None,
            None,
        )


def _by_formula(
    dy: Tensor, given: Operands, call: Call, needed: Sequence[bool]
) -> tuple[Tensor | None, ...]:
    """The gradients as the formula has them, which can be derived again."""
    with torch.enable_grad():
        # an alias each: x and residual may be one tensor
        x, scale, bias, residual = (None if t is None else t.view_as(t) for t in given[:4])
        assert x is not None
        y, _ = formula.normalize(
            x,
            call.form.spec,
            call.form.layout,
            scale=scale,
            bias=bias,
            mask=given.mask,
            residual=residual,
            negative_slope=call.slope,
        )
    return *gradients_of(y, (x, scale, bias, residual), dy, needed), None


def gradients_of(
    y: Tensor, inputs: Sequence[Tensor | None], dy: Tensor, needed: Sequence[bool]
) -> tuple[Tensor | None, ...]:
    """The gradients of those inputs of y that need one, to be derived again where that is on."""
    wanted = [t for t, n in zip(inputs, needed, strict=False) if n and t is not None]
    again = torch.is_grad_enabled()
    found = iter(torch.autograd.grad(y, wanted, dy, create_graph=again))
    return tuple(next(found) if n else None for n in needed[: len(inputs)])


def may_be_overwritten(given: Operands) -> bool:
    """Whether torch lets x be overwritten, each element has a place, and no other tensor reads it.

    >>> x = torch.zeros(3, 2)
    >>> may_be_overwritten(Operands(x)), may_be_overwritten(Operands(x[:1].expand(3, 2)))
    (True, False)
    >>> may_be_overwritten(Operands(x[1:], residual=x[:-1]))
    False
    """
    x, residual = given.x, given.residual
    if torch.is_grad_enabled() and x.requires_grad and x.is_leaf:
        return False
    return _are_apart(x) and (residual is None or _is_apart(residual, x))


def _are_apart(x: Tensor) -> bool:
    """Whether each element has memory of its own, as in no expanded or unfolded tensor."""
    reach = 0  # of the axes with smaller steps
    steps = zip(x.stride(), x.shape, strict=True)
    for step, size in sorted(pair for pair in steps if pair[1] > 1):
        if step <= reach:
            return False
        reach += step * (size - 1)
    return True


def _is_apart(residual: Tensor, x: Tensor) -> bool:
    """Whether both lie in different memory; or are one, where each element is read before."""
    if residual.untyped_storage().data_ptr() != x.untyped_storage().data_ptr():
        return True
    return residual.data_ptr() == x.data_ptr() and residual.stride() == x.stride()

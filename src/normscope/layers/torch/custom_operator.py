"""The kernels as operators of torch: `torch.ops.normscope.normalize`, and its gradient.

Importing this defines them. For graphs that are to keep a call of the kernels whole: compilers and
exporters see one operator each, know the shapes of their results, and can derive the first.
"""

from __future__ import annotations

import json
import math
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor

from normscope.errors import DtypeError, ShapeError
from normscope.frameworks.torch.aten.lowered import LOWERED
from normscope.layers.common.shapes import split
from normscope.layers.torch import formula
from normscope.layers.torch.autograd import by_kernels, gradients_of
from normscope.layers.torch.fit import known_lengths
from normscope.layers.torch.kernels import form_of, kept_of
from normscope.layers.torch.normalize import stats_of
from normscope.layers.torch.operands import Operands, can_run
from normscope.notation.spec import NormSpec

_TENSORS = "Tensor x, Tensor? scale, Tensor? bias, Tensor? residual, Tensor? mask"
_SETTINGS = "str spec, float? negative_slope"

_Library: Any = torch.library.Library  # whose types nobody has stated
_library = _Library("normscope", "DEF")  # it lives as long as the module does
_library.define(f"normalize({_TENSORS}, {_SETTINGS}) -> (Tensor, Tensor)")
_library.define(
    f"normalize_backward(Tensor dy, Tensor kept, {_TENSORS}, {_SETTINGS}) "
    "-> (Tensor, Tensor, Tensor)"
)


def spec_text(spec: NormSpec) -> str:
    """A spec as the operators take it.

    >>> text = spec_text(NormSpec("b [c]", eps=0.0))
    >>> x = torch.tensor([[1.0, 3.0]])
    >>> torch.ops.normscope.normalize(x, None, None, None, None, text, None)
    (tensor([[-1.,  1.]]), tensor([[2.],
            [1.]], dtype=torch.float64))
    """
    return json.dumps(spec.to_dict())


@lru_cache(maxsize=1024)
def _stated(text: str) -> NormSpec:
    """The same object each time: calls that are prepared are found again by that."""
    return NormSpec.from_dict(json.loads(text))


def _normalize(
    x: Tensor,
    scale: Tensor | None,
    bias: Tensor | None,
    residual: Tensor | None,
    mask: Tensor | None,
    spec: str,
    negative_slope: float | None,
) -> tuple[Tensor, Tensor]:
    """y, and mean and rstd of each set, (2, sets), in float64."""
    _check(x, scale, bias, residual)
    stated = _stated(spec)
    layout = stated.layout(tuple(x.shape))
    given = Operands(x, scale, bias, residual, mask)
    if can_run(stated, given):
        y, found = form_of(stated, layout, given).run(given, negative_slope, None, True)
        assert found is not None
        return y, torch.from_numpy(kept_of(found, stated))
    return _composite(x, scale, bias, residual, mask, spec, negative_slope)


def _composite(
    x: Tensor,
    scale: Tensor | None,
    bias: Tensor | None,
    residual: Tensor | None,
    mask: Tensor | None,
    spec: str,
    negative_slope: float | None,
) -> tuple[Tensor, Tensor]:
    """The same by operators of torch, as who follows a model must see it."""
    stated = _stated(spec)
    layout = stated.layout(tuple(x.shape))
    y, moments = formula.normalize(
        x,
        stated,
        layout,
        scale=scale,
        bias=bias,
        mask=mask,
        residual=residual,
        negative_slope=negative_slope,
    )
    mean, _, rstd = stats_of(moments, stated, layout)
    return y, torch.stack([mean.flatten(), rstd.flatten()]).double()


def _check(x: Tensor, scale: Tensor | None, bias: Tensor | None, residual: Tensor | None) -> None:
    for name, tensor in {"x": x, "scale": scale, "bias": bias}.items():
        if tensor is not None and not tensor.is_floating_point():
            raise DtypeError(
                f"normscope::normalize takes floats, and {name} is {tensor.dtype}: write "
                f"{name}.float()"
            )
    if residual is not None and (residual.shape, residual.dtype) != (x.shape, x.dtype):
        raise ShapeError(
            f"residual is {residual.dtype} of shape {tuple(residual.shape)}; it is added to x, "
            f"{x.dtype}, whose shape and dtype it has",
            None,
            tuple(x.shape),
        )


def _normalize_backward(
    dy: Tensor,
    kept: Tensor,
    x: Tensor,
    scale: Tensor | None,
    bias: Tensor | None,
    residual: Tensor | None,
    mask: Tensor | None,
    spec: str,
    negative_slope: float | None,
) -> tuple[Tensor, Tensor, Tensor]:
    """The gradients of x, scale and bias; those in float64, empty where there is none."""
    stated = _stated(spec)
    given = Operands(x, scale, bias, residual, mask)
    learned: list[Tensor | None]
    if can_run(stated, given):
        form = form_of(stated, stated.layout(tuple(x.shape)), given)
        dx, *sums = by_kernels(dy, given, form, negative_slope, kept)
        learned = [None if found is None else torch.from_numpy(found) for found in sums]
    else:
        gradients = _by_formula(dy, given, spec, negative_slope, [True, True, True, False])
        assert gradients[0] is not None
        dx, learned = gradients[0], list(gradients[1:3])
    d_scale, d_bias = (
        x.new_empty(0, dtype=torch.float64)
        if parameter is None or found is None
        else found.double().reshape(parameter.shape)
        for parameter, found in zip((scale, bias), learned, strict=True)
    )
    return dx, d_scale, d_bias


def _by_formula(
    dy: Tensor, given: Operands, spec: str, slope: float | None, needed: list[bool]
) -> tuple[Tensor | None, ...]:
    """The gradients of x, scale, bias and residual, to be derived again where that is on."""
    stated = _stated(spec)
    again = torch.is_grad_enabled()
    with torch.enable_grad():
        inputs = [t if t is None or again else t.detach().requires_grad_() for t in given[:4]]
        x, scale, bias, residual = (None if t is None else t.view_as(t) for t in inputs)
        assert x is not None
        y, _ = formula.normalize(
            x,
            stated,
            stated.layout(tuple(x.shape)),
            scale=scale,
            bias=bias,
            mask=given.mask,
            residual=residual,
            negative_slope=slope,
        )
    wanted = [n and t is not None for n, t in zip(needed, given[:4], strict=True)]
    return gradients_of(y, (x, scale, bias, residual), dy, wanted)


def _shape_of_normalize(x: Tensor, *others: Any) -> tuple[Tensor, Tensor]:
    stated = _stated(others[-2])
    layout = stated.layout(known_lengths(x))
    sizes = split(formula.TORCH, x, layout).shape
    sets = math.prod(sizes[i] for i in layout.kept)
    return torch.empty_like(x), x.new_empty((2, sets), dtype=torch.float64)


def _shape_of_backward(
    dy: Tensor, kept: Tensor, x: Tensor, scale: Tensor | None, bias: Tensor | None, *others: Any
) -> tuple[Tensor, Tensor, Tensor]:
    d_scale, d_bias = (
        x.new_empty(0 if parameter is None else parameter.shape, dtype=torch.float64)
        for parameter in (scale, bias)
    )
    return torch.empty_like(x), d_scale, d_bias


def _keep(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, Tensor]) -> None:
    *tensors, ctx.spec, ctx.slope = inputs
    _, kept = output
    ctx.mark_non_differentiable(kept)
    ctx.save_for_backward(*tensors, kept)


def _backward(ctx: Any, dy: Tensor, _: Tensor | None) -> tuple[Any, ...]:
    *tensors, kept = ctx.saved_tensors
    needed = list(ctx.needs_input_grad[:4])
    if torch.is_grad_enabled():
        found = _by_formula(dy, Operands(*tensors), ctx.spec, ctx.slope, needed)
        return *found, None, None, None
    dx, *learned = torch.ops.normscope.normalize_backward(dy, kept, *tensors, ctx.spec, ctx.slope)
    d_scale, d_bias = (
        found.to(parameter.dtype) if n else None
        for found, parameter, n in zip(learned, tensors[1:3], needed[1:3], strict=True)
    )
    return dx if needed[0] else None, d_scale, d_bias, dx if needed[3] else None, None, None, None


_library.impl("normalize", _normalize, "CompositeExplicitAutograd")
_library.impl("normalize_backward", _normalize_backward, "CompositeExplicitAutograd")
torch.library.register_fake("normscope::normalize", _shape_of_normalize, lib=_library)
torch.library.register_fake("normscope::normalize_backward", _shape_of_backward, lib=_library)
NORMALIZE: torch._ops.OpOverload = torch.ops.normscope.normalize.default
LOWERED[NORMALIZE] = _composite  # who follows a model sees what it is made of
torch.library.register_autograd(
    "normscope::normalize", _backward, setup_context=_keep, lib=_library
)

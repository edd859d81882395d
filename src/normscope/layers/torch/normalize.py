"""`normscope.normalize` for tensors of torch: differentiable, and on any device."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache
from typing import Any, NamedTuple

import torch
from torch import Tensor

from normscope.engine.validation import check_given, check_set_size, check_slope
from normscope.errors import ShapeError, SpecError
from normscope.frameworks.statement import stated
from normscope.layers.torch import formula
from normscope.layers.torch.compute import run, run_with
from normscope.layers.torch.inputs import check_tensor, checked_input
from normscope.layers.torch.operands import is_eager
from normscope.notation.layout import Layout
from normscope.notation.spec import Measure, NormSpec


class Stats(NamedTuple):
    """What was measured, one value per statistics set, in the shape of the axes outside brackets.

    Attributes:
        mean: what was subtracted; 0 where the mean is not.
        var: v of the formula; 1 with the measure `none`.
        rstd: one over the divisor.
    """

    mean: Tensor
    var: Tensor
    rstd: Tensor


def normalize(
    x: Tensor,
    pattern: NormSpec | str,
    *,
    scale: Tensor | None = None,
    bias: Tensor | None = None,
    mean: Tensor | None = None,
    var: Tensor | None = None,
    mask: Tensor | None = None,
    residual: Tensor | None = None,
    negative_slope: float | None = None,
    out: Tensor | None = None,
    return_stats: bool = False,
    **fields_and_sizes: Any,
) -> Tensor | tuple[Tensor, Stats]:
    """Normalize a tensor; the arguments are those of `normscope.normalize`, and tensors.

        y = (x - m) / max(sqrt(v + eps) + eps_outside, floor) * scale + bias

    Args:
        x: floats, of a shape that meets the pattern, on any device. Integers are not: no gradient
            would flow to them.
        pattern: a `NormSpec`, a layer by name, or a pattern with sizes and fields as keywords.
        scale, bias: learned parameters, shaped like their axes, or flat.
        mean, var: statistics from elsewhere, one per statistics set; both or neither.
        mask: booleans that broadcast to x: what enters the statistics.
        residual: of x's shape and dtype, added to x first.
        negative_slope: of a LeakyReLU that follows.
        out: not for tensors.
        return_stats: also return the `Stats`, through which gradients flow too; no kernel measures
            them then.
        **fields_and_sizes: with a bare pattern only, as for `spec`.

    Returns:
        A tensor of x's shape and dtype; with `return_stats` a pair with `Stats`.

    Raises:
        PatternError, SpecError: the normalization is not stated correctly; the residual is not of
            x's shape and dtype.
        ShapeError: a shape does not fit, or a statistics set holds too few values.
        DtypeError: x is no tensor of floats, or another argument none of real numbers.

    Example:
        >>> normalize(torch.tensor([[1.0, 3.0]]), "b [c]", eps=0.0)
        tensor([[-1.,  1.]])
    """
    if out is not None:
        raise SpecError("out= is for arrays of NumPy; write out.copy_(normalize(x, ...))")
    spec = _spec(pattern, fields_and_sizes, scale is not None, bias is not None)
    slope = check_slope(negative_slope)
    layout = _checked(x, spec, scale=scale, bias=bias, residual=residual)
    if mask is not None:
        check_tensor("mask", mask)
        formula.check_mask(mask, layout)
    tensors: dict[str, Any] = {"scale": scale, "bias": bias, "residual": residual}
    if mean is not None or var is not None:
        check_given(spec, mean is not None, var is not None)
        if return_stats:
            raise SpecError("return_stats=True measures, and mean= and var= are given already")
        _check_statistics(spec, layout, mean=mean, var=var)
        return run_with(x, spec, layout, mean, var, negative_slope=slope, **tensors)
    check_set_size(spec, layout)
    if not return_stats:
        return run(x, spec, layout, mask=mask, negative_slope=slope, **tensors)[0]
    y, found = formula.normalize(x, spec, layout, mask=mask, negative_slope=slope, **tensors)
    return y, stats_of(found, spec, layout)


def _spec(
    pattern: NormSpec | str, fields_and_sizes: dict[str, Any], scaled: bool, biased: bool
) -> NormSpec:
    """The spec, the same object each time: calls that are prepared are found again by that."""
    try:
        return _kept_spec(pattern, tuple(fields_and_sizes.items()), scaled, biased)
    except TypeError:  # what has no hash, such as a mapping of sizes
        return _kept_spec(stated(pattern, fields_and_sizes, scaled, biased), (), scaled, biased)


@lru_cache(maxsize=1024, typed=True)
def _kept_spec(
    pattern: NormSpec | str,
    fields_and_sizes: tuple[tuple[str, Any], ...],
    scaled: bool,
    biased: bool,
) -> NormSpec:
    """Without running statistics, for which nobody asks here."""
    return replace(stated(pattern, dict(fields_and_sizes), scaled, biased), running=None)


def stats_of(found: formula.Moments, spec: NormSpec, layout: Layout) -> Stats:
    """What was measured, in the shape of the axes outside brackets."""
    sizes = [layout.known_sizes[i] for i in layout.kept]
    v = found.v if isinstance(found.v, Tensor) else torch.as_tensor(found.v)
    mean = found.mean if spec.center else torch.zeros_like(v)
    divisor = torch.clamp(torch.sqrt(v + spec.eps) + spec.eps_outside, min=spec.floor)
    if spec.measure is Measure.NONE:
        divisor = torch.ones_like(v)
    elif spec.unit_below is not None:
        is_one = (divisor == 0) | (divisor < spec.unit_below)
        divisor = torch.where(is_one, torch.ones_like(v), divisor)
    return Stats(*(values.reshape(sizes) for values in (mean, v, 1 / divisor)))


def _checked(x: object, spec: NormSpec, **others: Tensor | None) -> Layout:
    """The spec fitted to x, if all tensors fit."""
    x = checked_input(x, "normalize")
    layout = spec.layout(tuple(x.shape))
    for name, tensor in others.items():
        if tensor is None:
            continue
        check_tensor(name, tensor)
        if name == "residual":
            _check_residual(tensor, x)
            continue
        names = spec.scale if name == "scale" else spec.bias
        if names is None:
            raise SpecError(f"{name}= is given, but the spec has no {name}: name its axes there")
        wanted = layout.place(layout.named(names)).shape
        if tuple(tensor.shape) not in (wanted, (torch.Size(wanted).numel(),)):
            raise ShapeError(
                f"{name} has shape {tuple(tensor.shape)}; along {names or 'no axis'} it has "
                f"{wanted}",
                spec.pattern,
                tuple(x.shape),
            )
    return layout


def _check_statistics(spec: NormSpec, layout: Layout, **given: Tensor | None) -> None:
    """Those from elsewhere that the spec uses: one per statistics set, and no negative variance."""
    sizes = tuple(layout.known_sizes[i] for i in layout.kept)
    for name, values in given.items():
        if values is None or (name == "mean" and not spec.center):
            continue
        check_tensor(name, values)
        if tuple(values.shape) not in (sizes, (torch.Size(sizes).numel(),)):
            raise ShapeError(
                f"{name} has shape {tuple(values.shape)}; the axes outside brackets have {sizes}",
                spec.pattern,
                layout.shape,
            )
        if name == "var" and values.is_cpu and is_eager() and bool((values < 0).any()):
            raise SpecError("var holds negative values; a variance has none")


def _check_residual(residual: Tensor, x: Tensor) -> None:
    if residual.dtype != x.dtype or residual.shape != x.shape:
        raise SpecError(
            f"residual must be {x.dtype} of shape {tuple(x.shape)}, as the result is; it is "
            f"{residual.dtype} of shape {tuple(residual.shape)}"
        )

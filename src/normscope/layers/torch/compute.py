"""`run` and `run_with`: any `NormSpec` in torch, in the way that is quickest and possible here."""

from __future__ import annotations

import torch
from torch import Tensor

from normscope.layers.torch import autograd, formula, joined_kernels, operators
from normscope.layers.torch.autograd import needs_gradient
from normscope.layers.torch.choice import is_small, own_call_of
from normscope.layers.torch.formula import Moments as Moments
from normscope.layers.torch.given import normalize_with
from normscope.layers.torch.operands import Operands, can_run, is_eager, is_plain
from normscope.layers.torch.synchronization import Processes
from normscope.notation.layout import Layout
from normscope.notation.spec import Measure, NormSpec


def run(
    x: Tensor,
    spec: NormSpec,
    layout: Layout,
    *,
    scale: Tensor | None = None,
    bias: Tensor | None = None,
    mask: Tensor | None = None,
    residual: Tensor | None = None,
    negative_slope: float | None = None,
    processes: Processes | None = None,
    inplace: bool = False,
) -> tuple[Tensor, Moments | None]:
    """Normalize `x` by its own statistics.

        y = (x - m) / max(sqrt(v + eps) + eps_outside, floor) * scale + bias

    Args:
        x, spec, layout, scale, bias, mask, residual, negative_slope, processes: as for
            `formula.normalize`.
        inplace: whether x may be overwritten by the result.

    Returns:
        y, of x's shape and dtype; and, if the spec has running statistics, the `Moments` for them,
        which carry no gradient.

    Example:
        >>> import torch
        >>> spec = NormSpec("b [c]", eps=0.0)
        >>> x = torch.tensor([[1.0, 2, 3], [4, 5, 6]])
        >>> run(x, spec, spec.layout(x.shape))
        (tensor([[-1.2247,  0.0000,  1.2247],
                [-1.2247,  0.0000,  1.2247]]), None)
    """
    given = Operands(x, scale, bias, residual, mask)
    if processes is not None and mask is None and joined_kernels.can_run(given, spec, layout):
        return joined_kernels.normalize(given, spec, layout, processes, negative_slope)
    is_open = None in layout.shape  # a length that a trace leaves open
    if processes is None and not is_open and not torch.compiler.is_compiling():
        fused = residual is not None or negative_slope is not None
        forgets = inplace and needs_gradient(given)  # what kernels alone can do, at any size
        if mask is None and not forgets and is_small(given, spec, layout, fused):
            own = None if fused else own_call_of(given, spec, layout)
            if own is not None:
                return own(x, scale, bias), None
        elif is_eager() and can_run(spec, given):
            return autograd.normalize(given, spec, layout, negative_slope, inplace=inplace)
    if mask is None and processes is None:
        done = operators.normalize(x, spec, layout, scale, bias, residual, negative_slope)
        if done is not None:
            y, mean, variance = done
            if not spec.running:
                return y, None
            return y, Moments(mean, variance, layout.set_size)
    y, found = formula.normalize(
        x,
        spec,
        layout,
        scale=scale,
        bias=bias,
        mask=mask,
        residual=residual,
        negative_slope=negative_slope,
        processes=processes,
    )
    return y, _detached(found) if spec.running else None


def run_with(
    x: Tensor,
    spec: NormSpec,
    layout: Layout,
    mean: Tensor | None,
    var: Tensor | None,
    *,
    scale: Tensor | None = None,
    bias: Tensor | None = None,
    mask: Tensor | None = None,
    residual: Tensor | None = None,
    negative_slope: float | None = None,
    inplace: bool = False,
) -> Tensor:
    """Normalize `x` by statistics from elsewhere, such as running ones.

    Args:
        x, spec, layout, scale, bias, residual, negative_slope: as for `formula.normalize`.
        mean, var: one value per statistics set, flat, in the shape of the kept axes, or in that of
            `Moments`; None where the spec does not use it.
        mask: as for `formula.normalize`; here it matters to gradients alone.
        inplace: whether x may be overwritten by the result.

    Returns:
        y, of x's shape and dtype.

    Raises:
        SpecError: the spec uses what is None.
        ShapeError: the statistics are not as many as there are sets.
    """
    lacks_mean = spec.center and mean is None
    lacks_var = spec.measure is not Measure.NONE and var is None
    is_given = not (lacks_mean or lacks_var)  # else the formula says what is missing
    if (
        is_given
        and not torch.compiler.is_compiling()
        and is_eager()
        and not needs_gradient((mean, var))
    ):
        given = Operands(x, scale, bias, residual, mask)
        if can_run(spec, given) and all(t is None or is_plain(t) for t in (mean, var)):
            return normalize_with(given, spec, layout, mean, var, negative_slope, inplace=inplace)
    return formula.normalized(
        x,
        spec,
        layout,
        mean,
        var,
        scale=scale,
        bias=bias,
        mask=mask,
        residual=residual,
        negative_slope=negative_slope,
    )


def _detached(found: Moments) -> Moments:
    """The moments as numbers: running statistics carry no gradient."""
    return Moments(*(m.detach() if isinstance(m, Tensor) else m for m in found))

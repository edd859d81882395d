"""The very call that torch's own layer would make, where there is such a layer for a spec.

Or the usual way, for layer norm over other axes than the last ones. Of small inputs the time goes
into calls, not numbers: here nothing is reshaped, and all that depends on the shape is settled
before.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

import torch
from torch import Tensor

from normscope.notation.layout import Layout
from normscope.notation.shape import Size
from normscope.notation.spec import Measure, NormSpec

OwnCall = Callable[[Tensor, Tensor | None, Tensor | None], Tensor]
"""Of x, scale and bias, in torch's shapes."""


@lru_cache(maxsize=1024)
def own_call(spec: NormSpec, shape: tuple[Size, ...]) -> OwnCall | None:
    """The call for inputs of this shape; None where no layer of torch computes the spec.

    A length of the shape may be None: while a model is exported, it stays open.

    Batch norm is not among them: what it measures is wanted, too.

    >>> x = torch.tensor([[1.0, 3.0]])
    >>> call = own_call(NormSpec("b [c]", eps=0.0), (1, 2))
    >>> call(x, None, None)
    tensor([[-1.,  1.]])
    >>> own_call(NormSpec("b [c]", measure="l1"), (1, 2)) is None
    True
    """
    layout = spec.layout(shape)
    norm = _formula(spec, layout)
    if norm is None:
        return None
    call = _of_last_axes(spec, layout, norm)
    if call is not None or norm is _rms_norm:
        return call
    return _of_instances(spec, layout) or _of_groups(spec, layout)


@lru_cache(maxsize=1024)
def moved_call(spec: NormSpec, shape: tuple[Size, ...]) -> OwnCall | None:
    """The usual way where the axes of a set are not the last ones: they are moved there, and back.

    None where that gives no layer norm or RMS norm of samples, which the first axis counts.

    >>> call = moved_call(NormSpec("b [c] h", eps=0.0), (1, 2, 2))
    >>> call(torch.tensor([[[1.0, 2.0], [3.0, 6.0]]]), None, None)
    tensor([[[-1., -1.],
             [ 1.,  1.]]])
    """
    layout = spec.layout(shape)
    shared, kept, of = layout.shared, layout.kept, _formula(spec, layout)
    if of is None or not _is_whole(layout) or 0 not in kept or _named(spec, layout) - {shared}:
        return None
    sizes = tuple(size for i in shared if (size := layout.sizes[i]) is not None)
    if len(sizes) < len(shared):
        return None
    order = (*kept, *shared)
    back = tuple(sorted(range(len(order)), key=order.__getitem__))
    norm = of(sizes, spec.eps)

    def call(x: Tensor, scale: Tensor | None, bias: Tensor | None) -> Tensor:
        y = norm(x.permute(order), scale, bias).permute(back)
        if y.stride() == x.stride():
            return y
        return y.contiguous() if x.is_contiguous() else torch.empty_like(x).copy_(y)

    return call


def _formula(spec: NormSpec, layout: Layout) -> Callable[[tuple[int, ...], float], OwnCall] | None:
    """What makes the call of layer norm or RMS norm over some axes, if the spec is one of these."""
    others = spec.ddof or spec.eps_outside or spec.floor or spec.scale_shift or spec.running
    if others or spec.unit_below is not None or 0 in layout.shape or layout.set_size == 1:
        return None
    if spec.measure is Measure.MEAN_SQUARE and not spec.center and spec.bias is None:
        return _rms_norm
    return _layer_norm if spec.measure is Measure.VARIANCE and spec.center else None


def _named(spec: NormSpec, layout: Layout) -> set[tuple[int, ...]]:
    """The axes of the parameters that the spec has."""
    return {layout.named(names) for names in (spec.scale, spec.bias) if names is not None}


def _is_whole(layout: Layout) -> bool:
    """Whether no axis of the input is taken apart."""
    return len(layout.axes) == len(layout.shape)


def _of_last_axes(
    spec: NormSpec, layout: Layout, of: Callable[[tuple[int, ...], float], OwnCall]
) -> OwnCall | None:
    """Layer norm or RMS norm: a set is all of the last axes, which the parameters run along."""
    shared, rank = layout.shared, len(layout.shape)
    if not _is_whole(layout) or shared != tuple(range(rank - len(shared), rank)):
        return None
    if _named(spec, layout) - {shared}:
        return None
    sizes = tuple(size for i in shared if (size := layout.sizes[i]) is not None)
    if len(sizes) < len(shared):
        return lambda x, scale, bias: of(tuple(x.shape[shared[0] :]), spec.eps)(x, scale, bias)
    return of(sizes, spec.eps)


def _layer_norm(sizes: tuple[int, ...], eps: float) -> OwnCall:
    norm = torch.layer_norm
    return lambda x, scale, bias: norm(x, sizes, scale, bias, eps)


def _rms_norm(sizes: tuple[int, ...], eps: float) -> OwnCall:
    norm = torch.rms_norm
    return lambda x, scale, bias: norm(x, sizes, scale, eps)


def _of_instances(spec: NormSpec, layout: Layout) -> OwnCall | None:
    """Instance norm: a set is all behind the first two axes, and parameters run along the second.

    Torch takes both parameters or none.
    """
    if not _is_whole(layout) or len(layout.shape) < 3 or layout.kept != (0, 1):
        return None
    if (spec.scale is None) != (spec.bias is None) or _named(spec, layout) - {(1,)}:
        return None
    norm, eps = torch.instance_norm, spec.eps
    return lambda x, scale, bias: norm(x, scale, bias, None, None, True, 0.1, eps, False)


def _of_groups(spec: NormSpec, layout: Layout) -> OwnCall | None:
    """Group norm: the second axis is taken apart into groups, of which a set is one with the rest.

    Both parameters or none: torch 2.13 crashes in the backward pass if there is a bias alone.
    """
    axes = layout.axes
    parts = [i for i, axis in enumerate(axes) if axis.dim == 1]
    if len(parts) != 2 or len(axes) != len(layout.shape) + 1 or layout.kept != (0, parts[0]):
        return None
    if (spec.scale is None) != (spec.bias is None) or _named(spec, layout) - {tuple(parts)}:
        return None
    norm, eps, groups = torch.group_norm, spec.eps, layout.sizes[parts[0]]
    if groups is None:
        return None
    along = (-1,) + (1,) * (len(layout.shape) - 2)

    def call(x: Tensor, scale: Tensor | None, bias: Tensor | None) -> Tensor:
        if scale is None or bias is None:
            return norm(x, groups, None, None, eps, False)
        if _only_parameters_learn(x, scale):
            y = norm(x, groups, None, None, eps, False)  # or the backward pass would crash, too
            return torch.addcmul(bias.reshape(along), y, scale.reshape(along))
        if scale.dim() > 1:
            scale, bias = scale.flatten(), bias.flatten()
        return norm(x, groups, scale, bias, eps, False)

    return call


def _only_parameters_learn(x: Tensor, scale: Tensor) -> bool:
    if torch.compiler.is_exporting() or torch._C._get_tracing_state() is not None:
        return False  # what is exported has no backward pass
    return scale.requires_grad and not x.requires_grad and torch.is_grad_enabled()

"""Small inputs of a `Norm`: the call that torch's own layer makes, found by the input's form.

A microsecond counts here. What is asked of a layer, and what follows from its spec and the shape of
its input, is settled once for each form.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from normscope.kernels.library import kernels_built
from normscope.layers.torch.autograd import needs_gradient
from normscope.layers.torch.choice import Least, least_applied, least_of
from normscope.layers.torch.memory import counts_samples, in_backward_pass
from normscope.layers.torch.operands import is_eager
from normscope.layers.torch.own_call import moved_call, own_call
from normscope.notation.layout import Layout
from normscope.notation.running import Running
from normscope.notation.spec import Measure, NormSpec

if TYPE_CHECKING:
    from normscope.layers.torch.norm import Norm

Quick = Callable[["Norm", Tensor], Tensor | None]
"""Of a layer and its input; None if this input is to go another way."""


def quick_call(spec: NormSpec, x: Tensor, applied: bool) -> Quick | None:
    """The call for inputs like this, whose parameters have the shapes that they should have.

    Args:
        spec: the layer's.
        x: an input.
        applied: whether running statistics are applied, if there are any.

    Returns:
        None where torch has no such layer, or kernels are quicker than it.
    """
    shape = tuple(x.shape)
    call = _own(spec, shape) if spec.running is None else _batch_norm(spec, shape, applied)
    if call is None or not kernels_built() or not x.is_cpu:
        return call
    least = least_of(spec, shape, x.stride(), x.dtype)
    if applied and spec.running is not None:
        least = least_applied()
    small = Least(*(x.nbytes < size for size in least))
    if small.alone and small.derived:
        return call
    return _where(call, bool(small.derived)) if any(small) else None


def _where(call: Quick, derived: bool) -> Quick:
    """The call where a gradient is wanted, or where none is."""

    def chosen(layer: Norm, x: Tensor) -> Tensor | None:
        return call(layer, x) if needs_gradient((x, layer.weight, layer.bias)) == derived else None

    return chosen


@lru_cache(maxsize=1024)
def _own(spec: NormSpec, shape: tuple[int, ...]) -> Quick | None:
    own = own_call(spec, shape) or moved_call(spec, shape)
    if own is None:
        return None

    has_weight, has_bias = spec.scale is not None, spec.bias is not None

    def call(layer: Norm, x: Tensor) -> Tensor | None:
        try:
            parameters = layer._parameters  # what `layer.weight` takes a microsecond to come to
            weight, bias = parameters["weight"], parameters["bias"]
        except KeyError:  # they are parametrized
            return None
        if weight is None:
            if has_weight:  # it was taken away
                return None
        elif weight.dtype is not x.dtype:
            return None
        if bias is None:
            if has_bias:
                return None
        elif bias.dtype is not x.dtype:
            return None
        return own(x, weight, bias)

    return call


@lru_cache(maxsize=1024)
def _batch_norm(spec: NormSpec, shape: tuple[int, ...], applied: bool) -> Quick | None:
    """That of a batch norm, which moves its running statistics itself."""
    running = spec.running
    if running is None or not _is_batch_norm(spec, running, spec.layout(shape)):
        return None
    norm, eps, momentum = torch.batch_norm, spec.eps, 1 - running.decay

    def call(layer: Norm, x: Tensor) -> Tensor | None:
        try:
            parameters, buffers = layer._parameters, layer._buffers
            weight, bias = parameters["weight"], parameters["bias"]
            mean, var = buffers["running_mean"], buffers["running_var"]
        except KeyError:  # they are parametrized
            return None
        if mean is None or var is None or mean.dtype is not x.dtype:
            return None
        if weight is not None and not (weight.dtype is x.dtype and weight.is_contiguous()):
            return None  # of an expanded weight torch 2.13 reads what lies behind it
        if bias is not None and bias.dtype is not x.dtype:
            return None
        if applied:
            return norm(x, weight, bias, mean, var, False, 0.0, eps, False)
        if not is_eager():  # a transformation may not let them be moved in place
            return None
        if in_backward_pass():  # a batch that is computed again moves nothing
            mean, var = mean.clone(), var.clone()
        elif layer.num_batches_tracked is not None:
            layer.num_batches_tracked.add_(1)
        return norm(x, weight, bias, mean, var, True, momentum, eps, False)

    return call


def _is_batch_norm(spec: NormSpec, running: Running, layout: Layout) -> bool:
    """Whether the spec is what torch's batch norms compute, of inputs of some shape."""
    named = {layout.named(names) for names in (spec.scale, spec.bias) if names is not None}
    plain = Running(running.decay, ddof=1)
    others = spec.ddof or spec.eps_outside or spec.floor or spec.scale_shift
    return (
        running == plain
        and spec.measure is Measure.VARIANCE
        and spec.center
        and not others
        and spec.unit_below is None
        and (spec.scale is None) == (spec.bias is None)
        and len(layout.axes) == len(layout.shape)
        and layout.kept == (1,)
        and not named - {(1,)}
        and not counts_samples(spec)
        and 0 not in layout.shape
        and (layout.set_size or 0) > 1
    )

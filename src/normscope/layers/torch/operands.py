"""The tensors of a call, and whether the kernels can read them: whether they are memory here."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.autograd import forward_ad
from torch.nn import Parameter

from normscope.engine.operands import Kind
from normscope.kernels.library import kernels_built
from normscope.notation.spec import Measure, NormSpec


class _Bfloat16(NamedTuple):
    """What NumPy has no dtype for."""

    name: str = "bfloat16"
    itemsize: int = 2


KINDS: dict[torch.dtype, Kind] = {
    torch.float64: np.dtype(np.float64),
    torch.float32: np.dtype(np.float32),
    torch.float16: np.dtype(np.float16),
    torch.bfloat16: _Bfloat16(),
}
"""The dtypes that kernels have, as the engine is told them."""
_PLAIN = (Tensor, Parameter)


class Operands(NamedTuple):
    """The tensors of a call.

    Attributes:
        x: the input.
        scale, bias: the parameters, in the shape of their axes, or flat.
        residual: what is added to x first, of its shape and dtype.
        mask: booleans that broadcast to x; only where it is True a value counts.
    """

    x: Tensor
    scale: Tensor | None = None
    bias: Tensor | None = None
    residual: Tensor | None = None
    mask: Tensor | None = None


def is_eager() -> bool:
    """Whether a tensor here is its own memory: nothing traces, transforms or watches operators."""
    return not (
        torch.compiler.is_compiling()
        or torch._C._len_torch_dispatch_stack()
        or torch._C._functorch.peek_interpreter_stack() is not None
        or forward_ad._current_level >= 0
        or torch._C._get_tracing_state() is not None
    )


def can_run(spec: NormSpec, given: Operands) -> bool:
    """Whether the kernels can run a call, where `is_eager`.

    The maximum is left to the formula: its gradient is torch's choice among equal values.
    """
    x, residual, mask = given.x, given.residual, given.mask
    return (
        x.dtype in KINDS
        and is_plain(x)
        and (given.scale is None or is_plain(given.scale))
        and (given.bias is None or is_plain(given.bias))
        and (residual is None or is_plain(residual))
        and (mask is None or is_plain(mask))
        and x.numel() > 0
        and spec.measure is not Measure.MAX
        and (residual is None or (residual.dtype == x.dtype and residual.shape == x.shape))
        and (mask is None or mask.dtype == torch.bool)
        and kernels_built()
    )


def is_gradient(dy: Tensor) -> bool:
    """Whether the kernels can read a gradient, where `is_eager`; not if it is one of a batch."""
    return not torch._C._functorch.is_legacy_batchedtensor(dy) and is_plain(dy)


def is_plain(tensor: Tensor) -> bool:
    """Whether numbers lie in memory here, at an address and strides from there."""
    return (
        tensor.is_cpu
        and type(tensor) in _PLAIN
        and tensor.layout is torch.strided
        and not tensor.is_neg()
        and tensor.data_ptr() % tensor.element_size() == 0
    )

"""`Norm` while `torch.fx.symbolic_trace` follows a model: a module of its graph, called whole.

The tracer takes torch's own layers for leaves, and looks into all others, where it has no tensors
but their stand-ins. So `Norm` writes down the call itself. What is traced holds the layer as it
is: it trains, it can be set to `eval()`, and its state has the same keys.
"""

from __future__ import annotations

from typing import Any, NoReturn

import torch
from torch import Tensor
from torch.fx import Proxy

from normscope.errors import SpecError
from normscope.layers.torch.state import NormState


def is_followed(*inputs: object) -> bool:
    """Whether an input stands for a tensor that is not there."""
    return any(isinstance(one, Proxy) for one in inputs)


def call_of(norm: torch.nn.Module, *inputs: Any) -> Any:
    """The node that stands for the result of a layer.

    Args:
        norm: a `Norm`.
        *inputs: the arguments of its `forward`, all of them.

    Raises:
        SpecError: it is no part of the model that is traced, but that model itself.
    """
    tracer: Any = next(one for one in inputs if isinstance(one, Proxy)).tracer
    path = tracer.path_of_module(norm) if hasattr(tracer, "path_of_module") else ""
    if not path:
        raise SpecError(
            f"torch.fx traces {norm} as a part of a model only: write "
            "torch.fx.symbolic_trace(torch.nn.Sequential(norm))"
        )
    while inputs[-1] is None or inputs[-1] is False:
        inputs = inputs[:-1]
    if type(norm).forward is _norm(norm).forward and not _has_hooks(norm):
        return tracer.create_proxy("call_module", path, inputs, {})
    # hooks, and what a subclass does beside, are in the graph already
    module = tracer.create_proxy("get_attr", path, (), {})
    return tracer.create_proxy("call_function", forward, (module, *inputs), {})


def forward(norm: Any, *inputs: Any) -> Tensor:
    """`Norm.forward` alone, without hooks and what a subclass adds."""
    y: Tensor = _norm(norm).forward(norm, *inputs)
    return y


def not_scripted(norm: object) -> NoReturn:
    """Says what to write in the place of `torch.jit.script`.

    Raises:
        SpecError: always.
    """
    raise SpecError(
        "torch.jit.script compiles source code, and cannot that which works patterns out: write "
        "torch.jit.trace(model, x) or torch.export.export(model, (x,)); or first "
        "normscope.layers.torch.unswap(model), which puts torch's own layers back"
    )


def _norm(norm: torch.nn.Module) -> Any:
    """The class `Norm`, of which a layer may be a subclass."""
    classes = type(norm).__mro__
    return classes[classes.index(NormState) - 1]


def _has_hooks(norm: torch.nn.Module) -> bool:
    return bool(norm._forward_hooks or norm._forward_pre_hooks)

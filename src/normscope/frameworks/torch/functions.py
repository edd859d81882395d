"""Functions of tensors of PyTorch, which may call modules that they hold."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import torch

from normscope.frameworks.inputs import Inputs
from normscope.frameworks.live import Live
from normscope.frameworks.torch.module_calls import watched
from normscope.frameworks.torch.trace import trace
from normscope.graph.operators import CannotTraceError, Graph


def traced_function(
    live: Live,
    given: Inputs,
    training: bool,
    captured: Mapping[str, Any],
    modules: Mapping[str, torch.nn.Module],
) -> Graph:
    """The operator graph of a function.

    Args:
        live: the function.
        given: its inputs.
        training: the mode.
        captured: what it gets from outside of its arguments, by name.
        modules: the modules in it, and all inside of them, by path.

    Raises:
        CannotTraceError: an input is no tensor, or the function cannot be followed.
    """
    found: list[Any] = []

    def note(original: Any, value: Any) -> Any:
        found.append(original)
        return original

    given.arguments(note)
    if not all(isinstance(array, torch.Tensor) for array in found):
        raise CannotTraceError(
            f"{live.title} computes in PyTorch, but is given arrays of NumPy: give it tensors"
        )
    graph = trace(
        live,
        given,
        training,
        dict(_tensors(captured, modules)),
        lambda calls: watched(modules, calls),
        found[0].device,
    )
    graph.calls[0].layer = live.function
    return graph


def _tensors(
    captured: Mapping[str, Any], modules: Mapping[str, torch.nn.Module]
) -> Iterator[tuple[str, torch.Tensor]]:
    for name, part in captured.items():
        if isinstance(part, torch.Tensor):
            yield name, part
    for path, module in modules.items():
        for own in (module.named_parameters, module.named_buffers):
            yield from ((f"{path}.{name}", tensor) for name, tensor in own(recurse=False))

"""`TorchState`: everything in a module of PyTorch that a call may change, as it was found."""

from __future__ import annotations

from collections.abc import Iterator

import torch

from normscope.identify.adapters.attributes import Attributes


class TorchState:
    """Parameters, buffers, plain tensors, gradients, modes, hooks and attributes of a module."""

    def __init__(self, module: torch.nn.Module) -> None:
        self._attributes = Attributes(list(module.modules()))
        self._modes = [(part, part.training) for part in module.modules()]
        tensors = {id(t): t for t in _tensors(module)}.values()
        self._values = [(t, t.detach().clone()) for t in tensors]
        self._gradients = [
            (t, t.grad, None if t.grad is None else t.grad.clone()) for t in tensors if t.is_leaf
        ]
        self._generators = [(g, g.get_state()) for g in _generators(module)]

    def put_back(self, stream: int | None = 0) -> None:
        """Write back whatever has changed.

        Args:
            stream: of random numbers: 0 draws what would have been drawn, another number draws
                others, None lets the random generators go on.
        """
        self._attributes.put_back()
        for part, training in self._modes:
            if part.training != training:  # a scripted module does not keep it as an attribute
                part.training = training
        with torch.no_grad():
            for tensor, value in self._values:
                if not torch.equal(tensor, value):
                    tensor.copy_(value)
            for tensor, gradient, copy in self._gradients:
                if tensor.grad is not gradient:
                    tensor.grad = gradient
                if gradient is not None and copy is not None and not torch.equal(gradient, copy):
                    gradient.copy_(copy)
        for generator, state in self._generators:
            if stream is not None:
                generator.set_state(state)
            if stream:
                generator.manual_seed(stream)


def _tensors(module: torch.nn.Module) -> Iterator[torch.Tensor]:
    yield from module.parameters()
    yield from module.buffers()
    for part in module.modules():
        yield from (v for v in vars(part).values() if isinstance(v, torch.Tensor))


def _generators(module: torch.nn.Module) -> Iterator[torch.Generator]:
    for part in module.modules():
        yield from (v for v in vars(part).values() if isinstance(v, torch.Generator))

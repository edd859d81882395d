"""`ProgramModule`: an exported program as a module, which `TorchLive` knows how to ask."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch

from normscope.errors import SpecError
from normscope.frameworks.torch.exported.program import Program
from normscope.frameworks.torch.exported.running import Listener, Run


class ProgramModule(torch.nn.Module):
    """A module that runs a program; its tensors are those of the program, by the same paths.

    Attributes:
        listener: hears of the steps and the layers.
    """

    def __init__(self, program: Program) -> None:
        super().__init__()
        self.program = program
        self.listener = Listener()
        for path, tensor in program.held.items():
            _put(self, path, tensor)
        self.forward = _forward(self)  # with the signature of the program

    def tensor(self, path: str) -> torch.Tensor:
        """What it holds by this path."""
        home, _, name = path.rpartition(".")
        part = self.get_submodule(home)
        found = part._parameters.get(name)
        return part._buffers[name] if found is None else found  # type: ignore[return-value]

    @contextmanager
    def heard_by(self, listener: Listener) -> Iterator[None]:
        """Within, a listener hears of its steps."""
        before, self.listener = self.listener, listener
        try:
            yield
        finally:
            self.listener = before

    def leaves(self, arguments: tuple[Any, ...], named: dict[str, Any]) -> list[Any]:
        """What the program takes, of the arguments of a call."""
        bound = self.program.signature.bind(*arguments, **named)
        bound.apply_defaults()
        return self.program.flattened(bound.args, bound.kwargs)

    def run(self, arguments: tuple[Any, ...], named: dict[str, Any]) -> Any:
        """One call."""
        program = self.program
        leaves = self.leaves(arguments, named)
        for taken, leaf in zip(program.taken, leaves, strict=True):
            if isinstance(leaf, torch.Tensor) and taken.misfit(leaf.shape):
                raise ValueError(f"it was exported for {taken}, and {tuple(leaf.shape)} came")
        values = dict(zip(program.body.inputs, leaves, strict=True))
        values |= {name: self.tensor(path) for name, path in program.names.items()}
        outputs = Run(self.listener).body(program.body, values)
        if not self.listener.records:
            with torch.no_grad():
                for path, number in program.written.items():
                    self.tensor(path).copy_(outputs[number])
        return program.built([outputs[number] for number in program.outputs])


def _forward(module: ProgramModule) -> Any:
    def forward(*arguments: Any, **named: Any) -> Any:
        return module.run(arguments, named)

    forward.__signature__ = module.program.signature  # type: ignore[attr-defined]
    return forward


def _put(module: torch.nn.Module, path: str, tensor: torch.Tensor) -> None:
    *folders, name = path.split(".")
    for word in (*folders, name):
        if not word or hasattr(torch.nn.Module, word):
            raise SpecError(
                f"the program holds a tensor of the name {path[:60]!r}, which no module has"
            )
    for folder in folders:
        module = module._modules.setdefault(folder, torch.nn.Module())  # type: ignore[assignment]
    if isinstance(tensor, torch.nn.Parameter):
        module._parameters[name] = tensor
    else:
        module._buffers[name] = tensor

"""`TorchState`: everything in a module of PyTorch that a call may change, as it was found."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from normscope.frameworks.attributes import Attributes
from normscope.frameworks.state import State
from normscope.frameworks.torch.tensor_copies import TensorCopies, modules_in


class TorchState(State):
    """Tensors, modes, hooks and attributes of a module; within `kept` it holds copies of tensors.

    Args:
        module: which is examined.
        followed: its operators may be followed first. That needs no copies of parameters, which are
            large: they are copied by `copy_parameters`, before the first call.

    The tensors themselves are never written to, so that a forward pass before and a backward pass
    after an examination belong together.
    """

    def __init__(self, module: torch.nn.Module, *, followed: bool = False) -> None:
        parts = modules_in(module)
        self._attributes = Attributes(list(parts))
        self._modes = [(part, part.training) for part in parts]
        self._copies = TensorCopies(list(parts))
        self._generators = [(g, g.get_state()) for g in _generators(parts)]
        self._examined = False
        self._followed = followed
        self._copied = not followed

    @property
    def parameters(self) -> tuple[torch.nn.Parameter, ...]:
        """Those that the module itself holds until they are copied; none where they are."""
        return () if self._copied else self._copies.parameters

    def copy_parameters(self) -> bool:
        """From here on the module holds copies of its parameters too; whether it did not yet."""
        if self._copied or not self._examined:
            return False
        self._copied = True
        self._copies.install()
        return True

    @contextmanager
    def kept(self) -> Iterator[None]:
        """Whatever happens inside, the module is afterwards as it was before."""
        self._examined = True
        try:
            self._copies.install(parameters=self._copied)
            yield
        finally:
            self._examined, self._copied = False, not self._followed
            self.put_back()

    def put_back(self, stream: int | None = 0) -> None:
        """Put back whatever has changed; within `kept`, the copies with the values as found.

        Args:
            stream: of random numbers: 0 draws what would have been drawn, another number draws
                others, None lets the random generators go on.
        """
        self._attributes.put_back()
        for part, training in self._modes:
            if part.training != training:  # a scripted module does not keep it as an attribute
                part.training = training
        if self._examined:
            self._copies.install(parameters=self._copied)
        else:
            self._copies.give_back()
        for generator, state in self._generators:
            if stream is not None:
                generator.set_state(state)
            if stream:
                generator.manual_seed(stream)


def _generators(parts: list[torch.nn.Module]) -> Iterator[torch.Generator]:
    for part in parts:
        yield from (v for v in vars(part).values() if isinstance(v, torch.Generator))

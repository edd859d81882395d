"""`Parameters`: those of a model that is followed without copies of them, as they are large.

Inputs have no numbers while operators are followed, so hardly any model writes to its parameters
then. One that is about to is stopped before it does, and followed again on copies.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch

from normscope.frameworks.torch.memory import memory_of


class WritesParametersError(BaseException):
    """The model is about to write to a parameter; no `except Exception` of its own may catch it."""


class Parameters:
    """Parameters that nothing may write to.

    Attributes:
        memories: theirs, and those of their gradients.
        tried: there was an attempt to write to one.
    """

    def __init__(self, parameters: Sequence[torch.nn.Parameter] = ()) -> None:
        self._parameters = parameters
        gradients = [p.grad for p in parameters if p.grad is not None]
        self.memories = frozenset(map(memory_of, [*parameters, *gradients])) - {None}
        self.tried = False

    @contextmanager
    def kept(self) -> Iterator[Parameters]:
        """Within, what a call may set on them without an operator is put back at the end.

        Raises:
            WritesParametersError: there was an attempt to write, whatever became of it.
        """
        found = [(p, p.requires_grad, p.grad) for p in self._parameters]
        try:
            yield self
        finally:
            for parameter, requires_grad, gradient in found:
                if parameter.requires_grad != requires_grad:
                    parameter.requires_grad_(requires_grad)
                if parameter.grad is not gradient:
                    parameter.grad = gradient
        if self.tried:
            raise WritesParametersError

    def check(self, tensor: Any) -> None:
        """Before a tensor is written to.

        Raises:
            WritesParametersError: it is, or shares memory with, a parameter.
        """
        if (
            self.memories
            and isinstance(tensor, torch.Tensor)
            and memory_of(tensor) in self.memories
        ):
            self.tried = True
            raise WritesParametersError

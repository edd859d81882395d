"""Buffers that are changed inside `torch.func`: what grad, vmap or jvp wrap must not be written to.

A transform forbids that a function writes to a tensor which it did not get as an argument. But
running statistics are constants to every derivative; so they are written below all transforms.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor


def in_transform() -> bool:
    """Whether a transform of `torch.func` runs here."""
    return torch._C._functorch.peek_interpreter_stack() is not None


def write(buffer: Tensor, value: Tensor) -> None:
    """Write a value of its shape into a buffer, below all transforms.

    Where `vmap` runs over the values but not over the buffer, their average is written.

    >>> def f(x):
    ...     write(held, x.detach())
    ...     return x.sum()
    >>> held = torch.zeros(2)
    >>> grads = torch.vmap(torch.func.grad(f))(torch.tensor([[1.0, 2.0], [3.0, 4.0]]))
    >>> held
    tensor([2., 3.])
    """
    _Write.apply(buffer, value.detach())  # type: ignore[no-untyped-call]


class _Write(torch.autograd.Function):
    @staticmethod
    def forward(buffer: Tensor, value: Tensor) -> Tensor:
        buffer.copy_(value)
        return buffer.new_zeros(())

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, Tensor], output: Tensor) -> None:
        ctx.mark_non_differentiable(output)

    @staticmethod
    def backward(ctx: Any, *_: Any) -> tuple[None, None]:
        return None, None

    @staticmethod
    def jvp(ctx: Any, *_: Any) -> None:
        return None

    @staticmethod
    def vmap(
        info: Any, in_dims: tuple[int | None, int | None], buffer: Tensor, value: Tensor
    ) -> tuple[Tensor, None]:
        over_buffer, over_value = in_dims
        if over_buffer is not None:
            buffer = buffer.movedim(over_buffer, 0)
            value = value if over_value is None else value.movedim(over_value, 0)
            write(buffer, value.expand(buffer.shape))
        elif over_value is not None:
            write(buffer, _average(value, over_value))
        else:
            write(buffer, value)
        return buffer.new_zeros(()), None


def _average(values: Tensor, axis: int) -> Tensor:
    """The average over an axis; of counts, which all are the same, any one."""
    return values.mean(axis) if values.is_floating_point() else values.select(axis, 0)

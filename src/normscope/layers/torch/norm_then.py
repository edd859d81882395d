"""`NormThen`: a `Norm` and the modules that its output goes through, as one layer.

Some libraries write a normalization and what follows it as one class, such as the `BatchNormAct2d`
of timm, which holds a drop-out and an activation.
"""

from __future__ import annotations

from collections.abc import Sequence
from copy import copy
from typing import Any

from torch import Tensor, nn

from normscope.layers.torch.norm import Norm
from normscope.notation.spec import NormSpec


class NormThen(Norm):
    """Normalizes as a `NormSpec` says, and gives the result to other modules, one after another.

    `swap` makes it, with the children of the layer in whose place it is.

    Args:
        normalization: a `NormSpec`.
        then: the names of its children, in the order in which the output goes through them.
        **options: those of `Norm`.

    Example:
        >>> layer = NormThen(NormSpec("b [c]", eps=0.0), ("act",))
        >>> layer.act = nn.ReLU()
        >>> import torch
        >>> layer(torch.tensor([[1.0, 3.0]]))
        tensor([[0., 1.]])
    """

    def __init__(self, normalization: NormSpec, then: Sequence[str], **options: Any) -> None:
        super().__init__(normalization, **options)
        self.then = tuple(then)

    def forward(self, x: Tensor, *args: Any, **named: Any) -> Tensor:
        """Normalize x, as `Norm.forward` does, and call the children in turn."""
        y = super().forward(x, *args, **named)
        for name in self.then:
            y = getattr(self, name)(y)
        return y

    def alone(self) -> Norm:
        """The normalization without what follows, with the same tensors."""
        norm = copy(self)
        norm.__class__ = Norm  # type: ignore[assignment]
        norm._modules = {}
        return norm


def order_of_calls(layer: nn.Module, x: Tensor) -> tuple[str, ...]:
    """The names of the children of a layer, as they are called when it is given `x`."""
    called: list[str] = []
    hooks = [
        child.register_forward_pre_hook(lambda *_, name=name: called.append(name))
        for name, child in layer._modules.items()
        if child is not None
    ]
    try:
        layer.forward(x)
    finally:
        for hook in hooks:
            hook.remove()
    return tuple(called)


def with_children_off(layer: nn.Module) -> nn.Module:
    """A likeness of a layer whose children do nothing."""
    bare = copy(layer)
    bare._modules = {name: child and nn.Identity() for name, child in layer._modules.items()}
    return bare

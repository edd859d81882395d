"""Layers of torch written by hand in a line, and the pieces that they are made of."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import nn

from normscope import NormSpec

IMAGE, WORDS, NODES, SIGNAL = (4, 8, 6, 5), (3, 7, 8), (12, 8), (4, 8, 10)
NAMES = {IMAGE: "b c h w", WORDS: "b t c", NODES: "n c", SIGNAL: "b c t"}
Tensor = torch.Tensor


def made(
    forward: Callable[..., Tensor], buffers: dict[str, Tensor] | None = None, **parameters: Tensor
) -> nn.Module:
    """A module with this forward function of (self, x), buffers and parameters."""

    class Layer(nn.Module):
        def forward(self, *args: Tensor) -> Tensor:
            return forward(self, *args)

    layer = Layer()
    for name, value in parameters.items():
        layer.register_parameter(name, nn.Parameter(value.clone()))
    for name, value in (buffers or {}).items():
        layer.register_buffer(name, value.clone())
    return layer


def stated(pattern: str, **fields: object) -> NormSpec:
    return NormSpec(pattern, **fields)  # type: ignore[arg-type]


def rms_spec(pattern: str, **fields: object) -> NormSpec:
    return stated(pattern, center=False, measure="mean_square", **fields)


def mean(x: Tensor, dims: int | tuple[int, ...] = -1) -> Tensor:
    return x.mean(dims, keepdim=True)


def var(x: Tensor, dims: int | tuple[int, ...] = -1, ddof: int = 0) -> Tensor:
    return x.var(dims, correction=ddof, keepdim=True)


def square(x: Tensor, dims: int | tuple[int, ...] = -1) -> Tensor:
    return x.pow(2).mean(dims, keepdim=True)


def plain(x: Tensor, dims: int | tuple[int, ...] = -1, eps: float = 1e-5) -> Tensor:
    return (x - mean(x, dims)) / (var(x, dims) + eps).sqrt()


def column(parameter: Tensor) -> Tensor:
    return parameter.view(1, -1, 1, 1)


W, B = torch.ones(8), torch.zeros(8)
BOTH = {"w": W, "b": B}
LAYER = {"scale": "c", "bias": "c"}

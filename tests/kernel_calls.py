"""Calls of kernels from torch: a family of specs for each way that kernels work."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from normscope import Running, spec
from normscope.layers.torch.operands import Operands

FAMILIES = {
    "layer": (spec("b [c]", scale="c", bias="c"), (3, 5)),
    "rms": (spec("b [c]", scale="c", center=False, measure="mean_square"), (3, 5)),
    "gemma": (spec("b [c]", scale="c", scale_shift=1, ddof=1, eps_outside=0.01), (3, 5)),
    "channels": (spec("b [c] h w", scale="c", bias="c"), (2, 4, 2, 3)),
    "batch": (spec("[b] c [h w]", scale="c", bias="c", running=Running(0.9)), (3, 4, 2, 3)),
    "group": (spec("b (g [c]) [h w]", g=2, scale="g c", bias="g c"), (2, 6, 2, 3)),
    "last": (spec("b [h w] (g [c])", g=2, scale="g c", bias="g c"), (2, 2, 3, 6)),
    "instance": (spec("b c [s]", scale="c", bias="c"), (2, 3, 5)),
    "weights": (spec("[i] o", measure="l2", center=False, eps=0.0, floor=1e-6), (4, 3)),
    "sum": (spec("b [c]", measure="l1", center=False, eps=0.0, eps_outside=0.01), (3, 5)),
    "centred": (spec("b [c]", measure="none", bias="c"), (3, 5)),
    "guarded": (spec("b [c]", eps=0.0, unit_below=0.5, scale="c"), (3, 5)),
    "apart": (spec("b [h w]", scale="h w", bias="w"), (3, 4, 3)),
}
MODES = ("plain", "residual", "slope", "mask", "inplace")


def tensors(family: str, mode: str, dtype: torch.dtype = torch.float64) -> Operands:
    """Tensors of a call, all of which need a gradient."""
    stated, shape = FAMILIES[family]
    layout = stated.layout(shape)
    draw = torch.Generator().manual_seed(len(family))

    def some(sizes: Any) -> Tensor:
        values = torch.rand(sizes, generator=draw, dtype=torch.float64) + 0.5
        signs = torch.rand(sizes, generator=draw).sub(0.5).sign()
        return (values * signs).to(dtype).requires_grad_()

    along = (None if n is None else layout.named(n) for n in (stated.scale, stated.bias))
    sizes = [None if axes is None else [layout.known_sizes[i] for i in axes] for axes in along]
    scale, bias = (None if s is None else some(s) for s in sizes)
    mask = torch.rand(shape, generator=draw) < 0.8 if mode == "mask" else None
    residual = some(shape) if mode == "residual" else None
    return Operands(some(shape), scale, bias, residual, mask)


def operands(tensors: Sequence[Tensor | None], mask: Tensor | None = None) -> Operands:
    x, scale, bias, residual = tensors
    assert x is not None
    return Operands(x, scale, bias, residual, mask)


def slope_of(mode: str) -> float | None:
    return 0.2 if mode in ("slope", "inplace") else None


def wanted(given: Operands) -> list[Tensor]:
    return [t for t in given[:4] if t is not None]

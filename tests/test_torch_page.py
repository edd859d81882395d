"""The table of docs/torch.md: what stands in one line computes the same, with its gradients."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from torch.nn import functional

from normscope import Running
from normscope.layers.torch import Norm

PAGE = Path(__file__).parents[1] / "docs" / "torch.md"
LINE = re.compile(r"^\| `(.+?)` \| `(\(.+?\))` \| `(Norm\(.+?\))` \| .+ \|$", re.M)
LINES = LINE.findall(PAGE.read_text(encoding="utf-8"))


class Swap(nn.Module):
    """Two axes exchanged, as one does around a layer that wants them elsewhere."""

    def __init__(self, one: int, other: int) -> None:
        super().__init__()
        self.axes = (one, other)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.transpose(*self.axes)


class Call(nn.Module):
    """A function as a module."""

    def __init__(self, function: Callable[[torch.Tensor], torch.Tensor]) -> None:
        super().__init__()
        self.function = function

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.function(x)


NAMES = {
    "nn": nn, "functional": functional, "Norm": Norm, "Running": Running, "Swap": Swap, "Call": Call
}  # fmt: skip


def test_the_table_is_found() -> None:
    table = PAGE.read_text(encoding="utf-8").split("| --- | --- | --- | --- |\n")[1]
    assert len(LINES) == len(table.split("\n\n")[0].splitlines())


@pytest.mark.parametrize(("old", "shape", "new"), LINES, ids=[line[2] for line in LINES])
def test_a_line_of_the_table_is_true(old: str, shape: str, new: str) -> None:
    old_layer, size, new_layer = (eval(text, dict(NAMES)) for text in (old, shape, new))
    x = torch.randn(size, generator=torch.Generator().manual_seed(0)) * 3 + 1
    for training in (True, False):
        got, wanted = (_computed(layer.train(training), x) for layer in (new_layer, old_layer))
        torch.testing.assert_close(got, wanted, rtol=1e-4, atol=1e-4)


def _computed(layer: Any, x: torch.Tensor) -> tuple[torch.Tensor, ...]:
    """The output, the gradients of input and parameters, and the buffers."""
    x = x.clone().requires_grad_()
    y = layer(x)
    wanted = [x, *layer.parameters()]
    gradients = torch.autograd.grad(y.sin().sum(), wanted)
    return (y.detach(), *gradients, *layer.buffers())

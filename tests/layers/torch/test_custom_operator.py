"""The kernels as operators of torch: checked by torch itself, and equal to the formula."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor
from torch.autograd import gradcheck, gradgradcheck

from kernel_calls import FAMILIES, slope_of, tensors, wanted
from normscope import spec
from normscope.layers.torch import formula
from normscope.layers.torch.custom_operator import spec_text

normalize: Any = torch.ops.normscope.normalize


@pytest.mark.parametrize(("family", "mode"), [("group", "slope"), ("batch", "mask")])
def test_torch_finds_nothing_wrong(family: str, mode: str) -> None:
    given = tensors(family, mode)
    stated, _ = FAMILIES[family]
    torch.library.opcheck(
        torch.ops.normscope.normalize, (*given, spec_text(stated), slope_of(mode))
    )


@pytest.mark.parametrize("mode", ["plain", "residual"])
@pytest.mark.parametrize("family", ["layer", "guarded", "centred"])
def test_gradients_are_derivatives_twice(family: str, mode: str) -> None:
    given = tensors(family, mode)
    text = spec_text(FAMILIES[family][0])

    def call(*changed: Tensor) -> Tensor:
        rest = iter(changed)
        new = [None if t is None else next(rest) for t in given[:4]]
        found: Tensor = normalize(*new, given.mask, text, None)[0]
        return found

    assert gradcheck(call, wanted(given), fast_mode=True)
    assert gradgradcheck(call, wanted(given), fast_mode=True)


def test_where_no_kernel_runs_the_formula_does() -> None:
    stated = spec("b [c]", measure="max", center=False, scale="c")
    x = torch.rand(3, 5, requires_grad=True)
    scale = torch.rand(5, requires_grad=True)
    expected, _ = formula.normalize(x, stated, stated.layout(x.shape), scale=scale)

    y, kept = normalize(x, scale, None, None, None, spec_text(stated), None)

    torch.testing.assert_close(y, expected)
    assert kept.shape == (2, 3)
    for one, other in zip(
        torch.autograd.grad(y.sum(), (x, scale)),
        torch.autograd.grad(expected.sum(), (x, scale)),
        strict=True,
    ):
        torch.testing.assert_close(one, other)


def test_an_exported_graph_holds_one_operator() -> None:
    text = spec_text(spec("b [c]", eps=0.0))

    class Layer(torch.nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            y: Tensor = normalize(x, None, None, None, None, text, None)[0]
            return y

    batch = torch.export.Dim("batch", min=2)
    program = torch.export.export(Layer(), (torch.rand(3, 5),), dynamic_shapes=({0: batch},))

    called = [node.target for node in program.graph.nodes if node.op == "call_function"]
    assert torch.ops.normscope.normalize.default in called
    x = torch.rand(7, 5)
    torch.testing.assert_close(program.module()(x), Layer()(x))

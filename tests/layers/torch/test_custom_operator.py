"""The kernels as operators of torch: checked by torch itself, and equal to the formula."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.autograd import gradcheck, gradgradcheck

import normscope as ns
from kernel_calls import FAMILIES, slope_of, tensors, wanted
from normscope import spec
from normscope.layers.torch import formula
from normscope.layers.torch.custom_operator import spec_text

normalize: Any = torch.ops.normscope.normalize
PLAIN = spec_text(spec("b [c]"))


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


@pytest.mark.parametrize("place", [0, 1, 2])
def test_what_is_no_float_is_refused(place: int) -> None:
    given: list[Tensor | None] = [torch.rand(3, 5), torch.rand(5), torch.rand(5)]
    given[place] = torch.ones(given[place].shape, dtype=torch.int64)
    with pytest.raises(ns.DtypeError, match=r"takes floats, and \w+ is torch.int64: write"):
        normalize(*given, None, None, spec_text(spec("b [c]", scale="c", bias="c")), None)


def test_a_residual_is_as_the_input() -> None:
    with pytest.raises(ns.ShapeError, match=r"residual is .* of shape"):
        normalize(torch.ones(3, 5), None, None, torch.ones(1, 5), None, PLAIN, None)


def test_a_program_in_a_file_is_audited(tmp_path: Path) -> None:
    """The operator is followed through what it is made of, and called by its name."""

    class Layer(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.weight = torch.nn.Parameter(torch.rand(6) + 1)

        def forward(self, x: Tensor) -> Tensor:
            y = normalize(x, self.weight, None, None, None, scaled, None)[0]
            z: Tensor = normalize(y.relu(), None, None, None, None, groups, None)[0]
            return z

    scaled = spec_text(spec("b [c] s", scale="c"))
    groups = spec_text(spec("b (g [c]) [s]", g=2, measure="l1", center=False))
    program = torch.export.export(Layer(), (torch.rand(4, 6, 5),))
    torch.export.save(program, tmp_path / "model.pt2")
    audit = ns.audit(tmp_path / "model.pt2", axes="b d1 s")

    assert [site.operator for site in audit.layers] == ["normscope::normalize"] * 2
    assert [site.train.pattern for site in audit.layers] == ["b [d1] s", "b (g [d1]) [s]"]
    assert all(site.verified for site in audit.layers)


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

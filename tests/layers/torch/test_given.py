"""Kernels with statistics from elsewhere: equal to the formula, and derived right."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.autograd import gradcheck, gradgradcheck

from kernel_calls import FAMILIES, operands, slope_of, tensors, wanted
from normscope import Measure
from normscope.layers.torch import formula
from normscope.layers.torch.given import normalize_with
from normscope.layers.torch.operands import Operands, can_run


def statistics(family: str) -> tuple[Tensor, Tensor]:
    stated, shape = FAMILIES[family]
    sets = stated.layout(shape).num_sets or 0
    mean = torch.linspace(-0.5, 0.5, sets, dtype=torch.float64)
    return mean, torch.linspace(0.3, 2.0, sets, dtype=torch.float64)


@pytest.mark.parametrize("mode", ["plain", "residual", "slope"])
@pytest.mark.parametrize("family", FAMILIES)
def test_output_and_gradients_are_those_of_the_formula(family: str, mode: str) -> None:
    stated, shape = FAMILIES[family]
    layout = stated.layout(shape)
    given = tensors(family, mode)
    mean, var = statistics(family)
    dy = torch.linspace(-1, 2, given.x.numel(), dtype=torch.float64).reshape(shape)
    x, scale, bias, residual, _ = given
    expected = formula.normalized(
        x,
        stated,
        layout,
        mean,
        var,
        scale=scale,
        bias=bias,
        residual=residual,
        negative_slope=slope_of(mode),
    )

    assert can_run(stated, given)
    y = normalize_with(given, stated, layout, mean, var, slope_of(mode))

    torch.testing.assert_close(y, expected)
    for one, other in zip(
        torch.autograd.grad(y, wanted(given), dy),
        torch.autograd.grad(expected, wanted(given), dy),
        strict=True,
    ):
        torch.testing.assert_close(one, other, rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize("mode", ["residual", "slope"])
def test_gradients_are_derivatives_twice(mode: str) -> None:
    stated, shape = FAMILIES["batch"]
    given = tensors("batch", mode)
    mean, var = statistics("batch")

    def call(*changed: Tensor) -> Tensor:
        rest = iter(changed)
        new = operands([None if t is None else next(rest) for t in given[:4]])
        return normalize_with(new, stated, stated.layout(shape), mean, var, slope_of(mode))

    assert gradcheck(call, wanted(given), fast_mode=True)
    assert gradgradcheck(call, wanted(given), fast_mode=True)


def test_statistics_may_change_before_the_backward_pass() -> None:
    stated, shape = FAMILIES["batch"]
    x = torch.rand(shape, requires_grad=True)
    mean, var = (values.clone() for values in statistics("batch"))
    y = normalize_with(Operands(x), stated, stated.layout(shape), mean, var)
    (before,) = torch.autograd.grad(y.sum(), x, retain_graph=True)
    mean.add_(7), var.mul_(9)
    for again in (False, True):
        (after,) = torch.autograd.grad(y.sum(), x, retain_graph=True, create_graph=again)
        torch.testing.assert_close(after, before)


def test_what_the_spec_does_not_use_need_not_be_given() -> None:
    stated, shape = FAMILIES["centred"]
    assert stated.measure is Measure.NONE
    x = torch.rand(shape)
    mean = torch.rand(3)
    y = normalize_with(Operands(x), stated, stated.layout(shape), mean, None)
    torch.testing.assert_close(y, x - mean[:, None])


def test_the_input_is_overwritten_where_nobody_asks_for_it() -> None:
    stated, shape = FAMILIES["batch"]
    mean, var = statistics("batch")
    x = torch.rand(shape)
    given, layout = Operands(x), stated.layout(shape)
    assert normalize_with(given, stated, layout, mean, var, inplace=True).data_ptr() == x.data_ptr()
    x.requires_grad_()
    assert normalize_with(given, stated, layout, mean, var, inplace=True).data_ptr() != x.data_ptr()

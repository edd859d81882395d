"""Kernels under autograd: equal to the formula, derived right, and no more kept than is said."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor
from torch.autograd import gradcheck, gradgradcheck

from kernel_calls import FAMILIES, MODES, operands, slope_of, tensors, wanted
from normscope import NormSpec, ShapeError, SpecError, spec
from normscope.layers.torch import Norm, autograd, formula
from normscope.layers.torch.operands import Operands, can_run, is_eager


def by_formula(given: Operands, stated: NormSpec, slope: float | None) -> tuple[Tensor, Any]:
    layout = stated.layout(given.x.shape)
    x, scale, bias, residual, mask = given
    return formula.normalize(
        x,
        stated,
        layout,
        scale=scale,
        bias=bias,
        residual=residual,
        mask=mask,
        negative_slope=slope,
    )


def by_kernels(given: Operands, stated: NormSpec, slope: float | None, **options: Any) -> Tensor:
    assert is_eager()
    assert can_run(stated, given)
    layout = stated.layout(given.x.shape)
    return autograd.normalize(given, stated, layout, slope, **options)[0]


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("family", FAMILIES)
def test_output_and_gradients_are_those_of_the_formula(family: str, mode: str) -> None:
    stated, shape = FAMILIES[family]
    given = tensors(family, mode)
    dy = torch.linspace(-1, 2, given.x.numel(), dtype=torch.float64).reshape(shape)
    expected, _ = by_formula(given, stated, slope_of(mode))

    inner = given._replace(x=given.x * 1.0)  # what is overwritten is no leaf
    y = by_kernels(inner, stated, slope_of(mode), inplace=mode == "inplace")

    torch.testing.assert_close(y, expected)
    for one, other in zip(
        torch.autograd.grad(y, wanted(given), dy),
        torch.autograd.grad(expected, wanted(given), dy),
        strict=True,
    ):
        torch.testing.assert_close(one, other, rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize("mode", MODES[:4])
@pytest.mark.parametrize("family", FAMILIES)
def test_gradients_are_derivatives_twice(family: str, mode: str) -> None:
    stated, _ = FAMILIES[family]
    given = tensors(family, mode)

    def call(*changed: Tensor) -> Tensor:
        rest = iter(changed)
        new = operands([None if t is None else next(rest) for t in given[:4]], given.mask)
        return by_kernels(new, stated, slope_of(mode))

    assert gradcheck(call, wanted(given), fast_mode=True)
    assert gradgradcheck(call, wanted(given), fast_mode=True)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("family", FAMILIES)
def test_narrow_dtypes_are_rounded_once(family: str, dtype: torch.dtype) -> None:
    stated, shape = FAMILIES[family]
    narrow = tensors(family, "plain", dtype)
    wide = operands([t if t is None else t.detach().double().requires_grad_() for t in narrow[:4]])
    dy = torch.linspace(-1, 2, narrow.x.numel()).reshape(shape).to(dtype)
    expected, _ = by_formula(wide, stated, None)

    y = by_kernels(narrow, stated, None)

    assert y.dtype == dtype
    torch.testing.assert_close(y, expected.to(dtype), rtol=torch.finfo(dtype).eps, atol=0)
    for one, other in zip(
        torch.autograd.grad(y, wanted(narrow), dy),
        torch.autograd.grad(expected, wanted(wide), dy.double()),
        strict=True,
    ):
        assert one.dtype == dtype
        torch.testing.assert_close(one, other.to(dtype), rtol=4 * torch.finfo(dtype).eps, atol=1e-6)


def test_layouts_are_kept_and_read_as_they_are() -> None:
    stated = spec("b [c] h w", scale="c", bias="c")
    draw = torch.Generator().manual_seed(3)
    x = torch.rand(2, 8, 6, 5, generator=draw, dtype=torch.float64)
    scale, bias = torch.rand(2, 8, generator=draw, dtype=torch.float64).unbind()
    dy = torch.rand(2, 1, 6, 1, generator=draw, dtype=torch.float64).expand(x.shape)
    for lying in (
        x,
        x.contiguous(memory_format=torch.channels_last),
        x.transpose(0, 3).contiguous().transpose(0, 3),
        x[:, ::2].repeat_interleave(2, 1)[:, ::2].expand(2, 4, 6, 5),
    ):
        size = lying.shape[1]
        given = Operands(lying.detach().requires_grad_(), scale[:size], bias[:size])
        y = by_kernels(given, stated, None)
        expected, _ = by_formula(given, stated, None)
        assert y.stride() == torch.empty_like(lying).stride()
        torch.testing.assert_close(y, expected)
        (one,) = torch.autograd.grad(y, given.x, dy[:, :size])
        (other,) = torch.autograd.grad(expected, given.x, dy[:, :size])
        torch.testing.assert_close(one, other)


def kept_bytes(given: Operands, stated: NormSpec, **options: Any) -> tuple[int, list[Any]]:
    """The bytes that autograd keeps beside parameters, and the storages of these."""
    own = {t.data_ptr() for t in (given.scale, given.bias) if t is not None}
    kept: list[Tensor] = []
    with torch.autograd.graph.saved_tensors_hooks(
        lambda t: kept.append(t) or t,  # type: ignore[func-returns-value]
        lambda t: t,
    ):
        y = by_kernels(given, stated, 0.1, **options)
    others = [t for t in kept if t.data_ptr() not in own]
    return sum(t.untyped_storage().nbytes() for t in others), [y, *others]


def test_no_more_is_kept_than_input_mean_and_rstd() -> None:
    stated = spec("b [c]", scale="c", bias="c")
    x = torch.rand(64, 256).requires_grad_() * 1
    scale, bias = torch.ones(256, requires_grad=True), torch.zeros(256, requires_grad=True)
    given = Operands(x, scale, bias)

    size, (_, *kept) = kept_bytes(given, stated)

    assert size == x.nbytes + 2 * 8 * 64
    assert kept[0].data_ptr() == x.data_ptr()


def test_inplace_keeps_nothing_but_the_output() -> None:
    stated = spec("b [c]", scale="c", bias="c")
    x = torch.rand(64, 256).requires_grad_() * 1
    place = x.data_ptr()
    given = Operands(x, torch.ones(256, requires_grad=True), torch.zeros(256, requires_grad=True))

    size, (y, *kept) = kept_bytes(given, stated, inplace=True)

    assert y.data_ptr() == place == kept[0].data_ptr()
    assert size == y.nbytes + 2 * 8 * 64


def test_a_layer_overwrites_its_input_when_asked() -> None:
    x = torch.rand(64, 256, requires_grad=True)
    layer, usual = Norm("torch.LayerNorm(256)"), torch.nn.LayerNorm(256)
    hidden = x * 1

    y = layer(hidden, negative_slope=0.1, inplace=True)

    assert y.data_ptr() == hidden.data_ptr()
    expected = torch.nn.functional.leaky_relu(usual(x), 0.1)
    torch.testing.assert_close(y, expected)
    for one, other in zip(
        torch.autograd.grad(y.square().sum(), [x, *layer.parameters()]),
        torch.autograd.grad(expected.square().sum(), [x, *usual.parameters()]),
        strict=True,
    ):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    ("scale", "bias", "slope", "mask"),
    [(0.0, 0.0, 0.1, False), (1e-3, 1.0, 0.1, False), (1.0, 0.0, 0.0, False), (1.0, 0.0, 1, True)],
)
def test_what_the_output_does_not_tell_is_not_overwritten(
    scale: float, bias: float, slope: float, mask: bool
) -> None:
    stated = spec("b [c]", scale="c", bias="c")
    leaf = torch.rand(4, 6, dtype=torch.float64, requires_grad=True)
    x = leaf * 1
    parameters = [torch.full((6,), value, dtype=torch.float64) for value in (scale, bias)]
    given = operands([x, *parameters, None], torch.ones(4, 6).bool() if mask else None)

    y = by_kernels(given, stated, slope, inplace=True)

    assert y.data_ptr() != x.data_ptr()
    (one,) = torch.autograd.grad(y, leaf, torch.ones_like(y))
    expected, _ = by_formula(given._replace(x=leaf), stated, slope)
    torch.testing.assert_close(one, torch.autograd.grad(expected.sum(), leaf)[0])


def test_a_leaf_is_not_overwritten() -> None:
    stated = spec("b [c]")
    x = torch.rand(4, 6, requires_grad=True)
    before = x.detach().clone()
    by_kernels(Operands(x), stated, None, inplace=True)
    assert x.equal(before)
    with torch.no_grad():
        y = by_kernels(Operands(x), stated, None, inplace=True)
    assert y.data_ptr() == x.data_ptr()


def test_gradients_of_what_was_overwritten_cannot_be_derived_again() -> None:
    stated = spec("b [c]")
    x = torch.rand(4, 6, requires_grad=True)
    y = by_kernels(Operands(x * 1), stated, None, inplace=True)
    with pytest.raises(SpecError, match="write inplace=False"):
        torch.autograd.grad(y.sum(), x, create_graph=True)


def test_gradients_in_batches_are_those_one_by_one() -> None:
    stated, _ = FAMILIES["layer"]
    given = tensors("layer", "plain")
    y = by_kernels(given, stated, None)
    dys = torch.rand(4, *y.shape, dtype=y.dtype)

    together = torch.autograd.grad(y, wanted(given), dys, retain_graph=True, is_grads_batched=True)

    for i, dy in enumerate(dys):
        alone = torch.autograd.grad(y, wanted(given), dy, retain_graph=True)
        for one, other in zip(together, alone, strict=True):
            torch.testing.assert_close(one[i], other)


def test_a_residual_may_be_the_input_itself() -> None:
    x = torch.rand(3, 5, dtype=torch.float64, requires_grad=True)
    y = by_kernels(Operands(x, residual=x), spec("b [c]"), None)
    expected, _ = by_formula(Operands(2 * x), spec("b [c]"), None)
    one = torch.autograd.grad(y[0, 0], x, create_graph=True)[0]
    other = torch.autograd.grad(expected[0, 0], x, create_graph=True)[0]
    torch.testing.assert_close(one, other)
    torch.testing.assert_close(
        torch.autograd.grad(one[0, 1], x)[0], torch.autograd.grad(other[0, 1], x)[0]
    )


def test_moments_are_in_float64_and_without_gradient() -> None:
    stated, _ = FAMILIES["batch"]
    given = tensors("batch", "mask", torch.float32)
    _, found = autograd.normalize(given, stated, stated.layout(given.x.shape))
    _, expected = by_formula(given, stated, None)
    assert found is not None
    for one, other in zip(found, expected, strict=True):
        assert one.dtype == torch.float64
        assert not one.requires_grad
        torch.testing.assert_close(one, other.detach().double(), rtol=1e-5, atol=1e-6)


def test_wrong_parameters_are_not_read() -> None:
    stated, _ = FAMILIES["layer"]
    x = torch.rand(3, 5)
    with pytest.raises(ShapeError, match="scale has shape"):
        by_kernels(Operands(x, torch.ones(4), torch.zeros(5)), stated, None)
    with pytest.raises(ShapeError, match="ddof=1"):
        by_kernels(Operands(torch.rand(3, 1)), spec("b [c]", ddof=1), None)


def test_what_is_no_memory_is_left_to_others() -> None:
    stated = spec("b [c]")
    x = torch.rand(3, 4)
    assert can_run(stated, Operands(x))
    for other in (
        x.to("meta"),
        x.to(torch.int32),
        x.to_sparse(),
        torch.rand(0, 4),
        torch.view_as_complex(torch.rand(3, 4, 2)).conj().imag,
        x.as_subclass(type("Own", (Tensor,), {})),
    ):
        assert not can_run(stated, Operands(other))
    assert not can_run(spec("b [c]", measure="max"), Operands(x))
    assert not can_run(stated, Operands(x, residual=x.double()))


HIDDEN = (float("nan"), float("inf"), -float("inf"), 3e38, -1.0)


@pytest.mark.parametrize("way", [by_kernels, by_formula])
@pytest.mark.parametrize("family", FAMILIES)
def test_no_gradient_knows_what_a_mask_hides(family: str, way: Any) -> None:
    stated, shape = FAMILIES[family]
    draw = torch.Generator().manual_seed(1)
    mask = torch.rand(shape, generator=draw) < 0.7
    given = tensors(family, "plain", torch.float32)._replace(mask=mask)
    dy = torch.randn(shape, generator=draw).where(mask, 0)

    def gradients(hidden: Tensor, residual: Tensor | None) -> list[Tensor]:
        x = torch.where(mask, given.x, hidden).detach().requires_grad_()
        own = given._replace(x=x, residual=residual)
        found = way(own, stated, 0.2)
        y = found if isinstance(found, Tensor) else found[0]
        return list(torch.autograd.grad(y, wanted(own), dy))

    values = torch.tensor(HIDDEN)[torch.randint(len(HIDDEN), shape, generator=draw)]
    expected = gradients(torch.zeros(shape), None)
    for one, other in zip(gradients(values, None), expected, strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=0)
    residual = torch.where(mask, 0, values).requires_grad_()
    found = gradients(torch.ones(shape), residual)
    for one, other in zip(found, [*expected, expected[0]], strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=0)

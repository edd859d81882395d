"""Gradients against finite differences of the reference, and against torch."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from normscope import NormSpec, SpecError, normalize, reference, spec
from normscope.backward import gradients
from normscope.threads import set_num_threads
from strategies import cases, specs


def differences(x: np.ndarray, dy: np.ndarray, stated: NormSpec, **arguments: np.ndarray) -> dict:
    """The gradients of sum(dy * y), by central differences of the definition."""

    def loss(**changed: np.ndarray) -> float:
        given = {**arguments, **changed}
        return float((reference(given.pop("x", x), stated, **given) * dy).sum())

    found = {}
    for name, array in {"x": x, **{n: a for n, a in arguments.items() if n != "mask"}}.items():
        gradient = np.zeros_like(array)
        for place in np.ndindex(*array.shape):
            step = np.zeros_like(array)
            step[place] = 1e-6
            gradient[place] = (loss(**{name: array + step}) - loss(**{name: array - step})) / 2e-6
        found[name] = gradient
    return found


@given(st.data())
@settings(max_examples=200)
def test_every_spec_against_finite_differences(data: st.DataObject) -> None:
    case = data.draw(cases(max_rank=3, max_size=3))
    stated = data.draw(specs(case))
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32 - 1)))
    x = rng.normal(0.5, 2, case.shape)
    dy = rng.normal(size=case.shape)
    layout = stated.layout(x.shape)
    arguments = {
        name: rng.normal(size=[layout.known_sizes[i] for i in layout.named(axes)])
        for name, axes in (("scale", stated.scale), ("bias", stated.bias))
        if axes is not None
    }
    if stated.measure == "max":
        with pytest.raises(SpecError, match="maximum"):
            gradients(dy, x, stated, mean=np.zeros(layout.num_sets), rstd=np.ones(layout.num_sets))
        return
    if data.draw(st.booleans()) and not stated.ddof:
        arguments["mask"] = rng.random(x.shape) < 0.7
    _, stats = normalize(x, stated, **arguments, return_stats=True)
    if (stats.rstd > 1e2).any() or (np.abs(stats.rstd * stated.floor - 1) < 1e-3).any():
        return  # too steep for finite differences, or at the corner of the floor
    wanted = differences(x, dy, stated, **arguments)
    arguments.pop("bias", None)
    found = gradients(dy, x, stated, mean=stats.mean, rstd=stats.rstd, **arguments)
    np.testing.assert_allclose(found.x, wanted["x"], rtol=1e-4, atol=1e-5)
    if stated.scale is not None:
        np.testing.assert_allclose(found.scale, wanted["scale"], rtol=1e-5, atol=1e-6)
    if stated.bias is not None:
        np.testing.assert_allclose(found.bias, wanted["bias"], rtol=1e-5, atol=1e-6)


NATIVE = {
    "batch NCHW": ("[b] c [h w]", "c", {}, (0, 1, 2, 3), "batch_norm"),
    "batch NHWC": ("[b h w] c", "c", {}, (0, 3, 1, 2), "batch_norm"),
    "instance NCHW": ("b c [h w]", "c", {}, (0, 1, 2, 3), "instance_norm"),
    "instance NHWC": ("b [h w] c", "c", {}, (0, 3, 1, 2), "instance_norm"),
    "group NCHW": ("b (g [c]) [h w]", "g c", {"g": 2}, (0, 1, 2, 3), "group_norm"),
    "group NHWC": ("b [h w] (g [c])", "g c", {"g": 2}, (0, 3, 1, 2), "group_norm"),
    "layer last": ("b c h [w]", "w", {}, (0, 1, 2, 3), "layer_norm"),
    "layer axis 1": ("b [c] h w", "c", {}, (0, 2, 3, 1), "layer_norm"),
    "layer CHW": ("b [c h w]", "c h w", {}, (0, 1, 2, 3), "layer_norm"),
}


@pytest.mark.parametrize("shape", [(4, 6, 5, 4), (3, 8, 90, 96)])
@pytest.mark.parametrize("name", NATIVE)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_against_torch(name: str, shape: tuple[int, ...], dtype: type) -> None:
    import torch

    pattern, along, sizes, order, function = NATIVE[name]
    stated = spec(pattern, scale=along, bias=along, **sizes)
    rng = np.random.default_rng(3)
    x, dy = rng.normal(1, 2, shape).astype(dtype), rng.normal(size=shape).astype(dtype)
    layout = stated.layout(shape)
    scale = rng.normal(size=[layout.known_sizes[i] for i in layout.named(along)]).astype(dtype)
    _, stats = normalize(x, stated, return_stats=True)
    found = gradients(dy, x, stated, mean=stats.mean, rstd=stats.rstd, scale=scale)

    tensor = torch.tensor(x.astype(np.float64), requires_grad=True)
    weight = torch.tensor(scale.astype(np.float64), requires_grad=True)
    bias = torch.zeros_like(weight).requires_grad_()
    native = getattr(torch.nn.functional, function)
    moved = tensor.permute(order)
    if function == "group_norm":
        y = native(moved, 2, weight.ravel(), bias.ravel())
    elif function == "layer_norm":
        y = native(moved, weight.shape, weight, bias)
    else:
        y = native(moved, None, None, weight, bias, True)
    y.permute(tuple(np.argsort(order))).backward(torch.tensor(dy.astype(np.float64)))

    tolerance = 1e-6 if dtype is np.float32 else 1e-11
    np.testing.assert_allclose(found.x, tensor.grad, rtol=tolerance, atol=tolerance)
    np.testing.assert_allclose(found.scale, weight.grad, rtol=1e-10, atol=1e-9)
    np.testing.assert_allclose(found.bias, bias.grad, rtol=1e-10, atol=1e-9)
    assert found.x.dtype == dtype


@pytest.mark.parametrize("slope", [0, 0.1, 1])
@pytest.mark.parametrize("name", ["batch NCHW", "batch NHWC", "instance NHWC"])
@pytest.mark.parametrize("wrong", [None, np.inf, -np.inf, np.nan])
def test_through_an_activation_against_torch(name: str, slope: float, wrong: float | None) -> None:
    """Its own derivative is a factor of dy: 1 where y > 0, else the slope."""
    import torch
    from torch.nn import functional

    pattern, along, sizes, order, function = NATIVE[name]
    stated = spec(pattern, scale=along, bias=along, **sizes)
    rng = np.random.default_rng(3)
    x, dy = rng.normal(1, 2, (2, 4, 6, 5, 3))
    if wrong is not None:
        x[0, 1, 2, 1] = wrong
    y, stats = normalize(x, stated, negative_slope=slope, return_stats=True)
    found = gradients(np.where(y > 0, 1, slope) * dy, x, stated, mean=stats.mean, rstd=stats.rstd)

    tensor = torch.tensor(x, requires_grad=True)
    moved = tensor.permute(order)
    arguments = (None, None, None, None, True)
    native = getattr(functional, function)(moved, *arguments).permute(tuple(np.argsort(order)))
    activated = functional.leaky_relu(native, slope)
    activated.backward(torch.tensor(dy))
    np.testing.assert_allclose(y, activated.detach().numpy(), rtol=1e-11, atol=1e-12)
    np.testing.assert_allclose(found.x, tensor.grad.numpy(), rtol=1e-10, atol=1e-11)


def test_in_place_and_any_number_of_threads() -> None:
    rng = np.random.default_rng(1)
    x, dy = rng.normal(size=(2, 3, 9000, 40)).astype(np.float32)
    stated = spec("[b h] c", scale="c", bias="c")
    found = []
    for number in (1, 2, 5):
        set_num_threads(number)
        _, stats = normalize(x, stated, return_stats=True)
        found.append(gradients(dy, x, stated, mean=stats.mean, rstd=stats.rstd))
    set_num_threads(None)
    for other in found[1:]:
        for one, two in zip(found[0], other, strict=True):
            np.testing.assert_array_equal(one, two)
    own = dy.copy()
    again = gradients(own, x, stated, mean=stats.mean, rstd=stats.rstd, out=own)
    assert again.x is own
    np.testing.assert_array_equal(own, found[0].x)
    np.testing.assert_allclose(again.scale, found[0].scale, rtol=1e-9)


def test_what_does_not_fit_is_refused() -> None:
    x = np.ones((2, 3), np.float32)
    saved = {"mean": np.zeros(2), "rstd": np.ones(2)}
    with pytest.raises(SpecError, match="dy must be"):
        gradients(np.ones((3, 2), np.float32), x, "b [c]", **saved)
    with pytest.raises(SpecError, match="no scale"):
        gradients(x, x, spec("b [c]"), **saved, scale=np.ones(3))

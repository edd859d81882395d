"""Gradients against finite differences of the reference, and against torch."""

from __future__ import annotations

from typing import Any

import ml_dtypes
import numpy as np
import pytest
from hypothesis import example, given, settings, strategies as st

from normscope import NormSpec, ShapeError, SpecError, normalize, reference, spec
from normscope.engine import backward_call
from normscope.engine.gradients import gradients
from normscope.engine.threads import set_num_threads
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


@pytest.mark.slow
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
    least = stated.floor or stated.unit_below or 0.0
    if (stats.rstd > 1e2).any() or (np.abs(stats.rstd * least - 1) < 1e-3).any():
        return  # too steep for finite differences, or at the corner of the floor or the guard
    wanted = differences(x, dy, stated, **arguments)
    arguments.pop("bias", None)
    found = gradients(dy, x, stated, mean=stats.mean, rstd=stats.rstd, **arguments)
    np.testing.assert_allclose(found.x, wanted["x"], rtol=1e-4, atol=1e-5)
    if stated.scale is not None:
        np.testing.assert_allclose(found.scale, wanted["scale"], rtol=1e-5, atol=1e-6)
    if stated.bias is not None:
        np.testing.assert_allclose(found.bias, wanted["bias"], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("hidden", [np.nan, np.inf])
@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.float16, ml_dtypes.bfloat16])
@pytest.mark.parametrize("pattern", ["b [c] s", "[b] c s", "b c [s]", "b [c s]"])
def test_what_a_mask_hides_reaches_no_gradient(pattern: str, dtype: Any, hidden: float) -> None:
    rng = np.random.default_rng(3)
    x, dy = (rng.normal(size=(4, 5, 6)).astype(dtype) for _ in range(2))
    mask = rng.random(x.shape) < 0.7
    dy[~mask] = 0  # as of a loss that leaves them out
    stated = spec(pattern, scale="c", bias="c")
    scale = rng.normal(size=5)
    _, stats = normalize(x, stated, mask=mask, scale=scale, bias=scale, return_stats=True)
    given: dict[str, Any] = {"scale": scale, "mask": mask, "mean": stats.mean, "rstd": stats.rstd}
    wanted = gradients(dy, x, stated, **given)
    x[~mask] = hidden
    found = gradients(dy, x, stated, out=x, **given)
    assert found.x is x
    np.testing.assert_array_equal(found.x[mask], wanted.x[mask])
    np.testing.assert_array_equal(found.scale, wanted.scale)
    np.testing.assert_array_equal(found.bias, wanted.bias)


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


@pytest.mark.framework
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


@pytest.mark.framework
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


# Where the gradients of scale and bias come from: pattern, shape, axes of scale, axes of bias.
SOURCES = {
    "sums of sets": ("[b h] c", (3, 9000, 40), "c", "c"),
    "sums of sets, folded": ("[b h] c", (3, 9000, 5), "c", "c"),
    "items of many short sets": ("b h [c]", (150, 13, 100), "c", "c"),
    "items of runs": ("b (g [c]) [h w]", (9, 8, 30, 31), "g c", "g c"),
    "items of folded columns": ("b [h w] (g [c])", (9, 30, 31, 8), "g c", "g c"),
    "items of rows of a tile": ("b [c] h w", (9, 37, 20, 33), "c", "c"),
    "items of chunks": ("b [c h w]", (3, 8, 150, 96), "c", "c"),
    "one sum for all items": ("b [c h w]", (7, 8, 90, 96), "c h w", "c h w"),
    "items of parts of sets": ("b [c h w]", (7, 8, 90, 96), "h w", "w h"),
    "passes of their own": ("b [c h w]", (5, 4, 150, 96), "h w", "w h"),
    "a pass for the bias": ("b h [c]", (150, 13, 100), "c", "h c"),
}


def set_up(source: str, dtype: type = np.float32) -> tuple[NormSpec, np.ndarray, np.ndarray, dict]:
    """Spec, x, dy and the other arguments of `gradients`."""
    pattern, shape, scale, bias = SOURCES[source]
    stated = spec(pattern, scale=scale, bias=bias, **({"g": 2} if "(g" in pattern else {}))
    rng = np.random.default_rng(1)
    x, dy = rng.normal(1, 2, (2, *shape)).astype(dtype)
    layout = stated.layout(shape)
    factor = rng.normal(1, 0.3, [layout.known_sizes[i] for i in layout.named(scale)])
    _, stats = normalize(x, stated, return_stats=True)
    return stated, x, dy, {"mean": stats.mean, "rstd": stats.rstd, "scale": factor}


@pytest.mark.slow
@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("source", SOURCES)
def test_sums_over_parameters(source: str, order: str) -> None:
    stated, x, dy, arguments = set_up(source)
    layout = stated.layout(x.shape)
    found = gradients(np.asarray(dy, order=order), np.asarray(x, order=order), stated, **arguments)
    shape = [n if i in layout.kept else 1 for i, n in enumerate(layout.known_sizes)]
    mean, rstd = arguments["mean"].reshape(shape), arguments["rstd"].reshape(shape)
    dy = dy.reshape(layout.known_sizes).astype(np.float64)
    for sums, terms, names in (
        (found.scale, dy * (x.reshape(layout.known_sizes) - mean) * rstd, stated.scale),
        (found.bias, dy, stated.bias),
    ):
        axes = layout.named(names)
        wanted = terms.sum(tuple(i for i in range(terms.ndim) if i not in axes))
        wanted = wanted.transpose([sorted(axes).index(i) for i in axes])
        np.testing.assert_allclose(sums, wanted, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("source", SOURCES)
def test_in_place_and_any_number_of_threads(source: str) -> None:
    stated, x, dy, arguments = set_up(source)
    found = []
    try:
        for number in (1, 2, 3, 8):
            set_num_threads(number)
            found.append(gradients(dy, x, stated, **arguments))
    finally:
        set_num_threads(None)
    for own in (x, dy):
        given = own.copy()
        into = {"x": x, "dy": dy, "x" if own is x else "dy": given}
        found.append(gradients(into["dy"], into["x"], stated, out=given, **arguments))
        assert found[-1].x is given
    for other in found[1:]:
        for one, two in zip(found[0], other, strict=True):
            np.testing.assert_array_equal(one, two)


@pytest.mark.parametrize("source", SOURCES)
def test_streamed_gradients_are_bit_for_bit_the_others(
    source: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    stated, x, dy, arguments = set_up(source)
    wanted = gradients(dy, x, stated, **arguments)
    monkeypatch.setattr("normscope.engine.backward.STREAM_BYTES", 0)
    backward_call._calls.clear()  # what was prepared before
    found = gradients(dy, x, stated, **arguments)
    backward_call._calls.clear()
    for one, two in zip(wanted, found, strict=True):
        np.testing.assert_array_equal(one, two)


def test_parameters_of_an_empty_array() -> None:
    x, none = np.ones((0, 5)), np.ones(0)
    found = gradients(x, x, spec("b [c]", scale="c", bias="b c"), mean=none, rstd=none)
    assert found.x.shape == (0, 5)
    np.testing.assert_array_equal(found.scale, np.zeros(5))
    assert found.bias is not None
    assert found.bias.shape == (0, 5)


def test_what_does_not_fit_is_refused() -> None:
    x = np.ones((2, 3), np.float32)
    saved = {"mean": np.zeros(2), "rstd": np.ones(2)}
    with pytest.raises(SpecError, match="dy must be"):
        gradients(np.ones((3, 2), np.float32), x, "b [c]", **saved)
    with pytest.raises(SpecError, match="no scale"):
        gradients(x, x, spec("b [c]"), **saved, scale=np.ones(3))


@pytest.mark.parametrize("what", ["scale", "mean", "rstd"])
def test_what_lies_in_out_is_read_before(what: str) -> None:
    rng = np.random.default_rng(0)
    stated = spec("b [c]", scale="c", bias="c")
    x, dy, out = (rng.normal(size=(6, 4096)) for _ in range(3))
    scale = rng.normal(size=4096)
    _, stats = normalize(x, stated, scale=scale, return_stats=True)
    given = {"scale": scale, "mean": stats.mean, "rstd": stats.rstd}
    expected = gradients(dy, x, stated, **given)
    there = out[0, : given[what].size]
    there[...] = given[what]
    found = gradients(dy, x, stated, **{**given, what: there}, out=out)
    np.testing.assert_array_equal(found.x, expected.x)


@example(49.0, "b [c]")
@example(49.0, "[b] c")
@given(st.floats(10, 1e4), st.sampled_from(["b [c]", "[b] c", "b [c] s"]))
def test_the_floor_is_a_constant(floor: float, pattern: str) -> None:
    """The quotient 1 / (1 / floor) may be larger than the floor by an ulp."""
    x = np.random.default_rng(0).normal(size=(4, 6, 3) if "s" in pattern else (4, 6))
    dy = np.random.default_rng(1).normal(size=x.shape)
    stats = normalize(x, pattern, floor=floor, return_stats=True)[1]
    found = gradients(dy, x, pattern, floor=floor, mean=stats.mean, rstd=stats.rstd).x
    mean = dy.mean(spec(pattern).layout(x.shape).shared, keepdims=True)
    np.testing.assert_allclose(found, (dy - mean) / floor, rtol=1e-9, atol=1e-12 / floor)


def test_integers_are_differentiated_as_floats() -> None:
    x = np.arange(24, dtype=np.uint8).reshape(4, 6)
    floats = x.astype(np.float32)
    y, stats = normalize(x, "b [c]", return_stats=True)
    known = {"mean": stats.mean, "rstd": stats.rstd}
    found, wanted = (gradients(y, array, "b [c]", **known).x for array in (x, floats))
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found, wanted)
    with pytest.raises(SpecError, match="dy must be float32"):
        gradients(x, x, "b [c]", **known)


@pytest.mark.parametrize(("pattern", "shape"), [("[b] c", (3, 0)), ("[b] c [d]", (2, 0, 3))])
def test_no_sets_at_all(pattern: str, shape: tuple[int, ...]) -> None:
    x, none = np.ones(shape), np.zeros(0)
    assert gradients(x, x, pattern, mean=none, rstd=none).x.shape == shape


def test_more_axes_than_numpy_has_are_refused() -> None:
    x = np.ones((4,) + (1,) * 31 + (6,))
    sizes = {"r": (2,) + (1,) * 31 + (3,)}
    with pytest.raises(ShapeError, match="apart into 66 axes; 64 are possible"):
        gradients(x, x, "(s [r])...", mean=np.zeros(6), rstd=np.ones(6), **sizes)


def test_a_parameter_along_as_many_axes_as_numpy_has() -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(3,) + (1,) * 62 + (4,))
    stated = spec("a [b...] c", scale="a b... c", bias="c b... a")
    _, stats = normalize(x, stated, return_stats=True)
    scale = rng.normal(size=x.shape)
    found = gradients(x, x, stated, scale=scale, mean=stats.mean, rstd=stats.rstd)
    np.testing.assert_allclose(found.scale, x * normalize(x, "a [b...] c"), atol=1e-12)
    np.testing.assert_array_equal(found.bias, x.T)  # here dy is x


def test_a_gradient_of_nothing_still_checks_the_scale() -> None:
    x, none = np.ones((0, 3)), np.zeros(0)
    with pytest.raises(ShapeError, match="scale has shape"):
        gradients(x, x, spec("b [c]", scale="c"), mean=none, rstd=none, scale=np.ones(7))

"""`Norm`: its parameters and state, its modes, masks and memory, and what it refuses."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from threading import Barrier
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.parameter import is_lazy
from torch.utils.checkpoint import checkpoint

from normscope import DtypeError, NormSpec, Running, ShapeError, SpecError, reference, spec, spec_of
from normscope.layers.torch import Norm
from normscope.reference import running_update

BATCH = spec("[b] c [s...]", scale="c", bias="c", running=Running(0.9, ddof=1))
INSTANCE = spec("b c [s...]", scale="c", bias="c", running=Running(0.9, ddof=1))

# a layer of torch, and an input for it
NATIVE: dict[str, tuple[Callable[[], Any], tuple[int, ...]]] = {
    "batch of vectors": (lambda: nn.BatchNorm1d(6), (8, 6)),
    "batch 1d": (lambda: nn.BatchNorm1d(6, momentum=0.25), (8, 6, 5)),
    "batch 2d": (lambda: nn.BatchNorm2d(6, eps=1e-3), (4, 6, 5, 3)),
    "batch 3d": (lambda: nn.BatchNorm3d(6), (4, 6, 2, 3, 2)),
    "batch, plain": (lambda: nn.BatchNorm2d(6, affine=False), (4, 6, 5, 3)),
    "batch, no memory": (lambda: nn.BatchNorm2d(6, track_running_stats=False), (4, 6, 5, 3)),
    "instance": (lambda: nn.InstanceNorm2d(6), (4, 6, 5, 3)),
    "instance, memory": (
        lambda: nn.InstanceNorm2d(6, affine=True, track_running_stats=True),
        (4, 6, 5, 3),
    ),
    "instance, plain memory": (
        lambda: nn.InstanceNorm1d(6, track_running_stats=True),
        (4, 6, 5),
    ),
    "layer": (lambda: nn.LayerNorm(6), (4, 5, 6)),
    "layer over two axes": (lambda: nn.LayerNorm((5, 6)), (4, 5, 6)),
    "layer without bias": (lambda: nn.LayerNorm(6, bias=False), (4, 5, 6)),
    "layer, plain": (lambda: nn.LayerNorm(6, elementwise_affine=False), (4, 5, 6)),
    "group": (lambda: nn.GroupNorm(3, 6), (4, 6, 5, 3)),
    "group of vectors": (lambda: nn.GroupNorm(2, 6), (4, 6)),
    "rms": (lambda: nn.RMSNorm(6), (4, 5, 6)),
}
each_native = pytest.mark.parametrize(("make", "shape"), NATIVE.values(), ids=NATIVE.keys())


def data(*shape: int, seed: int = 0, dtype: Any = torch.float32) -> torch.Tensor:
    values = np.random.default_rng(seed).normal(1, 2, shape)
    return torch.from_numpy(values).to(dtype)


def with_values(layer: nn.Module, seed: int = 1) -> nn.Module:
    """Random parameters and running statistics; variances and counts stay what they can be."""
    rng = np.random.default_rng(seed)
    with torch.no_grad():
        for tensor in layer.state_dict().values():
            if tensor.is_floating_point():
                tensor.copy_(torch.from_numpy(rng.uniform(0.5, 2, tensor.shape)))
    return layer


def assert_same_state(ours: nn.Module, theirs: nn.Module) -> None:
    mine, other = ours.state_dict(), theirs.state_dict()
    assert list(mine) == list(other)
    for name, wanted in other.items():
        if name != "num_batches_tracked":  # instance norms of torch do not count
            torch.testing.assert_close(mine[name], wanted, rtol=1e-5, atol=1e-6)


# --- state ----------------------------------------------------------------------------------------


@each_native
@pytest.mark.parametrize("sizes", ["known", "found"])
def test_checkpoints_of_torch_load_both_ways(
    make: Callable[[], Any], shape: tuple[int, ...], sizes: str
) -> None:
    theirs = with_values(make())
    stated = spec_of(theirs)
    if sizes == "found":
        groups = {name: size for name, size in stated.sizes.items() if name == "g"}
        stated = NormSpec.from_dict({**stated.to_dict(), "sizes": groups})
    ours = Norm(stated)
    assert ours.load_state_dict(theirs.state_dict()).missing_keys == []
    assert_same_state(ours, theirs)
    back = make()
    back.load_state_dict(ours.state_dict())
    assert_same_state(ours, back)
    x = data(*shape)
    for training in (False, True):
        ours.train(training)
        theirs.train(training)
        torch.testing.assert_close(ours(x), theirs(x), rtol=1e-5, atol=1e-5)
        assert_same_state(ours, theirs)


def test_states_from_before_batches_were_counted_load_as_in_torch() -> None:
    old = nn.BatchNorm2d(3).state_dict()
    del old["num_batches_tracked"]
    del old._metadata  # type: ignore[attr-defined]  # as files of other formats have none
    Norm("torch.BatchNorm2d(3)").load_state_dict(old)
    new = nn.BatchNorm2d(3).state_dict()
    del new["num_batches_tracked"]
    with pytest.raises(RuntimeError, match="num_batches_tracked"):
        Norm("torch.BatchNorm2d(3)").load_state_dict(new)


def test_what_the_state_of_another_layer_lacks_is_said() -> None:
    with pytest.raises(RuntimeError, match="size mismatch for weight"):
        Norm(BATCH, c=4).load_state_dict(nn.BatchNorm1d(3).state_dict())
    with pytest.raises(RuntimeError, match="running_mean"):
        Norm(BATCH).load_state_dict(nn.LayerNorm(3).state_dict())


def test_sizes_that_are_not_given_come_with_the_first_input() -> None:
    layer = Norm(
        "[b] c (g [s])", scale="c", bias="s g", g=2, running=Running(0.9), dtype=torch.half
    )
    assert all(is_lazy(tensor) for tensor in (layer.weight, layer.bias, layer.running_mean))
    for copied in (copy.deepcopy(layer), pickle.loads(pickle.dumps(layer)), layer):
        assert list(copied.state_dict()) == list(layer.state_dict())
        copied(data(4, 3, 10).half())
        shapes = {name: tuple(tensor.shape) for name, tensor in copied.state_dict().items()}
        assert shapes == {
            "weight": (3,),
            "bias": (5, 2),
            "running_mean": (3, 2),
            "running_var": (3, 2),
            "num_batches_tracked": (),
        }
        assert copied.running_mean.dtype == copied.weight.dtype == torch.half
    again = Norm(layer.spec)
    again.load_state_dict(layer.state_dict())
    x = data(4, 3, 10)
    torch.testing.assert_close(again.eval()(x), layer.float().eval()(x), atol=1e-3, rtol=1e-3)


def test_threads_that_come_first_together_make_one_set_of_tensors() -> None:
    x = data(4, 3, 5)
    wanted = Norm(BATCH)(x)
    for _ in range(5):
        layer = Norm(BATCH)
        start = Barrier(8)

        def serve(layer: Norm = layer, start: Barrier = start) -> torch.Tensor:
            start.wait()
            return layer(x)

        with ThreadPoolExecutor(8) as pool:
            outputs = [future.result() for future in [pool.submit(serve) for _ in range(8)]]
        for y in outputs:
            torch.testing.assert_close(y, wanted)


def test_what_has_no_shape_yet_can_be_frozen_and_served_before_it_is_trained() -> None:
    layer = Norm(BATCH)
    layer.requires_grad_(False)
    with torch.inference_mode():
        layer(data(4, 3, 5))
    assert not layer.weight.requires_grad
    layer.requires_grad_(True)(data(4, 3, 5)).sum().backward()
    assert layer.bias.grad.tolist() == [20, 20, 20]


def test_a_state_without_shapes_is_saved_and_loaded_without_them() -> None:
    state = Norm(BATCH).state_dict()
    layer = Norm(BATCH)
    layer.load_state_dict(state)
    layer(data(4, 3, 5))
    assert layer.weight.shape == (3,)


@each_native
def test_copies_and_pickles_compute_the_same(make: Any, shape: tuple[int, ...]) -> None:
    layer = with_values(Norm(spec_of(make())))
    x = data(*shape)
    layer(x)
    copies = [copy.deepcopy(layer), pickle.loads(pickle.dumps(layer))]
    for _ in range(2):  # in training, then in inference
        y = layer(x)
        for copied in copies:
            torch.testing.assert_close(copied(x), y, rtol=0, atol=0)
        for module in (layer, *copies):
            module.eval()


def test_a_copy_has_memory_of_its_own() -> None:
    layer = Norm(BATCH, c=3)
    copied = copy.deepcopy(layer)
    copied(data(4, 3, 5))
    assert not layer.running_mean.any()
    assert copied.running_mean.all()


def test_parameters_are_neutral_in_the_beginning_and_when_reset() -> None:
    layer = Norm("[b] c", scale="c", scale_shift=1, bias="c", c=3, running=Running(0.5))
    before = copy.deepcopy(layer.state_dict())
    assert not before["weight"].any()
    assert not before["bias"].any()
    with_values(layer)
    layer(data(3, 3))
    layer.reset_parameters()
    for name, tensor in layer.state_dict().items():
        assert torch.equal(tensor, before[name]), name


def test_dtype_and_device_are_those_of_all_its_tensors() -> None:
    layer = Norm(BATCH, c=3, dtype=torch.float64, device="meta")
    assert {t.device.type for t in layer.state_dict().values()} == {"meta"}
    assert layer.running_var.dtype == layer.bias.dtype == torch.float64
    real = layer.to_empty(device="cpu")
    real.reset_parameters()
    assert real(data(4, 3, 5, dtype=torch.float64)).dtype == torch.float64


def test_a_parameter_may_be_one_number() -> None:
    layer = Norm("b [c]", scale="", bias="")
    x = data(4, 6)
    assert layer.weight.shape == layer.bias.shape == ()
    with torch.no_grad():
        layer.weight.fill_(3)
        layer.bias.fill_(-1)
    torch.testing.assert_close(layer(x), 3 * nn.LayerNorm(6)(x) - 1)


# --- modes ----------------------------------------------------------------------------------------


def test_frozen_statistics_stay_through_train() -> None:
    layer = with_values(Norm(BATCH, c=3, frozen=True)).train()
    x = data(4, 3, 5).requires_grad_()
    before = copy.deepcopy(layer.state_dict())
    y = layer(x)
    for name, tensor in layer.state_dict().items():
        assert torch.equal(tensor, before[name]), name
    torch.testing.assert_close(copy.deepcopy(layer).eval()(x), y)
    y.sum().backward()
    assert layer.weight.grad is not None
    assert x.grad is not None
    layer.frozen = False
    assert (layer(x) - y).abs().max() > 0.1
    assert "frozen=True" in repr(Norm(BATCH, frozen=True))


@pytest.mark.parametrize("given", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize("wanted", [None, torch.contiguous_format, torch.channels_last])
def test_the_output_lies_as_the_input_or_as_is_said(
    wanted: torch.memory_format | None, given: torch.memory_format
) -> None:
    layer = Norm("b [c] h w", c=6, scale="c", memory_format=wanted)
    x = torch.rand(2, 6, 5, 4).contiguous(memory_format=given).requires_grad_()
    y = layer(x)
    assert y.is_contiguous(memory_format=wanted or given)
    torch.testing.assert_close(y, Norm("b [c] h w")(x))
    y.sum().backward()
    assert x.grad is not None
    assert x.grad.shape == x.shape
    assert torch.compile(layer, backend="eager", fullgraph=True)(x).stride() == y.stride()


def test_a_memory_format_is_said_and_is_for_its_rank() -> None:
    layer = Norm("b... [c]", memory_format=torch.channels_last)
    assert repr(layer).endswith("memory_format=torch.channels_last)")
    with pytest.raises(ShapeError, match="for 4 axes, and x has 2: write memory_format=None"):
        layer(torch.rand(2, 3))
    with pytest.raises(SpecError, match=r"such as torch\.channels_last, not 'NHWC'"):
        Norm("b [c]", memory_format="NHWC")  # type: ignore[arg-type]
    assert Norm("b [c]", memory_format=torch.preserve_format).memory_format is None


def test_what_is_printed_says_over_what_statistics_are_averaged() -> None:
    assert repr(Norm(INSTANCE)).endswith("variance with ddof=1, averaged over b)")
    assert "averaged" not in repr(Norm(BATCH))
    assert repr(Norm("b [c]", synchronized=True)).endswith("eps=1e-05, synchronized=True)")


@pytest.mark.parametrize(
    "running",
    [
        Running(0.75),
        Running(0.75, ddof=1),
        Running(0.75, plus_eps=True),
        Running(0.75, deviation=True),
        Running(0.75, ddof=1, plus_eps=True, deviation=True),
        Running(1.0),
        Running(0.0),
    ],
    ids=str,
)
def test_what_is_remembered_is_what_running_says(running: Running) -> None:
    stated = spec("[b] c [s...]", eps=0.1, scale="c", bias="c", running=running)
    layer = with_values(Norm(stated, c=3, dtype=torch.float64))
    mean, var = (t.numpy().copy() for t in (layer.running_mean, layer.running_var))
    for step in range(3):
        x = data(4, 3, 5, seed=step, dtype=torch.float64)
        layer(x)
        mean, var = running_update(x.numpy(), stated, mean, var)
    np.testing.assert_allclose(layer.running_mean.numpy(), mean)
    np.testing.assert_allclose(layer.running_var.numpy(), var)
    assert layer.num_batches_tracked == 3
    scale, bias = (t.detach().numpy() for t in (layer.weight, layer.bias))
    wanted = reference(
        x.numpy(),
        replace(stated, eps=stated.inference().eps),
        scale=scale,
        bias=bias,
        mean=mean,
        var=var**2 if running.deviation else var,
    )
    np.testing.assert_allclose(layer.eval()(x).detach().numpy(), wanted)


def test_a_mean_alone_is_remembered_where_nothing_is_divided() -> None:
    stated = spec("[b] c [s...]", measure="none", bias="c", running=Running(0.5))
    layer = Norm(stated)
    x = data(4, 3, 5)
    np.testing.assert_allclose(layer(x).detach(), reference(x.numpy(), stated), atol=1e-5)
    assert list(layer.state_dict()) == ["bias", "running_mean", "num_batches_tracked"]
    mean, _ = running_update(x.numpy(), stated, np.zeros(3), np.ones(3))
    np.testing.assert_allclose(layer.running_mean, mean, rtol=1e-5)
    wanted = x - torch.from_numpy(mean)[:, None].float()
    torch.testing.assert_close(layer.eval()(x).detach(), wanted)


def test_a_first_axis_with_a_size_has_running_statistics_of_its_own() -> None:
    """Without a size it counts samples."""
    x = data(4, 3, 5)
    steps = Norm("t c [b]", t=4, running=Running(0.0))
    steps(x)
    torch.testing.assert_close(steps.running_mean, x.mean(2))
    samples = Norm("t c [b]", running=Running(0.0))
    samples(x)
    torch.testing.assert_close(samples.running_mean, x.mean((0, 2)))
    torch.testing.assert_close(steps.eval()(x), (x - x.mean(2, keepdim=True)) * _rstd(x, (2,)))
    with pytest.raises(ShapeError):
        steps(data(5, 3, 5))
    alone = Norm("c [b]", running=Running(0.0))
    alone(data(3, 8))
    assert alone.running_mean.shape == (3,)


def _rstd(x: torch.Tensor, axes: tuple[int, ...]) -> torch.Tensor:
    return (x.var(axes, correction=0, keepdim=True) + 1e-5).rsqrt()


def test_an_empty_batch_leaves_the_memory_alone() -> None:
    for stated in (BATCH, INSTANCE):
        layer = Norm(stated, c=3)
        assert layer(data(0, 3, 5)).shape == (0, 3, 5)
        assert not layer.running_mean.any()
        assert (layer.running_var == 1).all()


@pytest.mark.parametrize("use_reentrant", [False, True])
def test_a_checkpointed_batch_moves_the_memory_once(use_reentrant: bool) -> None:
    plain, again = Norm(BATCH, c=3), Norm(BATCH, c=3)
    x = data(4, 3, 5).requires_grad_()
    (plain(x) ** 3).sum().backward()
    other = x.detach().clone().requires_grad_()
    (checkpoint(again, other, use_reentrant=use_reentrant) ** 3).sum().backward()
    torch.testing.assert_close(other.grad, x.grad)
    for name, tensor in plain.state_dict().items():
        torch.testing.assert_close(again.state_dict()[name], tensor)
    assert again.num_batches_tracked == 1


# --- mask, residual, activation -------------------------------------------------------------------

MASKED = [
    spec("[b t] c", scale="c", bias="c", running=Running(0.5, ddof=1)),
    spec("b [t] c", scale="c", bias="c"),
    spec("b [t] (g [c])", g=2, bias="g c"),
    spec("b [t c]", measure="mean_square", center=False, scale="c"),
]


@pytest.mark.parametrize("stated", MASKED, ids=str)
@pytest.mark.parametrize("padding", [0.0, 1e6, float("nan")])
def test_padding_enters_no_statistic(stated: NormSpec, padding: float) -> None:
    x = data(3, 6, 4)
    mask = (torch.arange(6) < torch.tensor([[6], [3], [1]]))[..., None]
    layer = Norm(stated)
    padded = torch.where(mask, x, padding).requires_grad_()
    y = layer(padded, mask=mask)
    whole = np.repeat(mask.numpy(), 4, axis=2)
    zeroed = np.where(whole, x.numpy(), 0)
    wanted = reference(zeroed, stated, mask=whole)
    np.testing.assert_allclose(y.detach()[whole], wanted[whole], rtol=1e-4, atol=1e-5)
    y[mask.expand(x.shape)].square().sum().backward()
    assert padded.grad.isfinite().all()
    if stated.running:
        kept = x.numpy()[mask[..., 0].numpy()]  # (values, c)
        np.testing.assert_allclose(layer.running_mean, kept.mean(0) / 2, rtol=1e-5)
        np.testing.assert_allclose(layer.running_var, 0.5 + kept.var(0, ddof=1) / 2, rtol=1e-5)


@pytest.mark.parametrize("kernels", [True, False])
def test_padding_reaches_no_gradient_of_a_frozen_layer(kernels: bool) -> None:
    layer = Norm("[b] c [t]", c=3, scale="c", bias="c", running=Running(0.9), frozen=True)
    if not kernels:
        layer.running_mean.requires_grad_()  # which the kernels leave to the formula
    mask = torch.tensor([True, True, False])
    found = []
    for padding in (0.0, float("nan"), float("-inf")):
        x = torch.where(mask, data(2, 3, 3), padding).requires_grad_()
        y = layer(x, mask=mask, negative_slope=0.1)
        found.append(torch.autograd.grad(y[..., :2].square().sum(), [x, layer.weight, layer.bias]))
    for one in found[1:]:
        for gradient, expected in zip(one, found[0], strict=True):
            torch.testing.assert_close(gradient, expected)
    with pytest.raises(ShapeError, match="mask of shape"):
        layer(x, mask=torch.ones(2, dtype=torch.bool))


def test_a_set_without_a_value_becomes_the_bias_and_moves_nothing() -> None:
    layer = with_values(Norm("[b] c [t]", bias="c", c=3, running=Running(0.5)))
    before = copy.deepcopy(layer.state_dict())
    mask = torch.tensor([True, False, True])[:, None].expand(3, 4)
    y = layer(data(2, 3, 4), mask=mask)
    torch.testing.assert_close(y[:, 1], layer.bias[1].expand(2, 4))
    for name in ("running_mean", "running_var"):
        moved = layer.state_dict()[name] != before[name]
        assert moved.tolist() == [True, False, True]


def test_samples_without_a_value_do_not_enter_the_average() -> None:
    layer = Norm("b c [t]", running=Running(0.0))
    x = data(3, 2, 4)
    layer(x, mask=torch.tensor([True, True, False])[:, None, None])
    torch.testing.assert_close(layer.running_mean, x[:2].mean((0, 2)))


@each_native
@pytest.mark.parametrize("training", [True, False])
def test_residual_and_activation_are_the_steps_one_by_one(
    make: Any, shape: tuple[int, ...], training: bool
) -> None:
    ours = with_values(Norm(spec_of(make()))).train(training)
    theirs = copy.deepcopy(ours)
    x, more = data(*shape), data(*shape, seed=5)
    y = ours(x, residual=more, negative_slope=0.1)
    wanted = nn.functional.leaky_relu(theirs(x + more), 0.1)
    torch.testing.assert_close(y, wanted, rtol=1e-5, atol=1e-5)
    relu = ours(x, residual=more, negative_slope=0.0)
    assert relu.min() == 0


# --- what is refused ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"normalization": 3}, "Norm takes a NormSpec"),
        ({"normalization": nn.LayerNorm(3)}, "Norm takes a NormSpec"),
        ({"normalization": BATCH, "eps": 1.0}, "dataclasses.replace"),
        ({"normalization": BATCH.inference()}, "has no pattern"),
        ({"normalization": "torch.LayerNorm(3)", "c": 3}, "in the parentheses"),
        ({"normalization": "b [c]", "frozen": True}, "running=Running"),
        ({"normalization": BATCH, "frozen": 1}, "frozen"),
        ({"normalization": BATCH, "synchronized": "data"}, "process group"),
        ({"normalization": "[b] c", "measure": "l2", "running": Running(0.9)}, "leave running out"),
        ({"normalization": "b [c]", "epsilon": 1.0}, "neither a field nor an axis"),
    ],
)
def test_what_is_stated_wrongly_is_refused(options: dict[str, Any], told: str) -> None:
    with pytest.raises(SpecError, match=told):
        Norm(**options)


def test_parameters_are_floats() -> None:
    with pytest.raises(DtypeError, match="parameters are floats"):
        Norm("b [c]", dtype=torch.int32)


@pytest.mark.parametrize(
    ("x", "error", "told"),
    [
        (data(8, 3), ShapeError, "has 4 axes, the shape has 2"),
        (data(8, 5, 2, 2), ShapeError, "c"),
        (data(1, 3, 1, 1), ShapeError, "a statistics set holds 1 value"),
        (torch.ones(2, 3, 2, 2, dtype=torch.int64), DtypeError, "x is torch.int64"),
        (torch.ones(2, 3, 2, 2, dtype=torch.complex64), DtypeError, "x is torch.complex64"),
        (np.ones((2, 3, 2, 2)), DtypeError, "x is ndarray"),
        ([1.0], DtypeError, "x is list"),
    ],
)
def test_a_wrong_input_says_what_came(x: Any, error: type[Exception], told: str) -> None:
    layer = Norm("torch.BatchNorm2d(3)")
    with pytest.raises(error, match=told):
        layer(x)
    assert layer.num_batches_tracked == 0
    assert layer(data(2, 3, 2, 2)).shape == (2, 3, 2, 2)


def test_other_lengths_than_those_of_the_parameters_are_refused() -> None:
    layer = Norm("... [c]", scale="c")
    layer(data(2, 6))
    for _ in range(2):
        with pytest.raises(ShapeError, match=r"weight has the shape \(6,\).*needs \(5,\)"):
            layer(data(2, 5))


def test_a_wrong_mask_or_residual_is_refused() -> None:
    layer = Norm("b [c]")
    x = data(4, 6)
    with pytest.raises(DtypeError, match="booleans"):
        layer(x, mask=torch.ones(4, 6))
    with pytest.raises(ShapeError, match="broadcast"):
        layer(x, mask=torch.ones(5, 6, dtype=torch.bool))
    with pytest.raises(ShapeError, match="residual has the shape"):
        layer(x, residual=x[:1])
    with pytest.raises(DtypeError, match="residual"):
        layer(x, residual=x.double())

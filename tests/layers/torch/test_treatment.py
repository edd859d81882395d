"""What users of torch do to a layer and its tensors: the layer does what torch's own would."""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

import normscope as ns
from normscope import Running
from normscope.errors import DtypeError, ShapeError, SpecError
from normscope.layers.torch import Norm
from normscope.layers.torch.compute import run_with

BATCH = "torch.BatchNorm1d(8)"
BY_KERNELS = {"measure": "l1", "eps": 0.0}
"""Of a spec that no operator of torch computes: kernels run at any size."""

normalize: Any = ns.normalize  # its types are those of arrays


def data(*shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(len(shape)))


# --- the layer ------------------------------------------------------------------------------------


class _Squared(nn.Module):
    def forward(self, values: Tensor) -> Tensor:
        return values.square() + 1


def test_a_parametrized_layer_can_be_copied() -> None:
    layer = Norm(BATCH)
    parametrize.register_parametrization(layer, "weight", _Squared())
    copied = copy.deepcopy(layer)
    x = data(4, 8)
    torch.testing.assert_close(copied(x), 2 * nn.BatchNorm1d(8)(x))
    assert copied.parametrizations.weight.original is not layer.parametrizations.weight.original


@pytest.mark.parametrize("names", [("weight",), ("bias",), ("weight", "bias")])
@pytest.mark.parametrize(
    "stated",
    ["torch.LayerNorm(8)", BATCH, "torch.GroupNorm(2, 8)", "torch.InstanceNorm1d(8, affine=True)"],
)
@pytest.mark.parametrize("called", [False, True])
def test_parameters_may_be_taken_away(names: tuple[str, ...], stated: str, called: bool) -> None:
    layer = Norm(stated)
    nn.init.constant_(layer.weight, 2.0)
    nn.init.constant_(layer.bias, 3.0)
    x = data(4, 8) if "1d" not in stated and "Group" not in stated else data(4, 8, 5)
    if called:  # what is prepared by now had all of them
        layer(x)
    plain = Norm(stated)
    wanted = plain(x)
    if "weight" not in names:
        wanted = 2 * wanted
    if "bias" not in names:
        wanted = wanted + 3
    for name in names:
        setattr(layer, name, None)
    torch.testing.assert_close(layer(x), wanted)


def test_without_running_statistics_each_batch_has_its_own_in_eval_too() -> None:
    theirs, ours, x = nn.BatchNorm1d(8).eval(), Norm(BATCH).eval(), data(6, 8)
    for layer in (theirs, ours):
        layer.running_mean = layer.running_var = None
    torch.testing.assert_close(ours(x), theirs(x))
    assert ours.num_batches_tracked == 0
    ours.frozen = True
    with pytest.raises(SpecError, match="mean is None"):
        ours(x)


def test_an_expanded_weight_is_read_within_its_memory() -> None:
    gradients = []
    for weight in (torch.ones(1).expand(8), torch.ones(8)):  # torch 2.13 reads behind the first
        layer, x = Norm(BATCH), data(4, 8).requires_grad_()
        layer.weight = nn.Parameter(weight)
        layer(x).pow(3).mean().backward()
        gradients.append(x.grad)
    torch.testing.assert_close(*gradients)


def test_another_default_device_is_not_where_the_output_goes() -> None:
    layer, x = Norm("b [c]", **BY_KERNELS), data(4, 8).requires_grad_()
    with torch.device("meta"):
        y = layer(x)
        y.square().sum().backward()
    torch.testing.assert_close(y, layer(x))
    assert x.grad is not None
    assert x.grad.is_cpu


def test_another_spec_may_be_set_where_the_parameters_stay() -> None:
    layer, theirs, x = Norm(BATCH), nn.BatchNorm1d(8), data(6, 8)
    for mode in (True, False):
        layer.train(mode)
        layer(x)  # prepared with the eps that it has by now
    layer.spec = dataclasses.replace(layer.spec, eps=1.0, running=Running(0.5, ddof=1))
    theirs.eps, theirs.momentum = 1.0, 0.5
    layer.load_state_dict(theirs.state_dict())
    torch.testing.assert_close(layer.train()(x), theirs(x))
    torch.testing.assert_close(layer.eval()(x), theirs.eval()(x))
    with pytest.raises(SpecError, match="the same scale"):
        layer.spec = dataclasses.replace(layer.spec, scale=None)
    with pytest.raises(SpecError, match="not spec = b"):
        layer.spec = "b [c]"


def test_any_memory_format_can_be_copied() -> None:
    layer = Norm("b [c]")
    layer.memory_format = torch.preserve_format
    assert copy.deepcopy(layer).memory_format is torch.preserve_format


# --- the input ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("x", "told"),
    [
        (data(4, 8).to_sparse(), r"torch.sparse_coo: write x.to_dense\(\)"),
        (
            torch.nested.nested_tensor([data(3, 8)], layout=torch.jagged),
            "x is nested: write x.to_padded_tensor",
        ),
        (data(4, 8) + 0j, "view_as_real"),
        (torch.ones(4, 8, dtype=torch.int32), r"write x.float\(\)"),
        (None, "x is NoneType: write torch.as_tensor"),
    ],
)
def test_what_is_no_dense_tensor_of_floats_is_refused(x: Any, told: str) -> None:
    with pytest.raises(DtypeError, match=told):
        Norm("... [c]")(x)


def test_what_was_overwritten_is_noticed_by_autograd() -> None:
    w = data(4, 8).requires_grad_()
    for layer in (Norm("b [c]", **BY_KERNELS), Norm(BATCH).eval()):
        h = torch.sigmoid(w)
        with torch.no_grad():
            y = layer(h, inplace=True)
        assert y.data_ptr() == h.data_ptr()
        with pytest.raises(RuntimeError, match="modified by an inplace operation"):
            h.sum().backward()


def test_memory_that_another_element_needs_is_not_overwritten() -> None:
    layer, long = Norm("b [c]", **BY_KERNELS), data(5, 8)
    x, residual = long[1:], long[:-1]
    wanted = layer(x.clone(), residual=residual.clone())
    torch.testing.assert_close(layer(x, residual=residual, inplace=True), wanted)
    unfolded = data(20).unfold(0, 8, 4)
    wanted = layer(unfolded.clone())
    torch.testing.assert_close(layer(unfolded, inplace=True), wanted)


def test_the_output_of_an_expanded_input_lies_as_torch_lays_it() -> None:
    some = data(1, 6, 5, 4)
    for x in (some.expand(3, -1, -1, -1), some.permute(0, 2, 3, 1).expand(3, -1, -1, -1)):
        y = Norm("b [c] h w", **BY_KERNELS)(x)
        assert y.stride() == torch.empty_like(x).stride()


# --- what comes with it ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "error", "told"),
    [
        ({"mask": [[True] * 8]}, DtypeError, "mask is a list"),
        ({"mask": np.ones((4, 8), bool)}, DtypeError, r"write torch.as_tensor\(mask\)"),
        ({"negative_slope": "a"}, SpecError, "negative_slope is a finite number"),
        ({"negative_slope": float("nan")}, SpecError, "negative_slope is a finite number"),
    ],
)
def test_a_layer_says_what_is_wrong_beside_its_input(given: Any, error: Any, told: str) -> None:
    with pytest.raises(error, match=told):
        Norm("b [c]")(data(4, 8), **given)


@pytest.mark.parametrize(
    ("given", "error", "told"),
    [
        ({"mean": torch.ones(1)}, ShapeError, r"mean has shape \(1,\)"),
        ({"mean": torch.ones(4, 1)}, ShapeError, "axes outside brackets"),
        ({"mean": np.ones(4)}, DtypeError, "mean is a ndarray"),
        ({"mean": torch.ones(4) + 0j}, DtypeError, "mean.real"),
        ({"var": -torch.ones(4)}, SpecError, "negative values"),
        ({"mask": torch.ones(4, 8)}, DtypeError, "mask != 0"),
    ],
)
def test_statistics_from_elsewhere_are_one_for_each_set(given: Any, error: Any, told: str) -> None:
    arguments = {"mean": torch.zeros(4), "var": torch.ones(4), **given}
    with pytest.raises(error, match=told):
        normalize(data(4, 8), "b [c]", **arguments)


def test_statistics_on_another_device_are_not_read_as_memory_here() -> None:
    mean, var = torch.zeros(4, device="meta"), torch.ones(4, device="meta")
    with pytest.raises(RuntimeError, match="device"):
        normalize(data(4, 8), "b [c]", mean=mean, var=var)


@pytest.mark.parametrize("mean", [None, torch.zeros(3)])
def test_statistics_that_are_missing_are_not_made_up(mean: Tensor | None) -> None:
    spec = ns.spec("b [c]")
    with pytest.raises((SpecError, ShapeError)):
        run_with(data(4, 8), spec, spec.layout((4, 8)), mean, torch.ones(4))


@pytest.mark.parametrize("of", [torch.Tensor.long, torch.Tensor.bool])
def test_integers_may_be_parameters_and_statistics(of: Callable[[Tensor], Tensor]) -> None:
    x, ones = data(4, 8), of(torch.ones(8))
    plain = normalize(x, "b [c]")
    torch.testing.assert_close(normalize(x, "b [c]", scale=ones), plain)
    zeros = torch.zeros(4, dtype=torch.int64)
    y = normalize(x, "b [c]", mean=zeros, var=of(torch.ones(4)), eps=0.0)
    torch.testing.assert_close(y, x)


def test_a_dtype_is_one_of_torch() -> None:
    with pytest.raises(DtypeError, match=r"such as torch\.float32"):
        Norm("b [c]", dtype="float32")  # type: ignore[arg-type]

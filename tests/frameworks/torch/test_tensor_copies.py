# ruff: noqa: E501 (one module is one line of a table)
"""The tensors of a module are never written to: a backward pass after an examination works."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from contextlib import AbstractContextManager

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.utils import parametrizations, weight_norm

from normscope.frameworks.torch.state import TorchState
from normscope.identify import identify
from normscope.scope import scope

SHAPE = (4, 6)


def tied() -> nn.Module:
    made = nn.Sequential(nn.Linear(6, 6), nn.BatchNorm1d(6), nn.Linear(6, 6))
    made[2].weight = made[0].weight
    return made


class Views(nn.Module):
    """Two buffers that are views of one, a tuple and a list of tensors, a tensor in a dict."""

    def __init__(self) -> None:
        super().__init__()
        both = torch.zeros(2, 6)
        self.register_buffer("both", both)
        self.register_buffer("mean", both[0])
        self.var = both[1]
        self.scales = [nn.Parameter(torch.ones(6))]
        self.pair = (torch.ones(6), {"deeper": [torch.zeros(6)]})
        self.counts = {"calls": torch.zeros(1)}
        self.linear = nn.Linear(6, 6)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.linear(x)
        if self.training:
            with torch.no_grad():
                self.mean.mul_(0.9).add_(0.1 * x.mean(0))
                self.var.mul_(0.9).add_(0.1 * x.var(0))
                self.counts["calls"] += 1
                self.pair[0].mul_(1.0)
            return (x - x.mean(0)) * self.scales[0] * self.pair[0]
        return (x - self.both[0]) / (self.both[1] + 1e-5).sqrt() * self.scales[0]


class Hidden(nn.Module):
    """A module inside a plain list, which `modules()` does not tell of."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = [nn.BatchNorm1d(6)]
        self.linear = nn.Linear(6, 6)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.inner[0](self.linear(x))


class Recurrent(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.rnn = nn.LSTM(6, 6, batch_first=True)
        self.norm = nn.LayerNorm(6)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.norm(self.rnn(x[:, None])[0][:, 0])


def weight_normed() -> nn.Module:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # that it is old is why it is tried
        return nn.Sequential(weight_norm(nn.Linear(6, 6)), nn.BatchNorm1d(6))


def made_in_inference_mode() -> nn.Module:
    made = nn.Sequential(nn.Linear(6, 6), nn.BatchNorm1d(6))
    with torch.inference_mode():
        made[1].running_mean = torch.zeros(6)
        made[1].running_var = torch.ones(6)
    return made


def scripted() -> nn.Module:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        return torch.jit.script(nn.Sequential(nn.Linear(6, 6), nn.BatchNorm1d(6)))


MODULES: dict[str, Callable[[], nn.Module]] = {
    "plain": lambda: nn.Sequential(nn.Linear(6, 6), nn.BatchNorm1d(6)),
    "tied": tied,
    "views": Views,
    "hidden": Hidden,
    "recurrent": Recurrent,
    "parametrized": lambda: nn.Sequential(parametrizations.weight_norm(nn.Linear(6, 6)), nn.BatchNorm1d(6)),
    "spectral norm": lambda: nn.Sequential(parametrizations.spectral_norm(nn.Linear(6, 6)), nn.LayerNorm(6)),
    "weight norm by a hook": weight_normed,
    "spectral norm by a hook": lambda: nn.Sequential(nn.utils.spectral_norm(nn.Linear(6, 6)), nn.LayerNorm(6)),
    "scripted": scripted,
    "not differentiated": lambda: nn.Sequential(nn.Linear(6, 6).requires_grad_(False), nn.BatchNorm1d(6)),
    "double": lambda: nn.Sequential(nn.Linear(6, 6), nn.BatchNorm1d(6)).double(),
}  # fmt: skip


def facts(tensor: torch.Tensor) -> tuple[object, ...]:
    """What tells a tensor from one that was written to, or from another one."""
    version = None if tensor.is_inference() else tensor._version
    gradient = None if tensor.grad is None else (id(tensor.grad), tensor.grad._version)
    values = tensor.detach().numpy().tobytes()
    return id(tensor), tensor.data_ptr(), version, values, gradient, tensor.requires_grad


def all_tensors(made: nn.Module) -> dict[str, tuple[object, ...]]:
    found = {**dict(made.named_parameters()), **dict(made.named_buffers())}
    if isinstance(made, Views):
        found |= {"var": made.var, "scale": made.scales[0], "first": made.pair[0]}
        found |= {"deeper": made.pair[1]["deeper"][0], "calls": made.counts["calls"]}
    if isinstance(made, Hidden):
        found |= dict(made.inner[0].named_parameters()) | dict(made.inner[0].named_buffers())
    return {name: facts(tensor) for name, tensor in found.items()}


def examine(how: str, made: nn.Module) -> None:
    x = np.random.default_rng(0).normal(size=SHAPE).astype(np.float32)
    given = torch.from_numpy(x).to(next(made.parameters()).dtype)
    match how:
        case "identify":
            identify(made, SHAPE)
        case "scope":
            scope(made, given)
        case "scope of a function":
            scope(lambda x: made(x), given)
        case "identify a function":
            identify(lambda x: made(x), SHAPE, dtype=given.numpy().dtype)


@pytest.mark.parametrize("how", ["identify", "scope", "scope of a function", "identify a function"])
@pytest.mark.parametrize("name", MODULES)
def test_backward_after_an_examination(name: str, how: str) -> None:
    made = MODULES[name]()
    dtype = next(made.parameters()).dtype
    optimizer = torch.optim.SGD(
        [p for p in made.parameters() if p.requires_grad] or [torch.zeros(1)]
    )
    first = made(torch.randn(SHAPE, dtype=dtype)).pow(2).sum()
    first.backward()
    x = torch.randn(SHAPE, dtype=dtype, requires_grad=True)
    loss = made(x).pow(2).sum()
    before = all_tensors(made)
    examine(how, made)
    assert all_tensors(made) == before
    loss.backward()  # autograd refuses it where a tensor that it kept was written to
    assert x.grad is not None
    held = {id(p) for group in optimizer.param_groups for p in group["params"]}
    assert all(id(p) in held for p in made.parameters() if p.requires_grad)


@pytest.mark.parametrize("how", ["identify", "scope"])
@pytest.mark.parametrize("fails_at", [1, 2, 9])
def test_also_when_it_is_interrupted(how: str, fails_at: int) -> None:
    made, calls = Views(), [0]
    loss = made(torch.randn(SHAPE)).pow(2).sum()
    before = all_tensors(made)

    def interrupt(module: nn.Module, args: object) -> None:
        calls[0] += 1
        if calls[0] == fails_at:
            raise KeyboardInterrupt

    made.register_forward_pre_hook(interrupt)
    with pytest.raises(KeyboardInterrupt):
        examine(how, made)
    assert all_tensors(made) == before
    loss.backward()


@pytest.mark.parametrize("mode", [torch.inference_mode, torch.no_grad, torch.enable_grad])
def test_tensors_made_in_inference_mode(mode: Callable[[], AbstractContextManager[None]]) -> None:
    made = made_in_inference_mode()
    before = all_tensors(made)
    with mode():
        found = identify(made[1], SHAPE, "b c")
        seen = scope(made.requires_grad_(False), torch.randn(SHAPE))
    assert found.train is not None
    assert found.train.running is not None
    assert seen.samples_independent == {"training": False, "inference": True}
    made.requires_grad_(True)
    assert all_tensors(made) == before


def test_tensors_in_others_are_left_alone() -> None:
    class InPlace(nn.Module):
        def forward(self, x: torch.Tensor, other: torch.Tensor) -> torch.Tensor:
            return x * other.add_(1)

    other = torch.ones(6)
    identify(InPlace(), SHAPE, others=(other,))
    assert other._version == 0


def test_the_copies_are_tied_as_the_tensors_are() -> None:
    """Else training would move one of two views, and inference use the other."""
    for made, one, other in (
        (Views(), lambda m: m.both[0], lambda m: m.mean),
        (Views(), lambda m: m.both[1], lambda m: m.var),
        (tied(), lambda m: m[0].weight, lambda m: m[2].weight),
    ):
        found = one(made).data_ptr()
        with TorchState(made).kept(), torch.no_grad():
            assert one(made).data_ptr() != found
            one(made).fill_(3)
            assert (other(made) == 3).all()
        assert one(made).data_ptr() == other(made).data_ptr() == found
        assert not (other(made) == 3).any()


def test_a_tensor_that_each_call_replaces_is_cut_loose() -> None:
    """The hook of `spectral_norm` computes `weight`, which at first shares memory with another."""
    found = identify(nn.utils.spectral_norm(nn.Linear(6, 6)), SHAPE, "b c")
    for mode in (found.train_axes, found.infer_axes):
        assert mode == {"b": "independent", "c": "shared"}
    assert "two equal calls give different outputs" not in str(found)


def test_the_check_notices() -> None:
    """The twin: a value written back in place is a write all the same."""
    made = MODULES["plain"]()
    loss = made(torch.randn(SHAPE)).pow(2).sum()
    before = all_tensors(made)
    with torch.no_grad():
        made[0].weight.copy_(made[0].weight.clone())
        made[1].weight.copy_(made[1].weight.clone())
    assert all_tensors(made) != before
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        loss.backward()

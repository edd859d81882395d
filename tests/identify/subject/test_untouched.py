"""A layer is left bit for bit as it was found, whatever happens while it is examined."""

from __future__ import annotations

import random
from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import nn

from normscope.identify import Kind, identify
from normscope.identify.subject.one_input import one_input
from normscope.identify.subject.subject import Subject

SHAPE = (4, 8, 6, 5)


def network() -> nn.Sequential:
    made = nn.Sequential(nn.BatchNorm2d(8), nn.Dropout(0.1), nn.BatchNorm2d(8).eval(), nn.PReLU(8))
    made[0].weight.requires_grad_(False)
    made(torch.randn(SHAPE)).sum().backward()
    made.register_forward_hook(lambda module, args, output: None)
    return made


def everything(module: nn.Module) -> dict[str, object]:
    """All that could be disturbed, as values that compare bit for bit."""
    tensors = {**dict(module.named_parameters()), **dict(module.named_buffers())}
    found: dict[str, object] = {name: t.detach().numpy().tobytes() for name, t in tensors.items()}
    found["identity"] = {name: id(t) for name, t in tensors.items()}
    found["requires_grad"] = {name: t.requires_grad for name, t in tensors.items()}
    found["grad"] = {
        name: None if t.grad is None else t.grad.numpy().tobytes() for name, t in tensors.items()
    }
    found["mode"] = [part.training for part in module.modules()]
    found["hooks"] = [list(part._forward_hooks) for part in module.modules()]
    found["attributes"] = [sorted(vars(part)) for part in module.modules()]
    found["torch"] = torch.get_rng_state().numpy().tobytes()
    found["numpy"] = str(np.random.get_state())
    found["python"] = random.getstate()
    return found


@pytest.mark.parametrize("fails_at", [None, 1, 2, 5, 20, 30])
def test_a_torch_module_is_left_as_found(fails_at: int | None) -> None:
    made = network()
    calls = 0

    def count(module: nn.Module, args: object) -> None:
        nonlocal calls
        calls += 1
        torch.rand(1), np.random.rand(), random.random()
        if calls == fails_at:
            raise RuntimeError("it broke")

    made.register_forward_pre_hook(count)
    before = everything(made)
    found = identify(made, SHAPE)
    assert everything(made) == before
    if fails_at is not None:
        assert "it broke" in str(found)


def test_also_when_it_is_interrupted() -> None:
    """Not every end is an Exception, and it has to leave the layer alone too."""
    made, calls = network(), 0

    def interrupt(module: nn.Module, args: object) -> None:
        nonlocal calls
        calls += 1
        if calls == 30:
            raise KeyboardInterrupt

    made.register_forward_pre_hook(interrupt)
    before = everything(made)
    with pytest.raises(KeyboardInterrupt):
        identify(made, SHAPE)
    assert everything(made) == before


def test_the_check_notices() -> None:
    """The twin: without the protection the same calls do change the module."""
    made = network()
    before = everything(made)
    subject = Subject(one_input(made, SHAPE), SHAPE)
    subject.adapter.call(np.ones(SHAPE, np.float32), True)
    assert everything(made) != before


class Replacing(nn.Module):
    """Keeps its state in ways that are hard to put back: new tensors, plain attributes."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(8))
        self.seen = 0
        self.last = torch.zeros(8)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        batch = x.mean((0, 2, 3))
        if self.training:
            self.seen += 1
            self.mean = 0.9 * self.mean + 0.1 * batch
            self.last = batch
        return x - batch.view(1, -1, 1, 1)


def test_replaced_buffers_and_plain_attributes_are_put_back() -> None:
    made = Replacing()
    mean, last = made.mean, made.last
    identify(made, SHAPE)
    assert made.mean is mean
    assert made.last is last
    assert not mean.any()
    assert not last.any()
    assert made.seen == 0


def test_a_lazy_module_stays_lazy() -> None:
    made = nn.LazyBatchNorm2d()
    found = identify(made, SHAPE, "b c h w")
    assert found.train is not None
    assert isinstance(made.weight, nn.parameter.UninitializedParameter)


def test_the_callers_inputs_are_left_alone() -> None:
    def in_place(x: np.ndarray, other: np.ndarray) -> np.ndarray:
        x -= x.mean(-1, keepdims=True)
        return x / np.sqrt((x**2).mean(-1, keepdims=True) + 1e-5)

    other = np.ones(3)
    found = identify(in_place, (4, 6), "b c", others=(other,))
    assert found.train is not None
    assert (other == 1).all()


@pytest.mark.parametrize(
    ("broken", "words"),
    [
        (lambda x: x * np.nan, "no finite number"),
        (lambda x: np.zeros_like(x), "does not depend on the input"),
        (lambda x: 1 / 0, "ZeroDivisionError"),
        (lambda x: "text", "raised"),
        (lambda x: None, "no finite number"),
    ],
)
def test_broken_layers_are_results_and_no_errors(
    broken: Callable[[np.ndarray], np.ndarray], words: str
) -> None:
    found = identify(broken, (4, 6))
    assert found.kind is Kind.UNKNOWN
    assert words in str(found)

"""A module is followed without copies of its parameters, and none of them is ever written to."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from normscope.frameworks.registry import live_of
from normscope.frameworks.torch.live import TorchLive
from normscope.graph.operators import Graph


def followed(module: nn.Module, x: torch.Tensor) -> tuple[Graph, list[int], TorchLive]:
    """The graph, and the addresses of the parameters that the module held afterwards."""
    live = live_of(module, lambda live: live.inputs(x).arguments(live.leaf), "")
    assert isinstance(live, TorchLive)
    with live.kept():
        live.put_back()
        graph = live.trace(live.inputs(x), True)
        return graph, [p.data_ptr() for p in module.parameters()], live


def test_parameters_are_not_copied_and_buffers_are() -> None:
    module = nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8))
    before = [p.data_ptr() for p in module.parameters()]
    graph, inside, _ = followed(module, torch.randn(3, 4))
    assert inside == before
    assert not graph.blind
    assert module[1].num_batches_tracked == 0
    assert torch.equal(module[1].running_mean, torch.zeros(8))


def test_a_call_copies_them() -> None:
    module = nn.Linear(4, 8)
    before = module.weight.data_ptr()
    live = live_of(module, lambda live: ((), {}), "")
    with live.kept():
        live.put_back()
        live.call((torch.randn(3, 4),), {}, False)
        assert module.weight.data_ptr() != before
        live.write("weight", live.arrays()["weight"] + 1)
    assert module.weight.data_ptr() == before


class Writes(nn.Module):
    def __init__(self, how: Any) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(4, 4))
        self.how = how

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        try:
            self.how(self.weight)
        except Exception:
            return x
        return x @ self.weight


def numpy(w: torch.Tensor) -> None:
    w.detach().numpy()[:] = 3


def data(w: torch.Tensor) -> None:
    w.data = torch.zeros(4, 4)


def gradient(w: torch.Tensor) -> None:
    w.grad = torch.zeros(4, 4)


@pytest.mark.parametrize(
    "how",
    [
        lambda w: w.data.mul_(2),
        lambda w: w[1:].zero_(),
        lambda w: torch.add(w, 1, out=w.data),
        lambda w: nn.functional.embedding(torch.tensor([1]), w, max_norm=0.1),
        lambda w: w.t_(),
        lambda w: w.data.set_(torch.zeros(2, 2)),
        lambda w: w.data.as_strided_((2, 2), (1, 1)),
        lambda w: w.grad.fill_(7),
        lambda w: w.requires_grad_(False),
        numpy,
        data,
        gradient,
    ],
)
def test_no_parameter_is_written_to(how: Any) -> None:
    module = Writes(how)
    module.weight.grad = torch.full((4, 4), 5.0)
    weight, grad, version = module.weight, module.weight.grad, module.weight._version
    graph, _, _ = followed(module, torch.randn(3, 4))
    assert module.weight is weight
    assert weight._version == version
    assert torch.equal(weight, torch.ones(4, 4))
    assert weight.shape == (4, 4)
    assert weight.requires_grad
    assert weight.grad is grad
    assert torch.equal(grad, torch.full((4, 4), 5.0))
    assert graph.outputs[0].live

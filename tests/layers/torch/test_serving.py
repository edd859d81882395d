"""One layer in many threads, in forked processes, and after an exception in a step."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from normscope import Running, ShapeError, spec
from normscope.layers.torch import Norm
from normscope.layers.torch.choice import least_of
from team_kernels import in_process

GROUPED = spec("b [c] h w", ddof=1, scale="c", bias="c")
"""For which torch has no operator: kernels run at any size."""


def large(seed: int = 0) -> Tensor:
    return torch.rand(4, 16, 24, 25, generator=torch.Generator().manual_seed(seed))


def step(layer: Callable[[Tensor], Tensor], x: Tensor) -> list[Tensor]:
    """Output and gradient of the input."""
    x = x.clone().requires_grad_()
    y = layer(x)
    (y * torch.linspace(0, 1, y.numel()).reshape(y.shape)).sum().backward()
    assert x.grad is not None
    return [y.detach(), x.grad]


def test_sixteen_threads_serve_one_layer() -> None:
    layer = Norm(GROUPED, c=16)
    inputs = [large(seed) for seed in range(16)]
    expected = [step(layer, x) for x in inputs]
    ready = threading.Barrier(16)

    def serve(i: int) -> list[list[Tensor]]:
        ready.wait()
        return [step(layer, inputs[i]) for _ in range(5)]

    with ThreadPoolExecutor(16) as pool:
        for found, wanted in zip(pool.map(serve, range(16)), expected, strict=True):
            for again in found:
                assert all(one.equal(other) for one, other in zip(again, wanted, strict=True))


FORKED = """
import torch
from normscope import spec
from normscope.layers.torch import Norm

def gradient(layer, seed):
    generator = torch.Generator().manual_seed(seed)
    x = torch.rand(4, 16, 24, 25, generator=generator).requires_grad_()
    y = layer(x)
    (y * torch.linspace(0, 1, y.numel()).reshape(y.shape)).sum().backward()
    return x.grad

class Normalized(torch.utils.data.Dataset):
    layer = Norm(spec("b [c] h w", ddof=1, scale="c", bias="c"), c=16)

    def __len__(self):
        return 4

    def __getitem__(self, i):
        return gradient(self.layer, i)

samples = Normalized()
expected = [samples[i] for i in range(4)]  # the threads of this process are awake
loader = torch.utils.data.DataLoader(
    samples, batch_size=None, num_workers=2, multiprocessing_context="fork", timeout=60
)
print([found.equal(wanted) for found, wanted in zip(loader, expected, strict=True)])
print(samples[0].equal(expected[0]))
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="only Unix forks")
def test_forked_workers_normalize() -> None:
    # in a process of its own: the tests' may hold threads of others, which no fork may leave behind
    assert in_process(FORKED) == "[True, True, True, True]\nTrue\n"


def test_an_exception_in_the_middle_of_a_step_leaves_all_working() -> None:
    layer = Norm(spec("[b] c [h w]", scale="c", running=Running(0.9)), c=16)
    expected = step(layer, large())
    before = {name: value.clone() for name, value in layer.state_dict().items()}

    def broken(_: Tensor) -> None:
        raise RuntimeError("stop")

    x = large().requires_grad_()
    hidden = x * 1
    hidden.register_hook(broken)
    with pytest.raises(RuntimeError, match="stop"):
        layer(hidden).sum().backward()
    with pytest.raises(ShapeError):
        layer(torch.rand(2, 3))
    layer.load_state_dict(before)

    assert all(one.equal(other) for one, other in zip(step(layer, large()), expected, strict=True))


@pytest.mark.parametrize("again", [False, True])
@pytest.mark.parametrize("mode", ["kernels", "torch"])
def test_what_a_checkpoint_computes_again_moves_no_statistics(mode: str, again: bool) -> None:
    stated = spec("[b] c [h w]", scale="c", bias="c", running=Running(0.9, ddof=1))
    layer: Any = Norm(stated, c=16)
    x = torch.rand(16, 16, 16, 16 if mode == "torch" else 160)
    least = least_of(stated, tuple(x.shape), x.stride(), x.dtype)
    assert (x.nbytes >= least.derived) == (mode == "kernels")

    found = step(lambda x: checkpoint(layer, x, use_reentrant=again), x)

    alone = Norm(stated, c=16)
    for one, other in zip(found, step(alone, x), strict=True):
        torch.testing.assert_close(one, other)
    assert layer.num_batches_tracked == 1
    torch.testing.assert_close(layer.running_var, alone.running_var)
    torch.testing.assert_close(layer.running_mean, alone.running_mean)

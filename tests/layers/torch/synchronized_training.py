"""Processes that train together; `test_synchronization.py` starts this script, which forks them.

usage: synchronized_training.py FOLDER

Each process checks that what it finds is its part of what one process finds on the joined batch.
One interpreter loads torch for all of them, before torch has a thread.
"""

from __future__ import annotations

import copy
import multiprocessing
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import torch
from torch import Tensor, distributed
from torch._dynamo.backends.common import aot_autograd
from torch._functorch.aot_autograd import make_boxed_func
from torch.distributed.fsdp import fully_shard
from torch.nn.parallel import DistributedDataParallel
from torch.utils.checkpoint import checkpoint

from normscope import NormSpec, Running, SpecError
from normscope.layers.torch import Norm, synchronization

PARTS = (5, 0, 4)
"""Samples of each process."""
RUNNING = Running(0.9, ddof=1)
SPECS = {
    "batch": NormSpec("[b...] c", scale="c", bias="c", running=RUNNING),
    "by channel": NormSpec("[b] s c", scale="c", bias="s c", running=RUNNING),
    "maps": NormSpec("[b] c [s]", scale="c", ddof=1),
    "groups": NormSpec("[b s] (g [c])", {"g": 2}, scale="g c", bias="g c", ddof=1),
    "mean only": NormSpec("[b...] c", measure="none", running=Running(0.9)),
    "mean square": NormSpec("[b...] c", center=False, measure="mean_square", scale="c"),
    "centred, then L1": NormSpec("[b...] c", measure="l1"),
    "L2": NormSpec("[b...] c", center=False, measure="l2"),
}
ONE_COLLECTIVE = set(SPECS) - {"centred, then L1"}


def main(folder: str) -> None:
    context = multiprocessing.get_context("fork")
    ranks = range(len(PARTS))
    started = [context.Process(target=train, args=(rank, f"{folder}/store")) for rank in ranks]
    for process in started:
        process.start()
    for process in started:
        process.join()
    codes = [process.exitcode for process in started]
    sys.exit(f"exit codes {codes}" if any(codes) else print("all equal"))


def train(rank: int, store: str) -> None:
    torch.set_num_threads(1)
    world = len(PARTS)
    distributed.init_process_group(
        "gloo", rank=rank, world_size=world, store=distributed.FileStore(store, world)
    )
    few = synchronization.GATHERED_UP_TO
    for synchronization.GATHERED_UP_TO in (0, few):
        for name in SPECS:
            check_equal_to_one_process(rank, name, torch.float64, 0.0)
        check_equal_to_one_process(rank, "batch", torch.float32, 5000.0)
        check_equal_to_one_process(rank, "batch", torch.bfloat16, 0.0)
        check_equal_to_one_process(rank, "batch", torch.float32, 0.0, masked=True)
        check_equal_to_one_process(rank, "by channel", torch.float64, 0.0, masked=True)
    check_second_derivative(rank)
    check_group(rank)
    check_wrapped(rank)
    check_checkpoint(rank)
    check_compiled(rank)
    distributed.destroy_process_group()


# --- one layer ------------------------------------------------------------------------------------


def check_equal_to_one_process(
    rank: int, name: str, dtype: torch.dtype, mean: float, masked: bool = False
) -> None:
    """The one process computes in float64, on the values as they were rounded."""
    given = batch(dtype, mean, masked)
    *values, mask = given
    alone = step(Norm(SPECS[name], dtype=torch.float64), *(v.double() for v in values), mask)
    layer = Norm(SPECS[name], dtype=dtype, synchronized=True)
    with collectives() as counts:
        found = step(layer, *(part(values, rank) for values in given))
    if name in ONE_COLLECTIVE:
        assert counts == [1, 1], (name, counts)  # forward, backward
    for what, wanted in alone.items():
        if what in ("y", "dx"):
            wanted = part(wanted, rank)
        elif what.startswith("d"):  # each process has the gradients of its own samples
            distributed.all_reduce(found[what])
        where = f"{name}, {dtype}, {what}"
        torch.testing.assert_close(
            found[what].double(), wanted.double(), **tolerance(dtype, mean), msg=where
        )


def step(
    layer: Norm, x: Tensor, residual: Tensor, dy: Tensor, mask: Tensor | None
) -> dict[str, Tensor]:
    """What a training step gives; its backward pass begins with a mark for `collectives`."""
    torch.manual_seed(1)
    x = x.clone().requires_grad_()
    y = layer(x, mask=mask, residual=residual, negative_slope=0.1)
    mark()
    (y * dy).sum().backward()
    assert x.grad is not None
    found = {"y": y.detach(), "dx": x.grad}
    found |= {f"d{n}": p.grad for n, p in layer.named_parameters() if p.grad is not None}
    return found | {name: value.clone() for name, value in layer.named_buffers()}


def batch(dtype: torch.dtype, mean: float, masked: bool) -> tuple[Any, ...]:
    random = torch.Generator().manual_seed(0)
    x, residual, dy = (
        torch.randn(sum(PARTS), 3, 4, generator=random, dtype=torch.float64) for _ in range(3)
    )
    x = x.transpose(1, 2).contiguous().transpose(1, 2)  # does not lie as the others do
    if mean:
        residual.zero_()  # a sum would be rounded to the digits that such a mean leaves
    x = mean + x * torch.linspace(0.5, 2, sum(PARTS)).view(-1, 1, 1)
    mask = torch.rand(sum(PARTS), 3, 1, generator=random) < 0.6 if masked else None
    return x.to(dtype), residual.to(dtype), dy.to(dtype), mask


def part(values: Tensor | None, rank: int) -> Tensor | None:
    return None if values is None else values.split(PARTS)[rank].clone()


def tolerance(dtype: torch.dtype, mean: float) -> dict[str, float]:
    if dtype == torch.bfloat16:
        return {"rtol": 2e-2, "atol": 5e-2}
    small = 1e-12 if dtype == torch.float64 else 2e-5 if not mean else 1e-4
    return {"rtol": small, "atol": small}


COUNTS: list[int] = []


def mark() -> None:
    COUNTS.append(0)


@contextmanager
def collectives() -> Iterator[list[int]]:
    """Count them, anew after each mark."""
    COUNTS[:] = [0]
    kept = distributed.all_reduce, distributed.all_gather

    def counting(collective: Any) -> Any:
        def counted(*args: Any, **kwargs: Any) -> Any:
            COUNTS[-1] += 1
            return collective(*args, **kwargs)

        return counted

    distributed.all_reduce, distributed.all_gather = map(counting, kept)
    try:
        yield COUNTS
    finally:
        distributed.all_reduce, distributed.all_gather = kept


def check_second_derivative(rank: int) -> None:
    x, _, dy, _ = batch(torch.float64, 0.0, masked=False)

    def second(layer: Norm, x: Tensor, dy: Tensor) -> Tensor:
        x = x.clone().requires_grad_()
        (first,) = torch.autograd.grad((layer(x) * dy).sum(), x, create_graph=True)
        return torch.autograd.grad((first.sin() * dy).sum(), x)[0]

    layer = Norm("[b...] c", synchronized=True)
    found = second(layer, *(part(values, rank) for values in (x, dy)))
    torch.testing.assert_close(found, part(second(Norm("[b...] c"), x, dy), rank))


def check_group(rank: int) -> None:
    """Two of the processes share their statistics; the other has no part in it."""
    group = distributed.new_group([0, 2])
    x = batch(torch.float64, 0.0, masked=False)[0]
    if rank == 1:
        with pytest.raises(SpecError, match="not in the process group"):
            Norm("[b...] c", synchronized=group)
        return
    layer = Norm("[b...] c", synchronized=group)
    wanted = Norm("[b...] c")(x)  # process 1 has no sample in it
    torch.testing.assert_close(layer(part(x, rank)), part(wanted, rank))
    assert copy.deepcopy(layer).synchronized is group


# --- wrapped models -------------------------------------------------------------------------------


def network(synchronized: bool) -> torch.nn.Module:
    torch.manual_seed(2)
    return torch.nn.Sequential(
        torch.nn.Linear(4, 6),
        Norm("[b...] c", c=6, scale="c", bias="c", running=RUNNING, synchronized=synchronized),
        torch.nn.Tanh(),
        torch.nn.Linear(6, 2),
    )


def check_wrapped(rank: int) -> None:
    """Two steps of stochastic gradient descent, wrapped by DDP and by FSDP, and in one process."""
    x = batch(torch.float32, 0.0, masked=False)[0]
    alone = trained(network(False), x, 1)
    found = trained(DistributedDataParallel(network(True)), part(x, rank), len(PARTS))
    compare({name.removeprefix("module."): value for name, value in found.items()}, alone)
    model = network(True)
    for layer in (*model, model):
        if next(layer.parameters(), None) is not None:
            fully_shard(layer, mesh=distributed.init_device_mesh("cpu", (len(PARTS),)))
    found = trained(model, part(x, rank), len(PARTS))
    compare(
        {n: v.full_tensor() if hasattr(v, "full_tensor") else v for n, v in found.items()}, alone
    )


def trained(model: torch.nn.Module, x: Tensor, processes: int) -> dict[str, Tensor]:
    """The state after two steps; wrappers average gradients, and the loss is a sum."""
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05)
    for _ in range(2):
        optimizer.zero_grad()
        (model(x).square().sum() * processes).backward()
        optimizer.step()
    return dict(model.state_dict())


def compare(found: dict[str, Tensor], wanted: dict[str, Tensor]) -> None:
    assert list(found) == list(wanted)
    for name, value in wanted.items():
        torch.testing.assert_close(found[name], value, rtol=1e-4, atol=1e-5)


def check_checkpoint(rank: int) -> None:
    """What is computed again in the backward pass moves no running statistics."""
    x = part(batch(torch.float32, 0.0, masked=False)[0], rank).requires_grad_()
    plain = network(True)
    kept = copy.deepcopy(plain)
    plain(x).sum().backward()
    wanted, x.grad = x.grad, None
    checkpoint(kept, x, use_reentrant=False).sum().backward()
    torch.testing.assert_close(x.grad, wanted)
    compare(kept.state_dict(), plain.state_dict())


def check_compiled(rank: int) -> None:
    """In one graph, with one collective in each pass, of any number of samples."""
    graphs: list[list[str]] = []

    def counted(graph: torch.fx.GraphModule, _: object) -> Any:
        called = [str(node.target) for node in graph.graph.nodes]
        graphs.append([name.split(".")[1] for name in called if "c10d" in name])
        return make_boxed_func(graph.forward)

    *values, _ = (part(v, rank) for v in batch(torch.float32, 0.0, masked=False))
    layer = Norm(SPECS["batch"], c=4, synchronized=True)
    twin = copy.deepcopy(layer)
    backend = aot_autograd(fw_compiler=counted, bw_compiler=counted)
    layer.compile(fullgraph=True, backend=backend)
    for number in (5, 3):  # then with a length that is open, where there are fewer samples
        given = [value[:number] for value in values]
        torch.testing.assert_close(step(layer, *given, None), step(twin, *given, None))
    forward, backward = ["all_gather_into_tensor", "wait_tensor"], ["all_reduce", "wait_tensor"]
    assert graphs == [forward, backward] * (len(graphs) // 2), graphs


if __name__ == "__main__":
    main(sys.argv[1])

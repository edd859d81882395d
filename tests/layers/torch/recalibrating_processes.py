"""One of two processes that recalibrate a model together, each with its own part of the data.

python recalibrating_processes.py FILE RANK
"""

from __future__ import annotations

import copy
import sys

import torch
from torch import distributed, nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard
from torch.distributed.tensor import DTensor

from normscope.layers.torch.recalibrate import recalibrate


def main(file: str, rank: int) -> None:
    distributed.init_process_group("gloo", init_method=f"file://{file}", rank=rank, world_size=2)
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Linear(4, 2), nn.BatchNorm1d(2))
    data = [torch.randn(n, 3) for n in (5, 2, 9)]
    for parts in ([data[:2], data[2:]], [data, []]):
        for sequential in (False, True):
            alone, joined = copy.deepcopy(model), copy.deepcopy(model)
            recalibrate(alone, data, sequential=sequential)
            # the wrapper of data-parallel training, which sends buffers at each call
            wrapped = nn.parallel.DistributedDataParallel(joined)
            found = recalibrate(wrapped, parts[rank], sequential=sequential, synchronized=True)
            assert found.batches == 3
            for one, other in zip(alone.buffers(), joined.buffers(), strict=True):
                torch.testing.assert_close(one, other)
            print("equal")
    divided(data, rank)
    distributed.destroy_process_group()


def divided(data: list[torch.Tensor], rank: int) -> None:
    """A model whose parameters are divided among the processes, in one part and as a whole."""
    mesh = init_device_mesh("cpu", (2,))
    whole = nn.Sequential(
        nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4)), nn.Linear(4, 2), nn.BatchNorm1d(2)
    )
    data = [*data, torch.randn(3, 3)]
    for sequential in (False, True):
        model = copy.deepcopy(whole)
        for part in (model[0], model):
            fully_shard(part, mesh=mesh)
        alone = copy.deepcopy(whole)
        recalibrate(alone, data, sequential=sequential)
        recalibrate(model, data[rank::2], sequential=sequential, synchronized=True)
        for one, other in zip(alone.buffers(), model.buffers(), strict=True):
            torch.testing.assert_close(one, other)
        assert all(isinstance(one, DTensor) for one in model.parameters())
        model(data[0]).square().sum().backward()
        print("divided")


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))

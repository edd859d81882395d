"""Processes together must find what one process finds on the joined batch."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import torch
from benchmarks import synchronization as costs

from layers.torch import synchronized_training
from normscope import SpecError, spec
from normscope.layers.torch import Norm
from normscope.layers.torch.compute import run
from normscope.layers.torch.formula import normalize
from normscope.layers.torch.synchronization import Processes, processes_of

pytestmark = pytest.mark.framework


def test_processes_equal_one_process_on_the_joined_batch(tmp_path: Path) -> None:
    """Parts of 5, 0 and 4 samples: see the file for all that is compared."""
    run = subprocess.run(
        [sys.executable, synchronized_training.__file__, str(tmp_path)],
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert run.returncode == 0, run.stderr
    assert "all equal" in run.stdout


@pytest.fixture
def alone(tmp_path: Path) -> object:
    """A process group of this process alone."""
    store = torch.distributed.FileStore(str(tmp_path / "store"), 1)
    torch.distributed.init_process_group("gloo", rank=0, world_size=1, store=store)
    yield torch.distributed.group.WORLD
    torch.distributed.destroy_process_group()


@pytest.mark.parametrize("synchronized", [None, False, True])
def test_without_other_processes_nothing_is_sent(synchronized: bool | None) -> None:
    stated = spec("[b] c")
    assert processes_of(synchronized, stated, stated.layout((4, 3))) is None


def test_what_cannot_be_joined_is_refused(alone: object) -> None:
    assert processes_of(True, spec("[b] c"), spec("[b] c").layout((4, 3))) is None  # one process
    assert processes_of(True, spec("b [c]"), spec("b [c]").layout((4, 3))) is None  # whole samples
    x = torch.ones(4, 3)
    with pytest.raises(SpecError, match="partly inside and partly outside"):
        Norm("(g [b]) c", g=2, synchronized=alone)(x)
    with pytest.raises(SpecError, match="a maximum over processes has no gradient"):
        Norm("[b] c", measure="max", synchronized=True)(x)
    with pytest.raises(SpecError, match=r"process group, not 'yes'\n  write"):
        Norm("[b] c", synchronized="yes")


def test_a_compiled_layer_sees_that_processes_are_joined(request: pytest.FixtureRequest) -> None:
    torch._dynamo.reset()  # what other tests have compiled counts towards its limit
    graphs: list[torch.fx.GraphModule] = []
    layer = Norm("[b] c", synchronized=True)
    layer.compile(fullgraph=True, backend=lambda graph, _: graphs.append(graph) or graph)
    for _ in range(2):
        layer(torch.ones(4, 3))
    assert len(graphs) == 1
    request.getfixturevalue("alone")
    layer(torch.ones(4, 3))
    assert len(graphs) == 2


CALLS = {
    "[b] c": {"scale": "c", "bias": "c"},
    "[b] c [h w]": {"scale": "c", "ddof": 1},
    "[b h] w [c]": {"bias": "w"},
    "[b...]": {},
    "[b] s... c": {"scale": "s... c", "bias": "s... c", "scale_shift": 1},
    "[b] h (g [c])": {"scale": "g c", "bias": "h", "g": 2},
}


@pytest.mark.parametrize("slope", [None, 0.1])
@pytest.mark.parametrize("pattern", CALLS)
def test_gradients_by_both_ways(alone: object, pattern: str, slope: float | None) -> None:
    """In float64, of the kernels and of the formula; and those of the gradients."""
    stated = spec(pattern, **CALLS[pattern])
    rank = {"[b] c": 2, "[b] c [h w]": 4, "[b h] w [c]": 4}.get(pattern, 3)
    x = torch.randn((4, 2, 2, 2)[:rank], dtype=torch.float64)
    x = x.transpose(1, -1).contiguous().transpose(1, -1)  # as channels_last
    layout = stated.layout(tuple(x.shape))
    sizes = [layout.place(layout.named(n)).shape for n in (stated.scale, stated.bias) if n]
    inputs = [x, *(torch.randn(size, dtype=torch.float64) for size in sizes)]
    named = [n for n in ("scale", "bias") if getattr(stated, n)]

    def call(x: torch.Tensor, *learned: torch.Tensor) -> torch.Tensor:
        given = dict(zip(named, learned, strict=True))
        return run(x, stated, layout, negative_slope=slope, processes=Processes(), **given)[0]

    def formula_of(x: torch.Tensor, *learned: torch.Tensor) -> torch.Tensor:
        given = dict(zip(named, learned, strict=True))
        return normalize(x, stated, layout, negative_slope=slope, **given)[0]

    torch.testing.assert_close(call(*inputs), formula_of(*inputs))
    inputs = [tensor.detach().requires_grad_() for tensor in inputs]
    assert torch.autograd.gradcheck(call, inputs)
    assert torch.autograd.gradgradcheck(call, inputs)


def test_the_cost_model() -> None:
    """Few processes see the statistics of each other; with many, bytes stay nearly as they are."""
    assert costs.forward(2048, 8) == costs.gathering(4097, 8)
    assert costs.forward(2048, 9) == costs.summing(4097, 9)
    assert costs.gathering(4097, 1000).nbytes > 40 * costs.forward(2048, 1000).nbytes
    assert costs.backward(2048, 2) == costs.Cost(2, 2 * (4 * 2048 + costs.HEADER))
    assert costs.Cost(3, 1000).seconds(2.0, 500.0) == 8.0
    rows = [
        {"way": "forward", "sets": sets, "seconds": costs.forward(sets, 2).seconds(1e-4, 1e9)}
        for sets in (costs.SMALL, costs.LARGE)
    ]
    assert costs.fitted(rows) == pytest.approx((1e-4, 1e9))


@pytest.mark.skipif(sys.platform != "linux", reason="Linux counts the bytes that a process writes")
def test_real_processes_send_the_bytes_of_the_model() -> None:
    found = costs.processes.measured("synchronization", world=3, sets=[64, 2048], rounds=3)
    assert {row["way"] for row in found} == {"forward", "backward"}
    for row in found:
        assert row["bytes"] == pytest.approx(costs.modelled(row).nbytes, rel=0.01)

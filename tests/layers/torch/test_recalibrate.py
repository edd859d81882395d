"""`recalibrate`: statistics of all data, the model otherwise as it was."""

from __future__ import annotations

import copy
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from normscope.errors import DtypeError, ShapeError, SpecError
from normscope.layers.torch import (
    Norm,
    Recalibration,
    exact_statistics,
    recalibrate,
)
from normscope.layers.torch.measuring_passes import MeasuringPasses
from normscope.layers.torch.recalibrate import layers_with_memory
from normscope.notation.running import Running

pytestmark = pytest.mark.framework


class Network(nn.Module):
    """Two batch norms of several, with what must not be touched in between."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(3, 6, 3), nn.BatchNorm2d(6)
        self.drop = nn.Dropout()
        self.conv2, self.bn2 = nn.Conv2d(6, 4, 3), nn.BatchNorm2d(4, momentum=None)
        self.register_buffer("seen", torch.zeros(()))

    def before2(self, x: torch.Tensor) -> torch.Tensor:
        return self.conv2(self.drop(torch.relu(self.bn1(self.conv1(x)))))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.seen += len(x)
        return self.bn2(self.before2(x))


def network() -> Network:
    torch.manual_seed(0)
    return Network()


def batches(*lengths: int) -> list[torch.Tensor]:
    torch.manual_seed(1)
    data = torch.randn(sum(lengths), 3, 8, 8) * 3 + 1
    return list(data.split(list(lengths)))


def moments(x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    x = x.double()
    return x.mean((0, 2, 3)).float(), x.var((0, 2, 3)).float()


def assert_holds(layer: Any, x: torch.Tensor) -> None:
    mean, var = moments(x)
    torch.testing.assert_close(layer.running_mean, mean, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(layer.running_var, var, rtol=1e-5, atol=1e-6)


@torch.no_grad()
def test_one_pass_measures_what_each_layer_saw() -> None:
    model, data = network(), batches(4, 7, 2)

    found = recalibrate(model, data)

    assert_holds(model.bn1, model.conv1(torch.cat(data)))
    model.drop.eval()
    assert_holds(model.bn2, torch.cat([_seen_by_2(model, x) for x in data]))
    assert [layer.name for layer in found.layers] == ["bn1", "bn2"]
    assert [layer.values for layer in found.layers] == [13 * 36, 13 * 16]
    assert found.batches == 3
    assert model.bn1.num_batches_tracked == 3


def _seen_by_2(model: Network, x: torch.Tensor) -> torch.Tensor:
    """In training, without moving the statistics that are looked at."""
    return copy.deepcopy(model).before2(x)


@torch.no_grad()
@pytest.mark.parametrize("lengths", [(13,), (4, 7, 2), (1,) * 13])
def test_sequentially_each_layer_has_what_it_sees_at_inference(lengths: tuple[int, ...]) -> None:
    model, data = network(), batches(*lengths)

    recalibrate(model, data, sequential=True)

    model.eval()
    x = torch.cat(data)
    assert_holds(model.bn1, model.conv1(x))
    assert_holds(model.bn2, model.before2(x))


@pytest.mark.parametrize("sequential", [False, True])
def test_all_else_is_as_it_was(sequential: bool) -> None:
    model = network()
    model.bn1.eval()
    model(batches(3)[0]).sum().backward()
    before = copy.deepcopy(model)
    tensors = dict(model.named_parameters())
    gradients = [parameter.grad.clone() for parameter in model.parameters()]
    data = batches(4, 5)
    random = torch.get_rng_state()

    recalibrate(model, data, sequential=sequential)

    assert [m.training for m in model.modules()] == [m.training for m in before.modules()]
    assert all(value is tensors[name] for name, value in model.named_parameters())
    for now, was, grad in zip(model.parameters(), before.parameters(), gradients, strict=True):
        assert torch.equal(now, was)
        assert torch.equal(now.grad, grad)
    moved = {
        name for name, now in model.named_buffers() if not torch.equal(now, before.get_buffer(name))
    }
    own = {f"bn{n}.{name}" for n in (1, 2) for name in ("running_mean", "running_var")}
    assert own <= moved <= own | {f"bn{n}.num_batches_tracked" for n in (1, 2)}
    assert not any(module._forward_pre_hooks for module in model.modules())
    assert torch.equal(random, torch.get_rng_state())


def test_an_error_leaves_the_running_statistics_alone() -> None:
    model = network()
    before = copy.deepcopy(model.state_dict())

    for sequential in (False, True):
        with pytest.raises(RuntimeError, match="channels"):
            recalibrate(model, [*batches(4), torch.zeros(2, 5, 8, 8)], sequential=sequential)
        with pytest.raises(DtypeError, match="bn1: the mean of what it sees is not finite"):
            recalibrate(model, [*batches(4), torch.full((2, 3, 8, 8), float("nan"))])

    for name, value in model.state_dict().items():
        assert torch.equal(value, before[name]), name
    assert model.training
    assert not any(module._forward_pre_hooks for module in model.modules())


def test_far_from_zero_nothing_cancels() -> None:
    layer = nn.BatchNorm1d(1)
    steps = torch.arange(1000.0).reshape(-1, 1) + 2.0**23

    recalibrate(layer, steps.split(17))

    assert layer.running_mean.item() == 2.0**23 + 500  # 499.5, rounded to even
    assert layer.running_var.item() == pytest.approx(steps.double().var().item(), rel=1e-6)


def test_instance_norms_keep_averages_over_samples() -> None:
    layer = nn.InstanceNorm1d(3, track_running_stats=True)
    x = torch.randn(7, 3, 11, generator=torch.Generator().manual_seed(0))

    recalibrate(layer, [x[:5], x[5], x[6:]])  # a sample without its batch axis too

    torch.testing.assert_close(layer.running_mean, x.mean(2).mean(0))
    torch.testing.assert_close(layer.running_var, x.var(2).mean(0))


@pytest.mark.parametrize("sequential", [False, True])
@pytest.mark.parametrize(
    ("layer", "stated"),
    [
        (lambda: nn.BatchNorm1d(5), "[b...] c"),
        (lambda: nn.InstanceNorm1d(5, track_running_stats=True), "b c [s]"),
    ],
)
def test_norm_is_measured_as_the_layer_of_torch(layer: Any, stated: str, sequential: bool) -> None:
    theirs = layer()
    pattern = "[b] c [s]" if stated.startswith("[") else stated
    ours = Norm(pattern, c=5, running=Running(0.9, ddof=1))
    data = [x * 3 + 1e3 for x in torch.randn(9, 5, 6).split((5, 1, 3))]

    recalibrate(theirs, data, sequential=sequential)
    told = recalibrate(ours, data, sequential=sequential)

    torch.testing.assert_close(ours.running_mean, theirs.running_mean)
    torch.testing.assert_close(ours.running_var, theirs.running_var)
    assert told.layers[0].values == (54 if "[b]" in pattern else 9)


def test_norm_remembers_what_its_spec_says() -> None:
    running = Running(0.9, plus_eps=True, deviation=True)
    norm = Norm("[b] c", c=2, eps=0.5, running=running)
    x = torch.randn(20, 2)
    told = recalibrate(norm, [x])
    torch.testing.assert_close(norm.running_var, (x.var(0, correction=0) + 0.5).sqrt())
    assert told.layers[0].values == 20

    mean_alone = Norm("[b] c", c=2, measure="none", running=running)
    recalibrate(mean_alone, [x])
    torch.testing.assert_close(mean_alone.running_mean, x.mean(0))
    assert mean_alone.running_var is None


@pytest.mark.parametrize("pattern", ["[b] c [s]", "b c [s]"])
def test_what_a_mask_leaves_out_is_not_measured(pattern: str) -> None:
    norm = Norm(pattern, c=3, running=Running(0.9))
    norm.running_mean += 7
    x, mask = torch.randn(2, 4, 3, 6), torch.rand(2, 4, 1, 6) < 0.5
    mask = mask.expand(x.shape).clone()
    mask[:, :, 2], mask[0, 1] = False, False
    pollution = torch.where(mask, x, torch.nan)

    recalibrate(
        norm,
        list(zip(pollution, mask, strict=True)),
        forward=lambda model, batch: model(batch[0], mask=batch[1]),
    )

    wide = pollution.flatten(0, 1).double()
    if pattern.startswith("b"):
        expected = wide.nanmean(2).nanmean(0)
    else:
        expected = wide.transpose(0, 1).flatten(1).nanmean(1)
    torch.testing.assert_close(norm.running_mean[:2], expected[:2].float())
    assert norm.running_mean[2] == 7  # no value of this channel was counted
    assert norm.running_var[2] == 1


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16])
def test_other_devices_measure_the_same(dtype: torch.dtype, masked: bool) -> None:
    """What runs there, run here."""
    x = (torch.randn(4, 3, 5, 6) * 2 + 50).to(dtype)
    mask = torch.rand(4, 1, 5, 6) < 0.5 if masked else None
    counted = None if mask is None else mask.expand(x.shape)
    for axes in ([0, 2, 3], [1], [2, 3]):
        kernels = exact_statistics.measured(x, axes, mask)
        torch.testing.assert_close(
            kernels, exact_statistics._by_torch(x, axes, counted), rtol=1e-5, atol=1e-8
        )


def test_a_residual_is_measured_with_its_input() -> None:
    norm = Norm("[b] c", c=2, running=Running(0.9))
    x, other = torch.randn(2, 10, 2)
    recalibrate(norm, [(x, other)], forward=lambda m, batch: m(batch[0], residual=batch[1]))
    torch.testing.assert_close(norm.running_mean, (x + other).mean(0))


def test_frozen_layers_are_measured_only_by_name() -> None:
    model = nn.Sequential(Norm("[b] c", c=2, running=Running(0.9), frozen=True), nn.Linear(2, 2))
    data = [torch.randn(6, 2)]
    with pytest.raises(SpecError, match="all of its layers with running statistics are frozen"):
        recalibrate(model, data)

    recalibrate(model, data, layers=["0"])

    torch.testing.assert_close(model[0].running_mean, data[0].mean(0))
    assert model[0].frozen


def test_a_layer_without_a_shape_yet_is_refused() -> None:
    for layer in (Norm("[b] c", running=Running(0.9)), nn.LazyBatchNorm1d()):
        with pytest.raises(SpecError, match="has not seen an input yet"):
            recalibrate(layer, [torch.ones(2, 2)])


def test_batches_come_in_many_forms() -> None:
    x = torch.tensor([[1.0], [3.0]])
    for batch in (x, (x, "labels"), [x], {"input": x}, ({"input": x}, "labels")):
        layer = nn.BatchNorm1d(1)
        recalibrate(layer, [batch])
        assert layer.running_mean == 2
    with pytest.raises(SpecError, match=r"mapping of input, labels, .*forward=lambda model, batch"):
        recalibrate(layer, [{"input": x, "labels": x}])
    layer = nn.BatchNorm1d(1)
    recalibrate(layer, iter([{"pixels": x}]), forward=lambda model, batch: model(batch["pixels"]))
    assert layer.running_mean == 2


def test_only_the_layers_that_are_named_are_measured() -> None:
    model, data = network(), batches(6)
    model.bn1.running_mean += 5

    recalibrate(model, data, layers=["bn2"])

    assert torch.equal(model.bn1.running_mean, torch.full((6,), 5.0))
    model.eval()
    with torch.no_grad():
        assert_holds(model.bn2, model.before2(data[0]))  # behind the running statistics of bn1
    with pytest.raises(SpecError, match="no layer with running statistics; did you mean bn2"):
        recalibrate(model, data, layers=["bn3"])


def test_what_no_batch_reaches_is_said() -> None:
    model = nn.ModuleDict({"used": nn.BatchNorm1d(1), "spare": nn.BatchNorm1d(1)})
    model.forward = model["used"].forward  # its hooks are not called so
    x = torch.ones(3, 1)
    with pytest.raises(SpecError, match=r"no batch has reached .*\(used, spare\)"):
        recalibrate(model, [x])

    for sequential in (False, True):
        found = recalibrate(model, [x], forward=lambda m, x: m["used"](x), sequential=sequential)
        assert found.unreached == ("spare",)
        assert "spare: reached by no batch, left as it was" in str(found)


def test_what_it_cannot_do_is_refused() -> None:
    layer, x = nn.BatchNorm1d(1), torch.ones(3, 1)
    with pytest.raises(SpecError, match="the loader gave no batch"):
        recalibrate(layer, [])
    with pytest.raises(SpecError, match="LayerNorm has no running statistics"):
        recalibrate(nn.LayerNorm(1), [x])
    with pytest.raises(SpecError, match="gives its batches once"):
        recalibrate(layer, iter([x]), sequential=True)
    with pytest.raises(SpecError, match="a batch is a str"):
        recalibrate(layer, ["x"])
    with pytest.raises(ShapeError, match=r"measured on 1 value, .* needs at least 2"):
        recalibrate(nn.BatchNorm2d(1), [torch.ones(1, 1, 1, 1)], sequential=True)
    with pytest.raises(SpecError, match="init_process_group was not called"):
        recalibrate(layer, [x], synchronized=True)


def test_sequentially_each_layer_needs_one_place() -> None:
    x = torch.ones(3, 1)
    shared = nn.BatchNorm1d(1)
    with pytest.raises(SpecError, match="0 is called twice"):
        recalibrate(nn.Sequential(shared, shared, nn.BatchNorm1d(1)), [x], sequential=True)

    two = nn.ModuleList([nn.BatchNorm1d(1), nn.BatchNorm1d(1)])
    ways: Iterator[int] = iter([0, 1])
    with pytest.raises(SpecError, match="some batches come to 0 first, others to 1"):
        recalibrate(two, [x, x], forward=lambda m, x: m[next(ways)](x), sequential=True)


def test_a_compiled_model_is_measured_as_it_is_written() -> None:
    model, data = network(), batches(4, 4)
    found = recalibrate(torch.compile(model, backend="eager"), data)
    assert len(found.layers) == 2
    with torch.no_grad():
        assert_holds(model.bn1, model.conv1(torch.cat(data)))


def test_processes_have_the_statistics_of_all(tmp_path: Path) -> None:
    """Two processes, the data of one is empty in one of the cases: see the file."""
    script = Path(__file__).with_name("recalibrating_processes.py")
    run = [sys.executable, str(script), str(tmp_path / "meet")]
    processes = [
        subprocess.Popen([*run, rank], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for rank in "01"
    ]
    for process in processes:
        said, error = process.communicate(timeout=120)
        assert process.returncode == 0, error
        assert said.split() == ["equal"] * 4 + ["divided"] * 2


def test_a_second_look_says_how_exact_it_is() -> None:
    model = network()
    model.append = nn.BatchNorm2d(4)  # reached by no batch
    data = batches(4, 7, 2)
    once = recalibrate(model, data, verify=True).verified
    exactly = recalibrate(model, data, sequential=True, verify=True).verified
    left = [[float(n) for n in re.findall(r"within (\S+)", told[0])] for told in (once, exactly)]
    assert min(left[0]) > 1e-4
    assert max(left[1]) < 1e-5
    assert exactly[1:] == (
        "identify finds that 2 layers of torch normalize by what is stored, at inference",
        "by scope, samples meet in training, and are independent in inference",
    )
    norm = Norm("[b] c", c=3, running=Running(0.9))
    told = recalibrate(norm, [torch.randn(8, 3)], forward=lambda m, x: m(x), verify=True)
    assert told.verified[1:] == ("identify finds the specs of 1 layer",)


def test_what_was_done_is_told() -> None:
    layer = nn.BatchNorm1d(1, eps=1e-9)
    layer.running_var.fill_(4)
    found: Recalibration = recalibrate(nn.Sequential(layer), [torch.tensor([[0.0], [2.0]])])
    assert str(found) == (
        "recalibrated 1 layer on 1 batch\n  0: measured on 2 values; the mean moved by up to 1 "
        "standard deviations, the variance by a factor of up to 0.5"
    )


@pytest.mark.parametrize("error", [KeyboardInterrupt, RuntimeError])
@pytest.mark.parametrize("sequential", [False, True])
def test_after_an_interruption_all_is_as_it_was(error: Any, sequential: bool) -> None:
    class Interrupted:
        def __iter__(self) -> Iterator[torch.Tensor]:
            yield from data
            raise error

    model, data = network(), batches(4, 4)
    model.bn1.eval()
    model.conv1.requires_grad_(False)

    def everything() -> list[Any]:
        return [
            copy.deepcopy(model.state_dict()),
            [module.training for module in model.modules()],
            [one.requires_grad for one in model.parameters()],
            [len(module._forward_pre_hooks) for module in model.modules()],
            torch.get_rng_state(),
        ]

    before = everything()
    with pytest.raises(error):
        recalibrate(model, Interrupted(), sequential=sequential)
    torch.testing.assert_close(everything(), before, rtol=0, atol=0)
    recalibrate(model, data, sequential=sequential)
    torch.testing.assert_close(everything()[1:], before[1:], rtol=0, atol=0)


def test_a_length_that_nobody_knows_is_not_told() -> None:
    told: list[tuple[str, int, int]] = []
    for loader in (batches(4, 4), iter(batches(4, 4))):
        layers = layers_with_memory(network())
        passes = MeasuringPasses(layers, lambda *_: None, None)
        passes.joint(network(), loader, lambda *now: told.append(now))
    assert told == [("measuring", n, steps) for steps in (2, 0) for n in (1, 2)]

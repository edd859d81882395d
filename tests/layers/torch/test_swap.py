"""`swap` and `unswap`: the same numbers, tensors and hooks; the report, and what is verified."""

from __future__ import annotations

import copy
import io
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from normscope import SpecError
from normscope.layers.torch import Norm, recalibrate, swap, unswap
from normscope.layers.torch.found import layers_of
from normscope.layers.torch.swap import carried_out
from normscope.layers.torch.verification import checked_layers

IMAGES, VECTORS, TOKENS = (4, 6, 5, 3), (8, 6), (4, 5, 6)
LAYERS: dict[str, tuple[Callable[[], Any], tuple[int, ...]]] = {
    "batch 1d": (lambda: nn.BatchNorm1d(6, momentum=0.25), VECTORS),
    "batch 2d": (lambda: nn.BatchNorm2d(6, eps=1e-3), IMAGES),
    "batch 2d, no bias": (lambda: nn.BatchNorm2d(6, bias=False), IMAGES),
    "batch 2d, plain, no memory": (
        lambda: nn.BatchNorm2d(6, affine=False, track_running_stats=False),
        IMAGES,
    ),
    "batch 3d": (lambda: nn.BatchNorm3d(6), (*IMAGES, 2)),
    "batch, momentum 0": (lambda: nn.BatchNorm2d(6, momentum=0.0), IMAGES),
    "synchronized": (lambda: nn.SyncBatchNorm(6), IMAGES),
    "instance": (lambda: nn.InstanceNorm2d(6), IMAGES),
    "instance, another number": (lambda: nn.InstanceNorm2d(0), IMAGES),
    "instance, learned": (lambda: nn.InstanceNorm1d(6, affine=True), (4, 6, 5)),
    "layer": (lambda: nn.LayerNorm(6), TOKENS),
    "layer, two axes, no bias": (lambda: nn.LayerNorm([5, 6], bias=False), TOKENS),
    "layer, plain": (lambda: nn.LayerNorm(6, elementwise_affine=False), TOKENS),
    "group": (lambda: nn.GroupNorm(3, 6), IMAGES),
    "rms": (lambda: nn.RMSNorm(6), TOKENS),
    "rms, eps": (lambda: nn.RMSNorm(6, eps=1e-3), TOKENS),
}
INSTANCE_MEMORY: tuple[Callable[[], Any], tuple[int, ...]] = (
    lambda: nn.InstanceNorm2d(6, affine=True, track_running_stats=True),
    IMAGES,
)


def randomized(layer: nn.Module) -> nn.Module:
    """Parameters that are not neutral."""
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter.copy_(torch.rand(parameter.shape, generator=generator) + 0.5)
    return layer


def steps(model: nn.Module, shape: tuple[int, ...]) -> Iterator[Tensor]:
    """Outputs and gradients of some training steps, and the output of inference."""
    generator = torch.Generator().manual_seed(1)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1) if list(model.parameters()) else None
    model.train()
    for _ in range(3):
        x = torch.randn(shape, generator=generator).mul(3).add(1).requires_grad_()
        y = model(x)
        y.square().mul(torch.linspace(0, 1, y.numel()).view_as(y)).mean().backward()
        yield from (y.detach(), x.grad)  # type: ignore[misc]
        if optimizer is not None:
            optimizer.step()
    model.eval()
    yield model(torch.randn(shape, generator=generator)).detach()


@pytest.mark.filterwarnings("ignore:input's size at dim=1 does not match num_features")
@pytest.mark.parametrize(
    ("make", "shape"), [*LAYERS.values(), INSTANCE_MEMORY], ids=[*LAYERS, "instance, memory"]
)
def test_same_numbers_before_and_after(make: Callable[[], Any], shape: tuple[int, ...]) -> None:
    torch_model = nn.Sequential(randomized(make()))
    ours = copy.deepcopy(torch_model)
    assert len(swap(ours).changed) == 1
    assert isinstance(ours[0], Norm)
    for theirs, own in zip(steps(torch_model, shape), steps(ours, shape), strict=True):
        torch.testing.assert_close(own, theirs, rtol=2e-5, atol=2e-6)
    assert list(ours.state_dict()) == list(torch_model.state_dict())
    unswap(ours)
    assert type(ours[0]) is type(torch_model[0])
    assert ours[0].extra_repr() == torch_model[0].extra_repr()
    states = dict(ours.state_dict()), dict(torch_model.state_dict())
    if isinstance(torch_model[0], nn.InstanceNorm2d):
        for state in states:  # torch's instance norms do not count
            state.pop("0.num_batches_tracked", None)
    torch.testing.assert_close(*states, rtol=2e-5, atol=2e-6)


@pytest.mark.parametrize(("make", "shape"), LAYERS.values(), ids=LAYERS)
def test_the_same_tensors(make: Callable[[], Any], shape: tuple[int, ...]) -> None:
    model = nn.ModuleDict({"norm": make()})
    before = model.state_dict(keep_vars=True)
    for change in (swap, unswap):
        change(model)
        after = model.state_dict(keep_vars=True)
        assert list(after) == list(before)
        assert all(after[name] is before[name] for name in before)


class Block(nn.Module):
    """Layers that are held twice, and weights that are tied."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.LayerNorm(6), nn.LayerNorm(6)
        self.again = self.first
        self.inner = nn.Sequential(nn.Linear(6, 6), self.first)
        self.second.weight = self.first.weight

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.second(self.again(self.inner(self.first(x))))
        return y


def test_shared_layers_and_tied_weights_stay_shared_and_tied() -> None:
    model, x = Block(), torch.randn(TOKENS)
    y = model(x)
    changes = swap(model)
    assert changes.changed[0].paths == ("first", "again", "inner.1")
    assert "first = again = inner.1" in str(changes)
    assert model.first is model.again is model.inner[1]
    assert model.first.weight is model.second.weight
    torch.testing.assert_close(model(x), y)
    unswap(model)
    assert model.first is model.again is model.inner[1]
    assert type(model.first) is nn.LayerNorm
    torch.testing.assert_close(model(x), y)


def test_hooks_are_taken_along_and_their_handles_remove_them() -> None:
    layer = nn.BatchNorm2d(6)
    model, heard = nn.Sequential(layer), []
    handles = [
        layer.register_forward_pre_hook(lambda *_: heard.append("before")),
        layer.register_forward_hook(lambda *_: heard.append("after")),
        layer.register_forward_hook(
            lambda m, a, k, y: heard.append("with names"), with_kwargs=True, always_call=True
        ),
        layer.register_full_backward_hook(lambda *_: heard.append("backward")),
        layer.register_state_dict_pre_hook(lambda *_: heard.append("saving")),
        layer.register_load_state_dict_pre_hook(lambda m, *_: heard.append(type(m).__name__)),
        layer.register_load_state_dict_post_hook(lambda *_: heard.append("loaded")),
    ]
    said = ["before", "after", "with names", "backward", "saving", "Norm", "loaded"]
    del layer
    for change, name in ((swap, "Norm"), (unswap, "BatchNorm2d")):
        heard.clear()
        change(model)
        model(torch.randn(IMAGES, requires_grad=True)).sum().backward()
        model.load_state_dict(model.state_dict())
        assert heard == [name if word == "Norm" else word for word in said]
    swap(model)
    for handle in handles:
        handle.remove()
    heard.clear()
    model(torch.randn(IMAGES, requires_grad=True)).sum().backward()
    model.load_state_dict(model.state_dict())
    assert heard == []


def test_mode_settings_and_own_attributes_are_kept() -> None:
    model = nn.Sequential(nn.BatchNorm2d(6, eps=1e-3), nn.GroupNorm(2, 6))
    model[0].eval()
    model[0].weight.requires_grad_(False)
    model[0].name = "stem"
    swap(model)
    assert [layer.training for layer in model] == [False, True]
    assert (model[0].eps, model[0].num_features, model[0].name) == (1e-3, 6, "stem")
    assert not model[0].weight.requires_grad
    assert model[0].synchronized is None
    unswap(model)
    assert (model[0].training, model[0].name, model[1].num_groups) == (False, "stem", 2)


def test_the_synchronized_one_stays_synchronized() -> None:
    model = swap(nn.Sequential(nn.SyncBatchNorm(6)), verify=True).model
    assert model[0].synchronized is True
    assert type(unswap(model).model[0]) is nn.SyncBatchNorm


def test_a_model_that_is_a_layer() -> None:
    layer = nn.LayerNorm(6)
    changes = swap(layer)
    assert isinstance(changes.model, Norm)
    assert "the model itself: torch.nn.LayerNorm" in str(changes)
    assert type(unswap(changes.model).model) is nn.LayerNorm


@pytest.mark.parametrize("how", ["deepcopy", "saved"])
def test_a_copy_is_swapped_back(how: str) -> None:
    model = nn.Sequential(nn.Linear(6, 6), nn.LayerNorm(6, eps=1e-3), nn.BatchNorm1d(6))
    swap(model)
    if how == "deepcopy":
        copied = copy.deepcopy(model)
    else:
        file = io.BytesIO()
        torch.save(model, file)
        file.seek(0)
        copied = torch.load(file, weights_only=False)
    unswap(copied)
    assert isinstance(model[1], Norm)
    assert str(copied[1:]) == str(unswap(model).model[1:])


def test_a_float64_model_moves_as_a_whole() -> None:
    model = nn.Sequential(nn.BatchNorm1d(6), nn.LayerNorm(6))
    swap(model)
    model.double()(torch.randn(VECTORS, dtype=torch.float64))
    unswap(model)
    assert {t.dtype for t in model.state_dict().values()} == {torch.float64, torch.int64}
    assert model(torch.randn(VECTORS, dtype=torch.float64)).dtype is torch.float64


@torch.no_grad()
def test_the_fast_way_of_transformers_finds_what_it_asks_for() -> None:
    layer = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True, dropout=0.0)
    model = nn.TransformerEncoder(layer, 2, norm=nn.LayerNorm(8)).eval()
    x = torch.randn(2, 5, 8)
    y = model(x)
    assert len(swap(model).changed) == 5
    torch.testing.assert_close(model(x), y)


def test_a_traced_graph_module() -> None:
    model = torch.fx.symbolic_trace(nn.Sequential(nn.Linear(6, 6), nn.LayerNorm(6)))
    x = torch.randn(VECTORS)
    y = model(x)
    assert len(swap(model).changed) == 1
    torch.testing.assert_close(model(x), y)


def test_frozen_statistics_that_no_batch_enters() -> None:
    model = nn.Sequential(nn.BatchNorm2d(6))
    model[0].running_mean += 1
    model[0].track_running_stats = False
    ours = copy.deepcopy(model)
    [change] = swap(ours).changed
    assert "num_batches_tracked counts now" in change.notes[0]
    for theirs, own in zip(steps(model, IMAGES), steps(ours, IMAGES), strict=True):
        torch.testing.assert_close(own, theirs, rtol=2e-5, atol=2e-6)
    torch.testing.assert_close(ours[0].running_mean, model[0].running_mean)


@pytest.mark.parametrize("affine", [False, True])
@pytest.mark.parametrize("memory", [False, True])
@pytest.mark.parametrize(
    ("make", "shape"),
    [
        (nn.InstanceNorm1d, (2, 6, 7)),
        (nn.InstanceNorm2d, (2, 6, 5, 3)),
        (nn.InstanceNorm3d, (2, 6, 5, 3, 2)),
    ],
)
def test_one_sample_without_its_batch_axis(
    make: Any, shape: tuple[int, ...], affine: bool, memory: bool
) -> None:
    theirs = nn.Sequential(make(6, affine=affine, track_running_stats=memory, momentum=0.3))
    ours = swap(copy.deepcopy(theirs)).model
    for one in (shape, shape[1:], shape):
        for theirs_y, own in zip(steps(theirs, one), steps(ours, one), strict=True):
            torch.testing.assert_close(own, theirs_y, rtol=2e-5, atol=2e-6)
    for wrong in (shape[2:], (1, *shape)):
        with pytest.raises(ValueError, match=f"{len(shape)} axes"):
            ours(torch.randn(wrong))
    if memory:
        recalibrate(ours, [torch.randn(shape[1:]), torch.randn(shape)])
    assert type(unswap(ours).model[0]) is make


def test_one_sample_with_all_that_a_norm_takes() -> None:
    layer = Norm("b c [t]", unbatched=True)
    x, residual = torch.randn(2, 4, 6, 7)
    mask = torch.rand(6, 7) < 0.7
    together = layer(x, mask=mask, residual=residual, negative_slope=0.1)
    alone = [
        layer(x[i], mask=mask, residual=residual[i], negative_slope=0.1, inplace=True)
        for i in range(4)
    ]
    torch.testing.assert_close(torch.stack(alone), together)
    compiled = torch.compile(layer, backend="eager", fullgraph=True)
    torch.testing.assert_close(compiled(x[0]), layer(x)[0])
    assert "unbatched=True" in repr(layer)
    with pytest.raises(SpecError, match="takes several numbers: write each axis"):
        Norm("b c [s...]", unbatched=True)


def test_a_dry_run_prints_and_changes_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    model = nn.Sequential(nn.BatchNorm2d(6), nn.BatchNorm2d(6, momentum=None))
    layers, state = list(model), copy.deepcopy(model.state_dict())
    changes = swap(model, inputs=torch.randn(IMAGES), dry_run=True)
    assert capsys.readouterr().out == f"{changes}\n"
    assert "1 of 2 normalization layers would be swapped (a dry run" in str(changes)
    assert all(one is other for one, other in zip(model, layers, strict=True))
    torch.testing.assert_close(model.state_dict(), state, rtol=0, atol=0)


def test_many_layers_alike_are_one_line() -> None:
    changes = swap(nn.Sequential(*(nn.LayerNorm(6) for _ in range(9))))
    assert "  0, 1, 2 and 6 more: torch.nn.LayerNorm -> " in str(changes)


class Partly(nn.Sequential):
    def train(self, mode: bool = True) -> Any:
        super().train(mode)
        for module in self.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.eval()
        return self


def test_a_model_that_freezes_layers_by_their_class_is_named() -> None:
    model = nn.Sequential(nn.LayerNorm(6), Partly(nn.BatchNorm2d(6)))
    assert "1 has a train() of its own: where that looks for torch's classes" in str(swap(model))
    assert "train()" not in str(swap(Partly(nn.LayerNorm(6))))


# --- verified -----------------------------------------------------------------------------------


def test_verified_by_identify_and_scope() -> None:
    model = nn.Sequential(nn.BatchNorm2d(6), nn.GroupNorm(3, 6), nn.GroupNorm(3, 6))
    *lines, last = swap(model, inputs=torch.randn(IMAGES), verify=True).verified
    assert lines == ["identify finds the specs of 3 layers, asked of one layer for each of 2"]
    assert last.startswith("by scope, before: samples meet in training, and are independent in")


class Wrong(Norm):
    def forward(self, x: Tensor, **named: Any) -> Tensor:
        return x - x.mean(0)


def test_a_wrong_layer_is_found_out() -> None:
    with pytest.raises(SpecError, match=r"does not compute its spec: .*nothing was changed"):
        checked_layers([Wrong("b [c]")])


def test_other_samples_seen_put_everything_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("normscope.layers.torch.verification.checked_layers", lambda _: [])
    model = nn.Sequential(nn.LayerNorm(6))
    layer = model[0]
    changes = swap(nn.Sequential(nn.LayerNorm(6)))
    with pytest.raises(SpecError, match=r"samples meet in training.*everything was put back"):
        carried_out(
            type(changes)("swapped", model, ()),
            {layer: Wrong("b [c]")},
            verify=True,
            inputs=torch.randn(VECTORS),
            same_scope=True,
        )
    assert model[0] is layer


def test_layers_of_ours_that_swap_did_not_put_there_are_left() -> None:
    model = nn.Sequential(Norm("b [c]"), nn.LayerNorm(6))
    assert len(layers_of(model)) == 1
    swap(model)
    model[1].frozen = True
    changes = unswap(model)
    assert "swap did not put it there" in str(changes)
    assert "frozen=True is lost" in str(changes)
    assert isinstance(model[0], Norm)


@pytest.mark.parametrize("change", [swap, unswap])
def test_no_module(change: Callable[[Any], Any]) -> None:
    with pytest.raises(SpecError, match=r"of a torch\.nn\.Module, and this is of the class int"):
        change(3)

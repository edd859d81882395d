"""Layers that hold what follows their normalization, as the BatchNormAct2d of timm."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from normscope.layers.torch import Norm, recalibrate, replace, swap, unswap
from normscope.layers.torch.norm_then import NormThen

IMAGES = (4, 6, 5, 3)


class BatchNormAct2d(nn.BatchNorm2d):
    """As libraries of vision write it."""

    def __init__(self, size: int, drop: nn.Module | None = None, act: nn.Module | None = None):
        super().__init__(size)
        self.drop = drop or nn.Identity()
        self.act = act or nn.ReLU(inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        if self.training and self.track_running_stats:
            self.num_batches_tracked.add_(1)
        y = functional.batch_norm(
            x,
            self.running_mean,
            self.running_var,
            self.weight,
            self.bias,
            self.training,
            self.momentum,
            self.eps,
        )
        return self.act(self.drop(y))


class GroupNormAct(nn.GroupNorm):
    def __init__(self) -> None:
        super().__init__(3, 6)
        self.act, self.drop = nn.PReLU(6), nn.Dropout(0.5)  # in another order than they are called

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.act(self.drop(super().forward(x)))
        return y


def network() -> nn.Sequential:
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Conv2d(3, 6, 3, padding=1),
        BatchNormAct2d(6),
        nn.Conv2d(6, 6, 1),
        BatchNormAct2d(6, nn.Dropout2d(0.3), nn.PReLU(6)),
        GroupNormAct(),
    )
    model[3].drop.eval()  # a mode of its own
    return model


def trained(model: nn.Module) -> list[Tensor]:
    """What some steps with dropping give, and inference after them."""
    torch.manual_seed(1)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    found = []
    for _ in range(3):
        y = model(torch.randn(4, 3, 5, 4))
        y.square().mean().backward()
        optimizer.step()
        found.append(y.detach())
    training = [module.training for module in model.modules()]
    model.eval()
    found.append(model(torch.randn(4, 3, 5, 4)).detach())
    for module, mode in zip(model.modules(), training, strict=True):
        module.training = mode
    return found


def test_only_the_normalization_is_swapped() -> None:
    theirs, x = network(), torch.randn(4, 3, 5, 4)
    ours, heard = copy.deepcopy(theirs), []
    keys, names = list(ours.state_dict()), [name for name, _ in ours.named_modules()]
    act, modes = ours[3].act, [module.training for module in ours.modules()]
    act.register_forward_hook(lambda *_: heard.append("act"))
    ours[3].register_forward_hook(lambda *_: heard.append("layer"))

    text = str(swap(ours, inputs=x))

    assert "3 of 3 normalization layers swapped" in text
    assert "drop and act follow as before" in text
    assert isinstance(ours[3], NormThen)
    assert ours[3].act is act
    assert (list(ours.state_dict()), [name for name, _ in ours.named_modules()]) == (keys, names)
    assert [module.training for module in ours.modules()] == modes
    for own, other in zip(trained(copy.deepcopy(ours)), trained(theirs), strict=True):
        torch.testing.assert_close(own, other, rtol=2e-5, atol=2e-6)
    heard.clear()
    ours(x)
    assert heard == ["act", "layer"]
    compiled = torch.compile(copy.deepcopy(ours).eval(), backend="eager", fullgraph=True)
    torch.testing.assert_close(compiled(x), copy.deepcopy(ours).eval()(x))

    unswap(ours)
    assert [type(module) for module in ours] == [type(module) for module in theirs]
    assert ours[3].act is act
    assert list(ours.state_dict()) == keys
    assert [module.training for module in ours.modules()] == modes


def test_a_layer_inside_what_follows_is_swapped_too() -> None:
    model = nn.Sequential(BatchNormAct2d(6, act=nn.Sequential(nn.GroupNorm(2, 6), nn.ReLU())))
    x, kind = torch.randn(IMAGES), type(model[0])
    y = copy.deepcopy(model)(x)
    assert len(swap(model, inputs=x).changed) == 2
    assert type(model[0].act[0]).__name__ == "Norm"
    torch.testing.assert_close(model(x), y)
    unswap(model)
    assert (type(model[0]), type(model[0].act[0])) == (kind, nn.GroupNorm)


class Before(BatchNormAct2d):
    def forward(self, x: Tensor) -> Tensor:
        return super().forward(self.drop(x))


class Around(BatchNormAct2d):
    def forward(self, x: Tensor) -> Tensor:
        return x + super().forward(x)


class First(BatchNormAct2d):
    def forward(self, x: Tensor) -> Tensor:
        y = nn.BatchNorm2d.forward(self, self.act(x.clone()))
        return self.drop(y)


@pytest.mark.parametrize(
    ("layer", "said"),
    [
        (Before(6), "does not call each of its modules once: drop and act"),
        (Around(6), "it is not "),
        (First(6), "followed by act and drop"),
    ],
)
def test_modules_that_do_not_follow_the_normalization(layer: Any, said: str) -> None:
    model = nn.Sequential(layer)
    [left] = swap(model, inputs=torch.randn(IMAGES)).left
    assert model[0] is layer
    assert said in left.notes[0]
    [left] = swap(model).left
    assert "give inputs=" in left.notes[0]


def test_what_follows_is_in_inference_while_recalibrating() -> None:
    theirs = nn.Sequential(BatchNormAct2d(6, nn.Dropout(0.9)), nn.BatchNorm2d(6))
    x, ours = torch.randn(IMAGES), copy.deepcopy(theirs)
    ours[0] = NormThen(Norm("torch.BatchNorm2d(6)").spec, ("drop", "act"))
    ours[0].drop, ours[0].act = theirs[0].drop, theirs[0].act
    expected = functional.batch_norm(x, None, None, training=True).relu().mean((0, 2, 3))
    for one in (theirs, ours):
        told = recalibrate(one, [x], verify=True, forward=lambda m, x: m(x))
        assert "identify finds" in told.verified[1]
        torch.testing.assert_close(one[1].running_mean, expected)


def test_batch_norm_is_left_behind_and_what_follows_is_not() -> None:
    layer, x = network()[3], torch.randn(IMAGES)
    model = nn.Sequential(layer).eval()
    text = str(replace(model, "group", groups=3, inputs=x))
    assert "0: tests.layers.BatchNormAct2d -> 3 groups of 2 channels" in text
    expected = layer.act(functional.group_norm(x, 3, layer.weight, layer.bias, layer.eps))
    torch.testing.assert_close(model(x), expected, rtol=2e-5, atol=2e-6)
    assert "give inputs=" in str(replace(network(), "group"))

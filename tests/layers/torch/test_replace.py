"""`replace`: groups that divide, what is kept, what is lost, and samples that stay apart."""

from __future__ import annotations

import copy
from collections.abc import Callable
from math import gcd
from typing import Any

import pytest
import torch
from torch import nn

from normscope import Running, SpecError
from normscope.layers.torch import Norm, replace, swap
from normscope.layers.torch.replace import number_of_groups

IMAGES = (4, 12, 5, 3)


@pytest.mark.parametrize("most", [1, 2, 5, 32])
def test_groups_divide_and_hold_two_channels_at_least(most: int) -> None:
    for channels in range(1, 200):
        groups = number_of_groups(channels, most)
        assert channels % groups == 0
        assert groups <= most
        assert channels == 1 or channels // groups >= 2
        better = [n for n in range(groups + 1, most + 1) if channels % n == 0]
        assert all(channels // n < 2 for n in better)
        assert groups >= min(gcd(channels, most), max(1, channels // 2)) or channels % most == 0


BATCH: dict[str, tuple[Callable[[], Any], tuple[int, ...]]] = {
    "vectors": (lambda: nn.BatchNorm1d(12), (4, 12)),
    "1d": (lambda: nn.BatchNorm1d(12), (4, 12, 5)),
    "2d": (lambda: nn.BatchNorm2d(12, eps=1e-3), IMAGES),
    "3d": (lambda: nn.BatchNorm3d(12, affine=False), (*IMAGES, 2)),
    "synchronized": (lambda: nn.SyncBatchNorm(12), IMAGES),
    "no memory": (lambda: nn.BatchNorm2d(12, track_running_stats=False), IMAGES),
    "cumulative average": (lambda: nn.BatchNorm2d(12, momentum=None), IMAGES),
    "no bias": (lambda: nn.BatchNorm2d(12, bias=False), IMAGES),
    "ours": (lambda: Norm("[b] c [...]", c=12, scale="c", bias="c", running=Running(0.9)), IMAGES),
}


@pytest.mark.parametrize(("make", "shape"), BATCH.values(), ids=BATCH)
def test_the_same_formula_over_groups(make: Callable[[], Any], shape: tuple[int, ...]) -> None:
    layer = make()
    model = nn.Sequential(layer)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_(torch.rand(12) + 0.5)
    replace(model, "group", groups=4)
    eps = layer.spec.eps if isinstance(layer, Norm) else layer.eps
    x = torch.randn(shape)
    wanted = nn.functional.group_norm(x, 4, layer.weight, layer.bias, eps)
    for training in (True, False):
        torch.testing.assert_close(model.train(training)(x), wanted)
    kept = dict(model.named_parameters(recurse=True))
    assert all(kept[f"0.{name}"] is value for name, value in layer.named_parameters())
    assert list(model.state_dict()) == [f"0.{name}" for name, _ in layer.named_parameters()]


def test_hooks_and_mode_are_kept() -> None:
    model, heard = nn.Sequential(nn.BatchNorm2d(12)).eval(), []
    handle = model[0].register_forward_hook(lambda *_: heard.append(1))
    replace(model, "group")
    model(torch.randn(IMAGES))
    handle.remove()
    model(torch.randn(IMAGES))
    assert heard == [1]
    assert not model[0].training


def network() -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(3, 48, 1), nn.BatchNorm2d(48), nn.LayerNorm([5, 3]), nn.BatchNorm2d(48)
    )


def test_the_report_says_what_is_lost() -> None:
    text = str(replace(network(), "group", groups=9))
    assert "2 of 2 layers of batch normalization replaced" in text
    assert "  1 and 3: torch.nn.BatchNorm2d -> 8 groups of 6 channels" in text
    assert "48 channels cannot be divided into 9 groups" in text
    assert "lost: the running statistics, 194 numbers" in text


def test_nothing_is_lost_where_there_is_nothing() -> None:
    assert not replace(nn.Sequential(nn.Linear(2, 2)), "group").remarks
    assert len(replace(nn.Sequential(nn.BatchNorm1d(4, affine=False)), "group").remarks) == 1


def test_a_dry_run_prints_and_changes_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    model = network()
    text = str(model)
    changes = replace(model, "group", dry_run=True)
    assert capsys.readouterr().out == f"{changes}\n"
    assert "would be replaced" in str(changes)
    assert str(model) == text


@pytest.mark.parametrize("swapped", [False, True], ids=["torch", "ours"])
def test_verified(swapped: bool) -> None:
    model = network()
    if swapped:
        swap(model)
    layers, scopes = replace(model, "group", inputs=torch.randn(4, 3, 5, 3), verify=True).verified
    assert layers.startswith("identify finds the specs of 2 layers")
    assert "before: samples meet in training" in scopes
    assert "after: samples are independent in training" in scopes


def test_gradients_of_single_samples() -> None:
    model = network()
    replace(model, "group")
    x = torch.randn(3, 3, 5, 3)
    whole = model(x).square().sum()
    each = sum(model(x[i : i + 1]).square().sum() for i in range(3))
    torch.testing.assert_close(each, whole)


def test_others_are_left() -> None:
    model = nn.Sequential(
        nn.LazyBatchNorm2d(),
        Norm("[b] c [h w]", running=Running(0.9)),
        Norm("b [c]"),
        nn.GroupNorm(2, 4),
    )
    layers = list(copy.copy(model))
    changes = replace(model, "group")
    assert [one.paths for one in changes.left] == [("0",), ("1",)]
    assert all("call " in one.notes[0] for one in changes.left)
    assert all(one is other for one, other in zip(model, layers, strict=True))


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"by": "layer"}, "one other normalization"),
        ({"groups": 0}, "at least 1"),
        ({"groups": 2.5}, "is an integer"),
        ({"model": 3}, "of the class int"),
    ],
)
def test_wrong_arguments(arguments: dict[str, Any], said: str) -> None:
    with pytest.raises(SpecError, match=said):
        replace(**{"model": network(), "by": "group", **arguments})

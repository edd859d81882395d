"""What an example tells `swap`: layers with a forward of their own, functional calls."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from normscope import SpecError
from normscope.layers.torch import Norm, swap, unswap

IMAGES, TOKENS = (4, 6, 5, 3), (4, 5, 6)


class ChannelsFirst(nn.LayerNorm):
    """As libraries of vision write it."""

    def forward(self, x: Tensor) -> Tensor:
        x = x.permute(0, 2, 3, 1)
        x = functional.layer_norm(x, self.normalized_shape, self.weight, self.bias, self.eps)
        return x.permute(0, 3, 1, 2)


class Rms(nn.Module):
    """As language models write it."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.rand(size) + 0.5)
        self.variance_epsilon = 1e-6

    def forward(self, x: Tensor) -> Tensor:
        wide = x.float()
        wide = wide * torch.rsqrt(wide.square().mean(-1, keepdim=True) + self.variance_epsilon)
        return self.weight * wide.to(x.dtype)


class Activated(nn.LayerNorm):
    """More than a normalization."""

    def forward(self, x: Tensor) -> Tensor:
        return functional.relu(super().forward(x))


class Windows(nn.Module):
    """On four positions it looks like one set."""

    def forward(self, x: Tensor) -> Tensor:
        parts = [x[:, i : i + 4] for i in range(0, x.shape[1], 4)]
        return torch.cat([functional.layer_norm(p, p.shape[1:]) for p in parts], 1)


def test_what_holds_for_a_small_input_alone_is_left() -> None:
    model = nn.Sequential(Windows())
    assert swap(copy.deepcopy(model), inputs=torch.randn(3, 4)).changed
    changes = swap(model, inputs=torch.randn(3, 8))
    assert not changes.changed


class Mixed(nn.Module):
    """Layers of several makers, and a functional call."""

    def __init__(self) -> None:
        super().__init__()
        self.vision, self.rms, self.active = ChannelsFirst(6), Rms(3), Activated(3)
        self.unused = ChannelsFirst(6)
        self.alias = nn.ModuleList([self.vision])

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.active(self.rms(self.alias[0](x)))
        return functional.group_norm(y, 2)


def test_layers_with_a_forward_of_their_own_are_asked() -> None:
    model, x = Mixed(), torch.randn(IMAGES)
    y = model(x)
    assert not swap(model, dry_run=True).changed
    changes = swap(model, inputs=x, verify=True)
    assert [one.paths for one in changes.changed] == [("vision", "alias.0"), ("rms",)]
    assert isinstance(model.rms, Norm)
    assert model.rms.spec.pattern == "b d1 d2 [d3]"
    assert model.vision.spec.pattern == "b [d1] d2 d3"
    torch.testing.assert_close(model(x), y)
    text = str(changes)
    assert "given bfloat16, it returned float32" in text
    assert "active: tests.layers.Activated: it has its own forward" in text
    assert "relu after the normalization" in text
    assert "unused: tests.layers.ChannelsFirst: it has its own forward, and is called never" in text
    assert "native_group_norm in the model itself" in text
    unswap(model)
    assert type(model.rms) is Rms
    torch.testing.assert_close(model(x), y)


class Straight(ChannelsFirst):
    """Lays out its output as its input."""

    def forward(self, x: Tensor) -> Tensor:
        return torch.empty_like(x).copy_(super().forward(x))


def test_the_output_stays_in_its_memory_format() -> None:
    model, x = nn.Sequential(ChannelsFirst(6), Straight(6)), torch.randn(IMAGES)
    formats = torch.contiguous_format, torch.channels_last
    inputs = [x.contiguous(memory_format=one) for one in formats]
    wanted = [(layer(one).stride()) for one in inputs for layer in model]
    text = str(swap(model, inputs=x))
    assert [getattr(layer, "memory_format", 0) for layer in model] == [torch.channels_last, None]
    assert [(layer(one).stride()) for one in inputs for layer in model] == wanted
    assert "its output has the memory format torch.channels_last, whatever" in text


class Conditional(Rms):
    def forward(self, x: Tensor, gate: Tensor | None = None) -> Tensor:
        y = super().forward(x)
        return y if gate is None else y * gate


class Gated(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.norm = Conditional(6)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.norm(x, x.sigmoid())
        return y


def test_a_layer_that_is_given_more_than_one_tensor_is_left() -> None:
    changes = swap(Gated(), inputs=torch.randn(TOKENS))
    assert not changes.changed
    assert changes.functional[0].startswith("mean.dim in norm")


def test_what_is_swapped_already_stays() -> None:
    model, x = Mixed(), torch.randn(IMAGES)
    swap(model, inputs=x)
    layers = dict(model.named_modules())
    again = swap(model, inputs=x)
    assert not again.changed
    assert [line.split(",")[0] for line in again.functional] == [
        "native_group_norm in the model itself"
    ]
    assert dict(model.named_modules()) == layers


def test_an_example_that_does_not_fit() -> None:
    with pytest.raises(SpecError, match="cannot be followed with these inputs"):
        swap(Mixed(), inputs=torch.randn(2, 5))

"""The layers of PyTorch that `Norm` is held against, and the usual way where PyTorch has no layer.

Feature maps have the channels second. With `channels_last` they lie in memory as PyTorch's format
of that name has them, and nothing else changes.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import nn
from torch.nn import functional

MAPS, ROWS = (128, 56, 56), (768,)
GROUPS = 32


class LayerNormOverChannels(nn.LayerNorm):
    """Layer norm over axis 1, as ConvNeXt has it: PyTorch normalizes last axes only."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = functional.layer_norm(
            x.permute(0, 2, 3, 1), self.normalized_shape, self.weight, self.bias, self.eps
        )
        return y.permute(0, 3, 1, 2)


@dataclass(frozen=True)
class Kind:
    """One layer, as PyTorch has it and as `Norm` states it.

    Attributes:
        name: as it stands in the tables.
        usual: makes PyTorch's layer for so many channels.
        stated, fields: what `Norm` is given: a layer by name for {c} channels, or a pattern with
            axis c and its fields.
        sample: the shape of one sample.
        channels_last: whether feature maps lie in memory with their channels last.
        training: whether the layer is in training mode.
        faster: whether it must be several times as fast; otherwise never slower is enough.
    """

    name: str
    usual: Callable[[int], nn.Module]
    stated: str
    fields: dict[str, Any] = field(default_factory=dict)
    sample: tuple[int, ...] = MAPS
    channels_last: bool = False
    training: bool = True
    faster: bool = True

    def shape(self, nbytes: int, itemsize: int) -> tuple[int, ...]:
        """Of about so many bytes: smaller samples where two of them would be too large.

        Height and width are halved first, then the channels, of which 32 are left.
        """
        channels, *places = self.sample
        elements = max(1, nbytes // itemsize)
        for least, fewest in ((4, channels), (4, GROUPS), (2, GROUPS)):
            while channels * math.prod(places) > 0.55 * elements:
                if places and places[0] > least:
                    places = [max(least, place // 2) for place in places]
                elif channels // 2 >= fewest:
                    channels //= 2
                else:
                    break
        return (max(1, elements // (channels * math.prod(places))), channels, *places)

    def tensor(self, shape: Sequence[int], dtype: torch.dtype, seed: int) -> torch.Tensor:
        """Numbers around 1 with a deviation of 2, as they lie in memory."""
        generator = torch.Generator().manual_seed(seed)
        made = torch.empty(shape, dtype=dtype).normal_(1, 2, generator=generator)
        return made.contiguous(memory_format=torch.channels_last) if self.channels_last else made

    def torchs(self, channels: int, dtype: torch.dtype) -> nn.Module:
        """PyTorch's layer."""
        return self.usual(channels).to(dtype).train(self.training)

    def ours(self, channels: int, dtype: torch.dtype) -> nn.Module:
        """The same by `Norm`."""
        from normscope.layers.torch import Norm

        sizes = {"c": channels} if self.fields else {}
        stated = self.stated.format(c=channels)
        return Norm(stated, **self.fields, **sizes).to(dtype).train(self.training)


def _instance(channels: int) -> nn.Module:
    return nn.InstanceNorm2d(channels, affine=True)


def _group(channels: int) -> nn.Module:
    return nn.GroupNorm(GROUPS, channels)


_BATCH, _INSTANCE = "torch.BatchNorm2d({c})", "torch.InstanceNorm2d({c}, affine=True)"
_GROUP, _OVER_CHANNELS = "torch.GroupNorm(32, {c})", "b [c] h w"
_AFFINE = {"scale": "c", "bias": "c"}
_LAST: dict[str, Any] = {"channels_last": True}
_INFERENCE: dict[str, Any] = {"training": False, "faster": False}

KINDS = [
    Kind("BatchNorm2d", nn.BatchNorm2d, _BATCH),
    Kind("BatchNorm2d, channels_last", nn.BatchNorm2d, _BATCH, **_LAST),
    Kind("BatchNorm2d, inference", nn.BatchNorm2d, _BATCH, **_INFERENCE),
    Kind("BatchNorm2d, inference, channels_last", nn.BatchNorm2d, _BATCH, **_LAST, **_INFERENCE),
    Kind("LayerNorm", nn.LayerNorm, "torch.LayerNorm({c})", sample=ROWS),
    Kind("layer norm over axis 1", LayerNormOverChannels, _OVER_CHANNELS, _AFFINE),
    Kind("GroupNorm", _group, _GROUP),
    Kind("GroupNorm, channels_last", _group, _GROUP, **_LAST),
    Kind("InstanceNorm2d", _instance, _INSTANCE),
    Kind("InstanceNorm2d, channels_last", _instance, _INSTANCE, **_LAST),
    Kind("RMSNorm", nn.RMSNorm, "torch.RMSNorm({c})", sample=ROWS),
]


def chosen(words: Sequence[str] | None) -> list[Kind]:
    """The kinds in whose names one of these words is; all without words."""
    return [kind for kind in KINDS if not words or any(word in kind.name for word in words)]


def named(name: str) -> Kind:
    """The kind of this name."""
    return next(kind for kind in KINDS if kind.name == name)

"""What users of PyTorch write instead."""

from __future__ import annotations

from normscope.frameworks.advice import Advice, WhereLengthsAreKnown
from normscope.frameworks.torch.native import torch_layer


def channel_axis(axis: int) -> str:
    """How a normalization is told the axis of the channels: torch has them on axis 1 only.

    >>> channel_axis(3)
    'torch keeps dim 1 apart: move the channels there, x.movedim(3, 1), and back after'
    """
    if axis == 1:
        return "keep dim 1 apart, as torch.nn.BatchNorm1d, 2d and 3d do with (batch, channels, ...)"
    return f"torch keeps dim 1 apart: move the channels there, x.movedim({axis}, 1), and back after"


def without_bias(path: str) -> str:
    """How the layer at a path is told to add no bias."""
    return f"give {path} bias=False"


ADVICE = Advice(
    framework="PyTorch",
    layer=WhereLengthsAreKnown(torch_layer),
    channel_axis=channel_axis,
    without_bias=without_bias,
    running_statistics="torch.nn.BatchNorm1d, 2d or 3d with track_running_stats=True",
    norm="normscope.layers.torch.Norm",
)

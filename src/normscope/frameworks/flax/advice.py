"""What users of Flax write instead, in the layers of Flax NNX."""

from __future__ import annotations

from normscope.frameworks.advice import Advice, WhereLengthsAreKnown
from normscope.frameworks.flax.native import flax_layer


def channel_axis(axis: int) -> str:
    """How a normalization is told the axis of the channels."""
    return f"set axis={axis}"


def without_bias(path: str) -> str:
    """How the layer at a path is told to add no bias."""
    return f"give {path} use_bias=False"


ADVICE = Advice(
    framework="Flax NNX",
    layer=WhereLengthsAreKnown(flax_layer),
    channel_axis=channel_axis,
    without_bias=without_bias,
    running_statistics="nnx.BatchNorm with use_running_average=True",
    norm="normscope.layers.jax.Norm",
)

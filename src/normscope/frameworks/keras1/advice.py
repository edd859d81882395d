"""What users of Keras 1 write instead: arguments of Keras 1, and the layers of Keras 3."""

from __future__ import annotations

from normscope.frameworks.advice import Advice
from normscope.frameworks.keras.native import keras_layer


def channel_axis(axis: int) -> str:
    """How a normalization is told the axis of the channels."""
    return f"set axis={axis}"


def without_bias(path: str) -> str:
    """How the layer at a path is told to add no bias."""
    return f"give {path} bias=False"


ADVICE = Advice(
    framework="Keras 3",
    layer=keras_layer,
    channel_axis=channel_axis,
    without_bias=without_bias,
    running_statistics="today's BatchNormalization",
    norm="normscope.layers.keras.Norm",
)

"""What users of Keras 3 write instead."""

from __future__ import annotations

from normscope.frameworks.advice import Advice, WhereLengthsAreKnown
from normscope.frameworks.keras.native import keras_layer


def channel_axis(axis: int) -> str:
    """How a normalization is told the axis of the channels."""
    return f"set axis={axis}"


def without_bias(path: str) -> str:
    """How the layer at a path is told to add no bias."""
    return f"give {path} use_bias=False"


ADVICE = Advice(
    framework="Keras 3",
    layer=WhereLengthsAreKnown(keras_layer),
    channel_axis=channel_axis,
    without_bias=without_bias,
    running_statistics="keras.layers.BatchNormalization, called with training=False",
    norm="normscope.layers.keras.Norm",
)

"""The normalization layers of Keras 3, on the backend of this process."""

from __future__ import annotations

from typing import Any

import keras
from keras import layers

from catalogue.row import Row

TITLE = "Keras"
PACKAGES = ("keras",)
PUBLIC = dir(layers)

IMAGE, CUBE = "b h w c", (4, 6, 6, 6)  # in a cube no length gives away which axis was taken

ROWS = [
    Row("BatchNormalization()", IMAGE),
    Row("BatchNormalization()", "b c"),
    Row("BatchNormalization(axis=1, momentum=0.9, epsilon=0.01)", IMAGE),
    Row("BatchNormalization(center=False)", IMAGE),
    Row("BatchNormalization(scale=False)", IMAGE),
    Row("BatchNormalization(trainable=False)", IMAGE),
    Row("BatchNormalization(renorm=True)", IMAGE),
    Row("LayerNormalization()", IMAGE),
    Row("LayerNormalization(epsilon=0.01, center=False)", IMAGE),
    Row("LayerNormalization(axis=1)", IMAGE, CUBE),
    Row("LayerNormalization(axis=[1, 2])", IMAGE, CUBE),
    Row("LayerNormalization(axis=[2, 3])", IMAGE),
    Row("LayerNormalization(axis=[1, 2, 3])", IMAGE),
    Row("LayerNormalization(axis=[1, 3])", IMAGE),
    Row("LayerNormalization(rms_scaling=True)", IMAGE),
    Row("GroupNormalization(4)", IMAGE),
    Row("GroupNormalization(1)", IMAGE),
    Row("GroupNormalization(-1)", IMAGE),
    Row("GroupNormalization(3, axis=1, epsilon=0.01)", IMAGE),
    Row("RMSNormalization()", IMAGE),
    Row("RMSNormalization(epsilon=0.01)", IMAGE),
    Row("RMSNormalization(axis=1)", IMAGE, CUBE),
    Row("RMSNormalization(axis=[1, 2])", IMAGE, CUBE),
    Row("RMSNormalization(axis=[2, 3])", IMAGE),
    Row("UnitNormalization()", IMAGE),
    Row("UnitNormalization(axis=1)", IMAGE),
    Row("UnitNormalization(axis=(1, 2))", IMAGE),
    Row("Normalization(mean=1.0, variance=4.0)", IMAGE),
    Row("SpectralNormalization(Dense(8))", IMAGE),
]


def make(code: str) -> Any:
    """The layer."""
    keras.utils.set_random_seed(0)
    return eval(code, vars(layers).copy())

"""Models of keras.applications, with random weights."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

NAMES = (
    ("MobileNetV2", 64),
    ("MobileNetV3Small", 64),
    ("ResNet50", 64),
    ("ResNet50V2", 64),
    ("DenseNet121", 64),
    ("EfficientNetB0", 64),
    ("EfficientNetV2B0", 64),
    ("ConvNeXtTiny", 64),
    ("Xception", 96),
)


def models() -> Iterator[tuple[str, Callable[[], tuple[Any, Any]]]]:
    """The name of each, and what makes the model and an input."""
    for name, size in NAMES:
        yield f"keras.applications {name}", lambda name=name, size=size: _made(name, size)


def _made(name: str, size: int) -> tuple[Any, Any]:
    import keras

    keras.utils.set_random_seed(0)
    shape = (size, size, 3)
    model = getattr(keras.applications, name)(weights=None, input_shape=shape, classes=10)
    return model, np.random.default_rng(0).uniform(0, 255, size=(4, *shape)).astype("float32")

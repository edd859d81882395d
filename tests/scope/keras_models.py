"""Run by test_keras.py in a process of its own, for one backend: prints what was found as JSON."""

from __future__ import annotations

import json
import random
import sys
import warnings
from typing import Any

warnings.simplefilter("ignore")  # of what the frameworks warn when they start is not the question

import keras  # noqa: E402
import numpy as np  # noqa: E402
from keras import layers  # noqa: E402

from normscope.scope import scope  # noqa: E402

RNG = np.random.default_rng(0)
IMAGE = RNG.normal(size=(4, 8, 8, 3)).astype("float32")
IDS = RNG.integers(0, 30, (3, 6))
PAIR = [RNG.normal(size=(4, 5)).astype("float32") for _ in range(2)]


def functional(norm: Any, dropout: float = 0.3) -> keras.Model:
    """The same normalization twice, in the model itself and in a model inside of it."""
    x = keras.Input((8, 8, 3))
    inner = keras.Sequential([layers.Conv2D(4, 3), norm, layers.Dropout(dropout)], name="inner")
    y = layers.GlobalAveragePooling2D()(norm(inner(layers.Conv2D(4, 3)(x))))
    return keras.Model(x, {"logits": layers.Dense(7)(y), "embedding": y}, name="net")


def two_inputs() -> keras.Model:
    """An operation that is no layer mixes the samples of one input."""
    left, right = keras.Input((5,)), keras.Input((5,))
    centred = right - keras.ops.mean(right, axis=0, keepdims=True)
    return keras.Model([left, right], layers.Dense(3)(left + layers.Activation("relu")(centred)))


class Subclassed(keras.Model):
    """Layers in lists, and a bug in the model's own code."""

    def __init__(self, axis: int) -> None:
        super().__init__(name="subclassed")
        self.blocks = [layers.Dense(5, name="one"), layers.Dense(5, name="two")]
        self.axis = axis

    def call(self, x: Any) -> Any:
        x = self.blocks[0](x)
        return self.blocks[1](x - keras.ops.mean(x, axis=self.axis, keepdims=True))


def built(model: Any, x: Any) -> Any:
    model(x)
    return model


def tokens(*, backwards: bool) -> keras.Model:
    lstm = layers.LSTM(4, return_sequences=True, go_backwards=backwards)
    return built(keras.Sequential([layers.Embedding(30, 8), lstm]), IDS)


CASES: dict[str, tuple[Any, Any]] = {
    "batch": (lambda: functional(layers.BatchNormalization(name="bn")), IMAGE),
    "group": (lambda: functional(layers.GroupNormalization(2, name="gn")), IMAGE),
    "two inputs": (two_inputs, PAIR),
    "subclassed": (lambda: built(Subclassed(axis=0), PAIR[0]), PAIR[0]),
    "subclassed, right": (lambda: built(Subclassed(axis=1), PAIR[0]), PAIR[0]),
    "tokens": (lambda: tokens(backwards=False), IDS),
    "tokens backwards": (lambda: tokens(backwards=True), IDS),
    "function": (lambda: held_by_a_function(), PAIR[0]),
}


def held_by_a_function() -> Any:
    net = built(keras.Sequential([layers.BatchNormalization(), layers.Dropout(0.5)]), PAIR[0])
    MODELS.append(net)
    return lambda x, training: net(x, training=training)


MODELS: list[Any] = []


def snapshot(model: Any) -> str:
    parts = model._flatten_layers()
    values = [np.array(keras.ops.convert_to_numpy(v.value)).tobytes() for v in model.variables]
    held = [sorted(vars(part)) for part in parts]
    return str((values, held, np.random.get_state(), random.getstate()))


def main() -> None:
    found = {}
    for name, (make, inputs) in CASES.items():
        model = make()
        held = MODELS.pop() if MODELS else model
        before = snapshot(held)
        result = scope(model, inputs, all_axes=True)
        found[name] = {
            "independent": result.samples_independent,
            "first": {mode: str(first) for mode, first in result.first.items()},
            "axes": result.axes,
            "stochastic": result.stochastic,
            "untouched": snapshot(held) == before,
            "text": str(result),
        }
    json.dump({"backend": keras.backend.backend(), "found": found}, sys.stdout)


main()

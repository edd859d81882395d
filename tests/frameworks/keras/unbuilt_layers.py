"""Run by test_unbuilt.py in a process of its own, for one backend: prints JSON."""

from __future__ import annotations

import json
import random
import sys
import warnings
from collections.abc import Callable
from typing import Any

warnings.simplefilter("ignore")  # of what the frameworks warn when they start is not the question

import keras  # noqa: E402
import numpy as np  # noqa: E402
from keras import layers, ops  # noqa: E402

from normscope.identify import identify  # noqa: E402
from normscope.scope import scope  # noqa: E402

X = np.random.default_rng(0).normal(size=(4, 6)).astype("float32")


def layer_norm(x: Any, eps: float) -> Any:
    centred = x - ops.mean(x, -1, keepdims=True)
    return centred / ops.sqrt(ops.mean(centred**2, -1, keepdims=True) + eps)


class Plain(keras.layers.Layer):
    """As a user writes it in three lines: no keywords, no get_config, nothing to build."""

    def __init__(self, eps: float) -> None:
        super().__init__()
        self.eps = eps

    def call(self, x: Any) -> Any:
        return layer_norm(x, self.eps)


class Weighted(Plain):
    def build(self, shape: Any) -> None:
        self.scale = self.add_weight(shape=(shape[-1],), initializer="ones")

    def call(self, x: Any) -> Any:
        return layer_norm(x, self.eps) * self.scale


class OfFunction(keras.layers.Layer):
    """Keras knows no way to say in a config what a function is."""

    def __init__(self, function: Callable[[Any], Any]) -> None:
        super().__init__()
        self.function = function

    def build(self, shape: Any) -> None:
        self.scale = self.add_weight(shape=(shape[-1],), initializer="ones")

    def call(self, x: Any) -> Any:
        return self.function(x) * self.scale


class Sharing(keras.layers.Layer):
    """A config that holds the layer inside itself: a copy of it would share that layer."""

    def __init__(self, inner: keras.layers.Layer) -> None:
        super().__init__()
        self.inner = inner

    def get_config(self) -> dict[str, Any]:
        return {"inner": self.inner}

    def call(self, x: Any) -> Any:
        return self.inner(x)


class Nested(keras.layers.Layer):
    def __init__(self) -> None:
        super().__init__()
        self.norm = layers.BatchNormalization()

    def call(self, x: Any, training: bool) -> Any:
        return self.norm(x, training=training)


class Subclassed(keras.Model):
    def __init__(self) -> None:
        super().__init__()
        self.parts = [layers.UnitNormalization(), layers.LayerNormalization(epsilon=1e-3)]

    def call(self, x: Any) -> Any:
        return self.parts[1](x)


class Refusing(keras.layers.Layer):
    def build(self, shape: Any) -> None:
        self.half_done = True
        raise ValueError("no such shape")

    def call(self, x: Any) -> Any:
        return x


def changed() -> Weighted:
    made = Weighted(1e-3)
    made.eps = 0.5  # which no config tells
    return made


CASES: dict[str, Callable[[], Any]] = {
    "plain": lambda: Plain(1e-3),
    "weighted": lambda: Weighted(1e-3),
    "of a function": lambda: OfFunction(lambda x: layer_norm(x, 1e-3)),
    "changed": changed,
    "sharing": lambda: Sharing(layers.LayerNormalization()),
    "nested": Nested,
    "subclassed": Subclassed,
    "sequential": lambda: keras.Sequential([layers.LayerNormalization(epsilon=1e-3)]),
    "refusing": Refusing,
}


def examined(make: Callable[[], Any], examine: Callable[[Any], Any]) -> dict[str, Any]:
    made = make()
    before = str((random.getstate(), np.random.get_state()))
    attributes = sorted(vars(made))
    result = examine(made)
    return {
        **result.to_dict(),
        "built": made.built,
        "random": str((random.getstate(), np.random.get_state())) == before,
        "attributes": sorted(vars(made)) == attributes,
        "text": str(result),
    }


def backward() -> dict[str, str]:
    """Examinations between a forward and a backward pass, on torch: "" is fine."""
    if keras.backend.backend() != "torch":
        return {}
    import torch

    found = {}
    examinations: dict[str, Callable[[Any], Any]] = {
        "identify": lambda model: identify(model.layers[1], (4, 6)),
        "identify the model": lambda model: identify(model, (4, 6)),
        "scope": lambda model: scope(model, X),
        "scope of a function": lambda model: scope(lambda x: model(x, training=True), X),
    }
    for name, examine in examinations.items():
        model = keras.Sequential([layers.Dense(6), layers.BatchNormalization(), layers.Dense(6)])
        model.build((4, 6))
        x = torch.randn(4, 6, requires_grad=True, device="cpu")
        loss = ops.sum(model(x, training=True) ** 2)
        tensors = {v.path: v.value for v in model.variables}
        before = {path: (id(t), t._version, t.data_ptr()) for path, t in tensors.items()}
        examine(model)
        after = {
            v.path: (id(v.value), v.value._version, v.value.data_ptr()) for v in model.variables
        }
        held = {id(p) for p in model.parameters()} == {id(t) for t in tensors.values()}
        try:
            loss.backward()
            found[name] = "" if after == before and held else f"{before} {after} {held}"
        except RuntimeError as error:
            found[name] = str(error)
    return found


def main() -> None:
    found = {
        name: {
            "identify": examined(make, lambda made: identify(made, (4, 6), "b c")),
            "scope": examined(make, lambda made: scope(made, X)),
        }
        for name, make in CASES.items()
    }
    output = {"backend": keras.backend.backend(), "found": found, "backward": backward()}
    json.dump(output, sys.stdout)


main()

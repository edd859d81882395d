"""NS306: what trainable=False does to a batch normalization of Keras 3."""

from __future__ import annotations

from typing import Any

import numpy as np

from normscope.audit.finding import Finding
from rule_fixtures import Given, healthy, sick

NOT_IN = {
    "torch": "requires_grad does not decide the mode there",
    "onnx": "a file has no such setting",
    "jax": "the mode is an argument or a flag of the module, and nothing else decides it",
}

X = np.random.default_rng(0).normal(size=(4, 6)).astype("float32")


@sick("keras", at="encoder/bn")
def frozen_base() -> Any:
    import keras

    norm = keras.layers.BatchNormalization(name="bn")
    base = keras.Sequential([keras.Input((6,)), keras.layers.Dense(6), norm], name="encoder")
    base.trainable = False
    return keras.Sequential([keras.Input((6,)), base, keras.layers.Dense(2)])


@sick("keras", at="bn")
def told_in_vain() -> Any:
    import keras

    inputs = keras.Input((6,))
    norm = keras.layers.BatchNormalization(name="bn", trainable=False)
    return keras.Model(inputs, keras.layers.Dense(2)(norm(inputs, training=True)))


@sick("keras", at="bn")
def own_call() -> Any:
    import keras

    class BatchNormalization(keras.layers.BatchNormalization):  # type: ignore[misc]
        """A frozen state and inference mode were two concepts once."""

        def call(self, inputs: Any, training: Any = None, mask: Any = None) -> Any:
            return super().call(inputs, training=bool(training) and self.trainable)

    return keras.Sequential([keras.Input((6,)), BatchNormalization(name="bn")])


@healthy("keras")
def learned() -> Any:
    import keras

    return keras.Sequential([keras.Input((6,)), keras.layers.BatchNormalization(name="bn")])


@healthy("keras")
def frozen_layer_norm() -> Any:
    import keras

    return keras.Sequential([keras.Input((6,)), keras.layers.LayerNormalization(trainable=False)])


def measured(finding: Finding, given: Given) -> None:
    """In training mode the moving mean stays where it is, or goes towards that of the batch."""
    layer = given.model
    for name in finding.path.split("/"):
        layer = layer.get_layer(name)
    before = np.array(layer.moving_mean)
    given.model(X, training=True)
    moves = not np.array_equal(before, np.array(layer.moving_mean))
    assert finding.evidence["mode_in_fit"] == ("training" if moves else "inference")

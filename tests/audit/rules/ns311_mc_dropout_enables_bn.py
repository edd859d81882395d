"""NS311: dropout at inference with batch normalization along, and dropout alone."""

from __future__ import annotations

from typing import Any

import numpy as np

from normscope.audit.finding import Finding
from rule_fixtures import Given, healthy, sick

NOT_IN = {"onnx": "exporters leave neither masks nor statistics of the batch in a file to predict"}

X = np.random.default_rng(0).normal(size=(4, 6)).astype("float32")


def _torch(everything: bool) -> Any:
    from torch import nn

    class Uncertain(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.body = nn.Sequential(nn.Linear(6, 6), nn.BatchNorm1d(6), nn.ReLU())
            self.drop, self.head = nn.Dropout(0.3), nn.Linear(6, 1)

        def forward(self, x: Any) -> Any:
            (self if everything else self.drop).train()
            return self.head(self.drop(self.body(x)))

    return Uncertain(), X


@sick("torch", at="body.1")
def everything_torch() -> Any:
    return _torch(everything=True)


@healthy("torch")
def dropout_alone_torch() -> Any:
    return _torch(everything=False)


@healthy("torch")
def usual_torch() -> Any:
    from torch import nn

    return nn.Sequential(nn.Linear(6, 6), nn.BatchNorm1d(6), nn.Dropout(0.3)), X


def _keras(everything: bool) -> Any:
    import keras

    class Uncertain(keras.Model):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.bn = keras.layers.BatchNormalization(name="bn")
            self.drop = keras.layers.Dropout(0.3)

        def call(self, inputs: Any, training: Any = None) -> Any:
            return self.drop(self.bn(inputs, training=everything or training), training=True)

    return Uncertain(), X


@sick("keras", at="bn")
def everything_keras() -> Any:
    return _keras(everything=True)


@healthy("keras")
def dropout_alone_keras() -> Any:
    return _keras(everything=False)


def _linen(everything: bool) -> Any:
    import jax
    from flax import linen

    class Uncertain(linen.Module):
        @linen.compact
        def __call__(self, x: Any, train: bool = False) -> Any:
            average = False if everything else not train
            x = linen.BatchNorm(use_running_average=average, name="bn")(linen.Dense(6)(x))
            return linen.Dropout(0.3, deterministic=False)(x)

    keys = {"params": jax.random.key(0), "dropout": jax.random.key(1)}
    return (Uncertain(), Uncertain().init(keys, X)), X


@sick("jax", at="bn")
def everything_jax() -> Any:
    return _linen(everything=True)


@healthy("jax")
def dropout_alone_jax() -> Any:
    return _linen(everything=False)


def measured(finding: Finding, given: Given) -> None:
    """There is one dropout in each of these models."""
    assert finding.evidence["masks"] == len(finding.evidence["at"]) == 1

"""NS605: dropout feeds batch norm; twins with it behind, with a small rate, with a layer norm."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from normscope.audit.finding import Finding
from onnx_text import onnx_model
from rule_fixtures import Given, healthy, sick

RNG = np.random.default_rng(0)
X = RNG.normal(size=(8, 16)).astype("float32")
IMAGES = RNG.normal(size=(4, 3, 12, 12)).astype("float32")


def _mlp_torch(*middle: Any) -> Any:
    from torch import nn

    return nn.Sequential(nn.Linear(16, 32), nn.ReLU(), *middle, nn.ReLU(), nn.Linear(32, 2)), X


@sick("torch", at="3")
def direct_torch() -> Any:
    from torch import nn

    return _mlp_torch(nn.Dropout(0.5), nn.BatchNorm1d(32))


@sick("torch", at="net.bn")
def through_convolution_torch() -> Any:
    from torch import nn

    class Block(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.stem, self.conv = nn.Conv2d(3, 8, 3), nn.Conv2d(8, 8, 3, bias=False)
            self.bn = nn.BatchNorm2d(8)

        def forward(self, x: Any) -> Any:
            x = nn.functional.dropout(self.stem(x).relu(), 0.5, self.training)
            return self.bn(self.conv(x)).relu().mean((2, 3))

    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.net, self.head = Block(), nn.Linear(8, 2)

        def forward(self, x: Any) -> Any:
            return self.head(self.net(x))

    return Net(), IMAGES


@healthy("torch")
def behind_torch() -> Any:
    from torch import nn

    return _mlp_torch(nn.BatchNorm1d(32), nn.Dropout(0.5))


@healthy("torch")
def small_rate_torch() -> Any:
    from torch import nn

    return _mlp_torch(nn.Dropout(0.05), nn.BatchNorm1d(32))


@healthy("torch")
def layer_norm_torch() -> Any:
    from torch import nn

    return _mlp_torch(nn.Dropout(0.5), nn.LayerNorm(32))


@healthy("torch")
def no_rate_torch() -> Any:
    from torch import nn

    return _mlp_torch(nn.Dropout(0.0), nn.BatchNorm1d(32))


def _keras(first: bool) -> Any:
    import keras

    kinds = keras.layers
    pair = [kinds.Dropout(0.4, name="drop"), kinds.BatchNormalization(name="bn")]
    parts = [kinds.Dense(32, activation="relu"), *(pair if first else pair[::-1])]
    return keras.Sequential([keras.Input((16,)), *parts, kinds.Dense(2)]), X


@sick("keras", at="bn")
def direct_keras() -> Any:
    return _keras(True)


@healthy("keras")
def behind_keras() -> Any:
    return _keras(False)


def _jax(between: bool) -> Any:
    from flax import nnx

    rngs = nnx.Rngs(0)

    class Net(nnx.Module):
        def __init__(self) -> None:
            self.first, self.second = nnx.Linear(16, 32, rngs=rngs), nnx.Linear(32, 8, rngs=rngs)
            self.drop = nnx.Dropout(0.5, rngs=rngs)
            self.bn = nnx.BatchNorm(8, rngs=rngs)

        def __call__(self, x: Any) -> Any:
            x = self.drop(nnx.relu(self.first(x)))
            x = self.second(x)
            return self.bn(nnx.relu(x) if between else x)

    return Net(), X


@sick("jax", at="bn")
def through_dense_jax() -> Any:
    return _jax(False)


@healthy("jax")
def activation_between_jax() -> Any:
    return _jax(True)


TRAINING_ONNX = """
    ["/fc/Gemm"] h = MatMul (x, w)
    ["/relu/Relu"] r = Relu (h)
    {first}
    {second}
    ["/out/Gemm"] y = MatMul (t, u)
"""


def _onnx(first: bool) -> Any:
    drop = '["/drop/Op"] {0} = Dropout ({1}, p, training)'
    bn = '["/bn/Op"] {0}, m1, v1 = BatchNormalization <training_mode = 1> ({1}, g, b, m, v)'
    parts = (drop, bn) if first else (bn, drop)
    nodes = TRAINING_ONNX.format(first=parts[0].format("s", "r"), second=parts[1].format("t", "s"))
    weights = {"w": RNG.normal(size=(16, 32)), "u": RNG.normal(size=(32, 2))}
    stored = {"g": np.ones(32), "b": np.zeros(32), "m": np.zeros(32), "v": np.ones(32)}
    given = {"p": np.asarray(0.5), "training": np.asarray(True)}
    return onnx_model(nodes, (8, 16), output=(8, 2), **weights, **stored, **given), X


@sick("onnx", at="bn")
def training_onnx() -> Any:
    return _onnx(True)


@healthy("onnx")
def behind_onnx() -> Any:
    return _onnx(False)


def measured(finding: Finding, given: Given) -> None:
    """Of rectified normal noise u: 1 + p / (1 - p) * E[u**2] / Var[u], behind a dense layer too."""
    p = finding.evidence["rate"]
    assert p == (0.4 if finding.evidence["dropout"] == "drop" and _is_keras(given) else 0.5)
    square, variance = 0.5, 0.5 - 1 / (2 * np.pi)
    expected = 1 + p / (1 - p) * square / variance
    assert finding.evidence["variance_ratio"] == pytest.approx(expected, rel=0.15)


def _is_keras(given: Given) -> bool:
    return hasattr(given.model, "layers")

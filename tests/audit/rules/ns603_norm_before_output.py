"""NS603: batch norm before softmax, sigmoid or a prediction; twins with a dense layer last."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from normscope.audit.finding import Finding
from onnx_text import onnx_model
from rule_fixtures import Given, healthy, sick

RNG = np.random.default_rng(0)
X = RNG.normal(size=(6, 8)).astype("float32")
IMAGES = RNG.normal(size=(4, 3, 8, 8)).astype("float32")


def _regression_torch(last_norm: bool) -> Any:
    from torch import nn

    head = [nn.Linear(16, 1), nn.BatchNorm1d(1)] if last_norm else [nn.Linear(16, 1)]
    return nn.Sequential(nn.Linear(8, 16), nn.BatchNorm1d(16), nn.ReLU(), *head), X


@sick("torch", at="4")
def regression_torch() -> Any:
    return _regression_torch(True)


@healthy("torch")
def dense_last_torch() -> Any:
    return _regression_torch(False)


def _segmentation_torch(last_norm: bool) -> Any:
    import torch
    from torch import nn

    class Decoder(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.up = nn.ConvTranspose2d(6, 4, 2, stride=2)
            self.bn = nn.BatchNorm2d(4)
            self.out = nn.Conv2d(4, 2, 1)
            self.out_bn = nn.BatchNorm2d(2) if last_norm else nn.Identity()

        def forward(self, x: Any) -> Any:
            return torch.sigmoid(self.out_bn(self.out(self.bn(self.up(x)).relu())))

    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.encoder = nn.Sequential(nn.Conv2d(3, 6, 3, stride=2, padding=1), nn.ReLU())
            self.decoder = Decoder()

        def forward(self, x: Any) -> Any:
            return self.decoder(self.encoder(x))

    return Net(), IMAGES


@sick("torch", at="decoder.out_bn")
def segmentation_torch() -> Any:
    return _segmentation_torch(True)


@healthy("torch")
def segmentation_without_torch() -> Any:
    return _segmentation_torch(False)


@healthy("torch")
def gate_torch() -> Any:
    """A sigmoid that multiplies, as in attention over channels."""
    from torch import nn

    class Gate(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv, self.bn = nn.Conv2d(3, 3, 1), nn.BatchNorm2d(3)

        def forward(self, x: Any) -> Any:
            return x * self.bn(self.conv(x)).sigmoid()

    return Gate(), IMAGES


@healthy("torch")
def embedding_torch() -> Any:
    """Projection heads and necks of metric learning end with a batch norm."""
    from torch import nn

    layers = nn.Linear(8, 16), nn.BatchNorm1d(16), nn.ReLU(), nn.Linear(16, 8)
    return nn.Sequential(*layers, nn.BatchNorm1d(8, affine=False)), X


@healthy("torch")
def layer_norm_torch() -> Any:
    from torch import nn

    return nn.Sequential(nn.Linear(8, 16), nn.GELU(), nn.Linear(16, 4), nn.LayerNorm(4)), X


@healthy("torch")
def features_torch() -> Any:
    from torch import nn

    parts = nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.ReLU(), nn.Conv2d(8, 8, 3), nn.BatchNorm2d(8)
    return nn.Sequential(*parts, nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten()), IMAGES


def _keras(last_norm: bool) -> Any:
    import keras

    kinds = keras.layers
    last = [kinds.BatchNormalization(name="last"), kinds.Activation("softmax")]
    parts = [kinds.Dense(16, activation="relu"), kinds.BatchNormalization(), kinds.Dense(5)]
    return keras.Sequential([keras.Input((8,)), *parts, *(last if last_norm else last[1:])])


@sick("keras", at="last")
def softmax_keras() -> Any:
    return _keras(True)


@healthy("keras")
def dense_softmax_keras() -> Any:
    return _keras(False)


def _onnx(last: str) -> Any:
    nodes = f"""
        ["/fc/Gemm"] h = MatMul (x, w)
        ["/bn/Op"] n = {last}
        ["/softmax/Softmax"] y = Softmax <axis = 1> (n)
    """
    biases = {"b": np.linspace(-1.0, 0.5, 5), "m": np.zeros(5), "v": np.ones(5)}
    return onnx_model(
        nodes, (6, 8), output=(6, 5), w=RNG.normal(size=(8, 5)), g=np.ones(5), **biases
    )


@sick("onnx", at="bn")
def softmax_onnx() -> Any:
    return _onnx("BatchNormalization (h, g, b, m, v)")


@healthy("onnx")
def dense_softmax_onnx() -> Any:
    return _onnx("Add (h, b)")


def _jax(last_norm: bool) -> Any:
    from flax import nnx

    rngs = nnx.Rngs(0)

    class Net(nnx.Module):
        def __init__(self) -> None:
            self.hidden = nnx.Linear(8, 16, rngs=rngs)
            self.out = nnx.Linear(16, 3, rngs=rngs)
            self.bn = nnx.BatchNorm(3, rngs=rngs) if last_norm else None

        def __call__(self, x: Any) -> Any:
            x = self.out(nnx.relu(self.hidden(x)))
            return nnx.softmax(x if self.bn is None else self.bn(x))

    return Net(), X


@sick("jax", at="bn")
def softmax_jax() -> Any:
    return _jax(True)


@healthy("jax")
def dense_softmax_jax() -> Any:
    return _jax(False)


def measured(finding: Finding, given: Given) -> None:
    """A batch norm of its own: the mean of each output over a batch is the bias."""
    bias = np.linspace(-1.0, 0.5, 5) if finding.path == "bn" and _is_onnx(given) else np.zeros(1)
    x = RNG.normal(3.0, 2.0, (64, len(bias)))
    mean = ((x - x.mean(0)) / np.sqrt(x.var(0) + 1e-5) + bias).mean(0)
    told = finding.evidence["mean_low"], finding.evidence["mean_high"]
    assert told == pytest.approx((mean.min(), mean.max()), abs=1e-6)


def _is_onnx(given: Given) -> bool:
    return type(given.model).__name__ == "ModelProto"

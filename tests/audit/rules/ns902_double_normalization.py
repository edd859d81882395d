"""NS902: inputs that are scaled twice, and once."""

from __future__ import annotations

from typing import Any

import numpy as np

from normscope.audit.finding import Finding
from onnx_text import onnx_model
from rule_fixtures import Given, healthy, sick

RNG = np.random.default_rng(0)
X = RNG.uniform(0, 255, size=(2, 3, 6, 6)).astype("float32")
LAST = X.transpose(0, 2, 3, 1)
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def _torch(outside: Any) -> Any:
    import torch
    from torch import nn

    class Backbone(nn.Module):
        mean: torch.Tensor
        std: torch.Tensor

        def __init__(self) -> None:
            super().__init__()
            self.register_buffer("mean", torch.tensor(MEAN).view(3, 1, 1))
            self.register_buffer("std", torch.tensor(STD).view(3, 1, 1))
            self.conv = nn.Conv2d(3, 4, 3)

        def forward(self, x: Any) -> Any:
            return self.conv((x / 255.0 - self.mean) / self.std)

    class Classifier(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.backbone = Backbone()

        def forward(self, x: Any) -> Any:
            return self.backbone(outside(x, self.backbone)).mean((2, 3))

    return Classifier()


@sick("torch", at="backbone")
def bytes_twice_torch() -> Any:
    return _torch(lambda x, inside: x / 255.0), X


@sick("torch", at="backbone")
def mean_twice_torch() -> Any:
    return _torch(lambda x, inside: (x - 255 * inside.mean) / (2 * inside.std)), X


@healthy("torch")
def once_torch() -> Any:
    return _torch(lambda x, inside: x), X


@healthy("torch")
def batch_norm_at_the_input_torch() -> Any:
    import torch
    from torch import nn

    class Scaled(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.bn = nn.BatchNorm2d(3)
            self.conv = nn.Conv2d(3, 4, 3)

        def forward(self, x: Any) -> torch.Tensor:
            out: torch.Tensor = self.conv(self.bn(x / 255.0))
            return out

    return Scaled(), X


def _keras(mean: Any, variance: Any, scale: float = 1 / 255) -> Any:
    import keras

    layers = [
        keras.layers.Rescaling(scale, name="rescaling"),
        keras.layers.Normalization(mean=mean, variance=variance, name="scaling"),
        keras.layers.Conv2D(4, 3),
    ]
    return keras.Sequential([keras.Input((6, 6, 3)), *layers])


@sick("keras", at="scaling")
def mean_of_bytes_keras() -> Any:
    return _keras([123.7, 116.3, 103.5], [3409.0, 3260.0, 3290.0]), LAST


@healthy("keras")
def mean_of_fractions_keras() -> Any:
    return _keras(list(MEAN), [s**2 for s in STD]), LAST


@sick("keras", at="inside")
def rescaled_twice_keras() -> Any:
    import keras

    inside = [keras.layers.Rescaling(1 / 127.5, offset=-1.0, name="inside")]
    layers = [keras.layers.Rescaling(1 / 255), *inside, keras.layers.Conv2D(4, 3)]
    return keras.Sequential([keras.Input((6, 6, 3)), *layers]), LAST


def _onnx(first: float) -> Any:
    nodes = """[outside] a = Mul (x, first)
    [inside] b = Div (a, bytes)
    [conv] y = Conv (b, w)"""
    arrays = {"first": np.full(1, first), "bytes": np.full(1, 255.0)}
    kernel = RNG.normal(size=(3, 3, 1, 1))
    return onnx_model(nodes, X.shape, w=kernel, **arrays), X


@sick("onnx", at="inside")
def twice_onnx() -> Any:
    return _onnx(1 / 255)


@healthy("onnx")
def once_onnx() -> Any:
    return _onnx(1.0)


def _nnx(times: int) -> Any:
    from flax import nnx

    class Net(nnx.Module):
        def __init__(self) -> None:
            self.conv = nnx.Conv(3, 4, (3, 3), rngs=nnx.Rngs(0))

        def __call__(self, x: Any) -> Any:
            for _ in range(times):
                x = x / 255.0
            return self.conv(x)

    return Net()


@sick("jax", at="")
def twice_jax() -> Any:
    return _nnx(2), LAST


@healthy("jax")
def once_jax() -> Any:
    return _nnx(1), LAST


def measured(finding: Finding, given: Given) -> None:
    """What both factors make together, or the mean that is subtracted."""
    if "factor" in finding.evidence:
        assert finding.evidence["factor"] < 1 / 255 / 50
        assert f"by {finding.evidence['factor']:.3g} in all" in finding.message
    else:
        mean = np.array(finding.evidence["mean"])
        near = min(np.abs(mean / (255 if mean.max() > 2 else 1) - MEAN))
        assert near < 0.01

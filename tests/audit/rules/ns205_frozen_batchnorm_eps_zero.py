"""NS205: frozen batch norms without eps, and with one."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from normscope.audit.finding import Finding
from onnx_text import onnx_model
from rule_fixtures import Given, healthy, sick

X = np.random.default_rng(0).normal(size=(4, 8, 6, 6)).astype("float32")
LAST = X.transpose(0, 2, 3, 1)
VAR = np.geomspace(1e-7, 2, 8)


def _frozen(eps: float) -> Any:
    import torch
    from torch import nn

    class FrozenBatchNorm2d(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.register_buffer("weight", torch.linspace(0.5, 2, 8))
            self.register_buffer("bias", torch.linspace(-1, 1, 8))
            self.register_buffer("running_mean", torch.linspace(-0.5, 1.5, 8))
            self.register_buffer("running_var", torch.tensor(VAR, dtype=torch.float32))

        def forward(self, x: Any) -> Any:
            scale = self.weight * (self.running_var + eps).rsqrt()
            bias = self.bias - self.running_mean * scale
            return x * scale.reshape(1, -1, 1, 1) + bias.reshape(1, -1, 1, 1)

    class Backbone(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv1 = nn.Conv2d(8, 8, 3, bias=False)
            self.bn1 = FrozenBatchNorm2d()

        def forward(self, x: Any) -> Any:
            return torch.relu(self.bn1(self.conv1(x)))

    return Backbone(), X


@sick("torch", at="bn1")
def without_eps_torch() -> Any:
    return _frozen(0.0)


@healthy("torch")
def with_eps_torch() -> Any:
    return _frozen(1e-5)


@healthy("torch")
def folded_torch() -> Any:
    """Only factors are stored: whether an eps went into them cannot be known."""
    import torch
    from torch import nn

    class Affine(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.register_buffer("scale", torch.rand(8, 1, 1))
            self.register_buffer("shift", torch.rand(8, 1, 1))

        def forward(self, x: Any) -> Any:
            return x * self.scale + self.shift

    return nn.Sequential(nn.Conv2d(8, 8, 1), Affine()), X


@healthy("torch")
def standardized_images_torch() -> Any:
    """Constants of a data set, which no channel of it divides by almost nothing."""
    import torch
    from torch import nn

    class Standardize(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.register_buffer("mean", torch.linspace(0.4, 0.5, 8).view(8, 1, 1))
            self.register_buffer("var", torch.linspace(0.04, 0.06, 8).view(8, 1, 1))

        def forward(self, x: Any) -> Any:
            return (x - self.mean) / self.var.sqrt()

    return nn.Sequential(Standardize(), nn.Conv2d(8, 8, 3)), X


def _keras(eps: float) -> Any:
    import keras
    from keras import ops

    class Frozen(keras.layers.Layer):
        def build(self, shape: Any) -> None:
            weights = {"gamma": 1.5, "beta": 0.3, "moving_mean": 0.2}
            self.held = {
                name: self.add_weight(name=name, shape=(8,), trainable=False) for name in weights
            }
            for name, value in weights.items():
                self.held[name].assign(value * np.linspace(0.5, 1.5, 8))
            self.moving_variance = self.add_weight(
                name="moving_variance", shape=(8,), trainable=False
            )
            self.moving_variance.assign(VAR)

        def call(self, x: Any) -> Any:
            inverse = ops.rsqrt(self.moving_variance + eps)
            return (x - self.held["moving_mean"]) * inverse * self.held["gamma"] + self.held["beta"]

    return keras.Sequential([keras.Input((6, 6, 8)), Frozen(name="bn")]), LAST


@sick("keras", at="bn")
def without_eps_keras() -> Any:
    return _keras(0.0)


@healthy("keras")
def with_eps_keras() -> Any:
    return _keras(1e-3)


def _onnx(eps: float) -> Any:
    return onnx_model(
        f"y = BatchNormalization <epsilon = {eps}> (x, scale, bias, mean, var)",
        X.shape,
        layer="backbone.bn1",
        scale=np.linspace(0.5, 2, 8),
        bias=np.linspace(-1, 1, 8),
        mean=np.linspace(-0.5, 1.5, 8),
        var=VAR,
    )


@sick("onnx", at="backbone.bn1")
def without_eps_onnx() -> Any:
    return _onnx(0.0), X


@healthy("onnx")
def with_eps_onnx() -> Any:
    return _onnx(1e-5), X


def _jax(eps: float) -> Any:
    from flax import nnx
    from jax import numpy as jnp

    class Frozen(nnx.Module):
        def __init__(self) -> None:
            self.scale = nnx.Variable(jnp.linspace(0.5, 2, 8))
            self.bias = nnx.Variable(jnp.linspace(-1, 1, 8))
            self.mean = nnx.Variable(jnp.linspace(-0.5, 1.5, 8))
            self.var = nnx.Variable(jnp.asarray(VAR, jnp.float32))

        def __call__(self, x: Any) -> Any:
            y = (x - self.mean[...]) / jnp.sqrt(self.var[...] + eps)
            return y * self.scale[...] + self.bias[...]

    class Net(nnx.Module):
        def __init__(self) -> None:
            self.bn = Frozen()

        def __call__(self, x: Any) -> Any:
            return self.bn(x)

    return Net(), LAST


@sick("jax", at="bn")
def without_eps_jax() -> Any:
    return _jax(0.0)


@healthy("jax")
def with_eps_jax() -> Any:
    return _jax(1e-5)


def measured(finding: Finding, given: Given) -> None:
    """1 / sqrt of the smallest variance, with and without eps."""
    assert finding.evidence["smallest_variance"] == pytest.approx(1e-7)
    assert finding.evidence["factor"] == pytest.approx(1e7**0.5)
    assert finding.evidence["factor_with_eps"] == pytest.approx((1e-7 + 1e-5) ** -0.5)

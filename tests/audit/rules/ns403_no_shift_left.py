"""NS403: no bias before, none in the norm, and an activation; and the twins that have one."""

from __future__ import annotations

from typing import Any

import numpy as np

from normscope.audit.finding import Finding
from onnx_text import onnx_model
from rule_fixtures import Given, healthy, sick

RNG = np.random.default_rng(0)
X = RNG.normal(size=(4, 3, 8, 8)).astype("float32")
LAST = X.transpose(0, 2, 3, 1)
ROWS = RNG.normal(size=(4, 7, 12)).astype("float32")


def _torch(affine: bool, activation: bool = True) -> Any:
    from torch import nn

    class Block(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.Conv2d(3, 6, 3, bias=False)
            self.norm = nn.InstanceNorm2d(6, affine=affine)
            self.act = nn.LeakyReLU(0.2) if activation else nn.Conv2d(6, 6, 1)

        def forward(self, x: Any) -> Any:
            return self.act(self.norm(self.conv(x)))

    return nn.Sequential(Block(), nn.Conv2d(6, 2, 1)), X


@sick("torch", at="0.norm")
def instance_norm_by_default_torch() -> Any:
    return _torch(affine=False)


@sick("torch", at="1")
def activation_in_place_torch() -> Any:
    """It writes into the memory of what the normalization made."""
    from torch import nn

    conv = nn.Conv2d(3, 6, 3, bias=False)
    return nn.Sequential(conv, nn.InstanceNorm2d(6), nn.ReLU(inplace=True), nn.Flatten()), X


@healthy("torch")
def instance_norm_that_learns_torch() -> Any:
    return _torch(affine=True)


@healthy("torch")
def another_convolution_follows_torch() -> Any:
    return _torch(affine=False, activation=False)


@healthy("torch")
def rms_norm_of_language_models_torch() -> Any:
    from torch import nn

    return nn.Sequential(nn.Linear(12, 12, bias=False), nn.RMSNorm(12), nn.SiLU()), ROWS


@healthy("torch")
def adaptive_instance_norm_torch() -> Any:
    import torch
    from torch import nn

    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.Conv2d(3, 6, 3, bias=False)
            self.norm, self.style = nn.InstanceNorm2d(6), nn.Linear(3, 12)

        def forward(self, x: Any) -> Any:
            scale, shift = self.style(x.mean((2, 3)))[..., None, None].chunk(2, 1)
            return torch.relu(self.norm(self.conv(x)) * (1 + scale) + shift)

    return Net(), X


def _keras(center: bool) -> Any:
    import keras

    layers = keras.layers
    return keras.Sequential(
        [
            keras.Input((8, 8, 3)),
            layers.Conv2D(6, 3, use_bias=False),
            layers.BatchNormalization(center=center, name="bn"),
            layers.ReLU(),
        ]
    ), LAST


@sick("keras", at="bn")
def batch_norm_without_center_keras() -> Any:
    return _keras(center=False)


@healthy("keras")
def batch_norm_keras() -> Any:
    return _keras(center=True)


def _onnx(bias: str) -> Any:
    text = f"""
        [conv] h = Conv (x, w)
        m = ReduceMean <axes = [2, 3]> (h)
        d = Sub (h, m)
        q = Mul (d, d)
        v = ReduceMean <axes = [2, 3]> (q)
        e = Add (v, eps)
        s = Sqrt (e)
        n = Div (d, s)
        {bias}
        y = Relu (n)
    """
    return onnx_model(
        text,
        X.shape,
        output=(4, 6, 8, 8),
        layer="block.norm",
        w=RNG.normal(size=(6, 3, 1, 1)),
        eps=np.float32(1e-5),
        o=RNG.normal(size=(6, 1, 1)),
    )


@sick("onnx", at="block.norm")
def instance_norm_by_operators_onnx() -> Any:
    return _onnx("")


@healthy("onnx")
def instance_norm_with_a_bias_onnx() -> Any:
    model = _onnx("k = Add (n, o)")
    model.graph.node[-1].input[0] = "k"
    return model


def _jax(use_bias: bool) -> Any:
    from flax import nnx

    class Net(nnx.Module):
        def __init__(self) -> None:
            rngs = nnx.Rngs(0)
            self.conv = nnx.Conv(3, 6, (3, 3), use_bias=False, rngs=rngs)
            self.norm = nnx.InstanceNorm(6, use_bias=use_bias, rngs=rngs)

        def __call__(self, x: Any) -> Any:
            return nnx.relu(self.norm(self.conv(x)))

    return Net(), LAST


@sick("jax", at="norm")
def instance_norm_without_bias_jax() -> Any:
    return _jax(use_bias=False)


@healthy("jax")
def instance_norm_jax() -> Any:
    return _jax(use_bias=True)


def measured(finding: Finding, given: Given) -> None:
    """Six channels; centred over their positions, each has the mean 0."""
    assert finding.evidence["channels"] == 6
    assert "each of 6 channels is 0" in finding.message
    h = RNG.normal(3, 2, size=(4, 6, 8, 8))
    centred = (h - h.mean((2, 3), keepdims=True)) / h.std((2, 3), keepdims=True)
    assert np.abs(centred.mean((0, 2, 3))).max() < 1e-12

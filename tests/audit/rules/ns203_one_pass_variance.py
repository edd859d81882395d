"""NS203: E[x^2] - E[x]^2, and twins that centre first."""

from __future__ import annotations

from typing import Any

import numpy as np

from normscope.audit.finding import Finding, Severity
from onnx_text import onnx_model
from rule_fixtures import Given, healthy, sick

X = np.random.default_rng(0).normal(size=(4, 6, 32)).astype("float32")


def _torch(one_pass: bool) -> Any:
    import torch
    from torch import nn

    class Norm(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.gamma = nn.Parameter(torch.zeros(32))

        def forward(self, x: Any) -> Any:
            mean = x.mean(-1, keepdim=True)
            if one_pass:
                var = (x**2).mean(-1, keepdim=True) - mean**2
            else:
                var = ((x - mean) ** 2).mean(-1, keepdim=True)
            return self.gamma * (x - mean) / torch.sqrt(var + 1e-5)

    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.embed = nn.Linear(32, 32)
            self.norm = Norm()

        def forward(self, x: Any) -> Any:
            return self.norm(self.embed(x))

    return Net(), X


@sick("torch", at="norm")
def by_hand_torch() -> Any:
    """Its scale begins at zero, which hides nothing."""
    return _torch(one_pass=True)


@healthy("torch")
def centred_by_hand_torch() -> Any:
    return _torch(one_pass=False)


@sick("torch", at="")
def batch_norm_by_hand_torch() -> Any:
    import torch

    def normalized(x: Any) -> Any:
        mean = x.mean((0, 2, 3), keepdim=True)
        var = x.square().mean((0, 2, 3), keepdim=True) - mean.square()
        return (x - mean) * torch.rsqrt(var + 1e-5)

    return normalized, torch.randn(8, 3, 8, 8)


@healthy("torch")
def library_torch() -> Any:
    from torch import nn

    return nn.Sequential(nn.LayerNorm(32), nn.BatchNorm1d(6), nn.GroupNorm(2, 6)), X


@healthy("torch")
def rms_torch() -> Any:
    """Nothing is subtracted, so nothing cancels."""
    from torch import nn

    return nn.Sequential(nn.RMSNorm(32)), X


def _keras(one_pass: bool) -> Any:
    import keras
    from keras import ops

    class Norm(keras.layers.Layer):
        def call(self, x: Any) -> Any:
            mean = ops.mean(x, axis=-1, keepdims=True)
            if one_pass:
                var = ops.mean(ops.square(x), axis=-1, keepdims=True) - ops.square(mean)
            else:
                var = ops.var(x, axis=-1, keepdims=True)
            return (x - mean) / ops.sqrt(var + 1e-3)

    return keras.Sequential([keras.Input((6, 32)), keras.layers.Dense(32), Norm(name="norm")]), X


@sick("keras", at="norm")
def by_hand_keras() -> Any:
    return _keras(one_pass=True)


@healthy("keras")
def centred_by_hand_keras() -> Any:
    return _keras(one_pass=False)


_ONE_PASS = """
    mean = ReduceMean <axes = [-1]> (x)
    square = Mul (x, x)
    mean_square = ReduceMean <axes = [-1]> (square)
    squared_mean = Mul (mean, mean)
    var = Sub (mean_square, squared_mean)
    moved = Add (var, eps)
    root = Sqrt (moved)
    d = Sub (x, mean)
    y = Div (d, root)
"""

_TWO_PASSES = """
    mean = ReduceMean <axes = [-1]> (x)
    d = Sub (x, mean)
    square = Mul (d, d)
    var = ReduceMean <axes = [-1]> (square)
    moved = Add (var, eps)
    root = Sqrt (moved)
    y = Div (d, root)
"""


@sick("onnx", at="norm")
def by_hand_onnx() -> Any:
    return onnx_model(_ONE_PASS, X.shape, layer="norm", eps=1e-5), X


@healthy("onnx")
def centred_by_hand_onnx() -> Any:
    return onnx_model(_TWO_PASSES, X.shape, layer="norm", eps=1e-5), X


def _flax(fast: bool) -> Any:
    from flax import nnx

    class Net(nnx.Module):
        def __init__(self) -> None:
            self.norm = nnx.LayerNorm(32, use_fast_variance=fast, rngs=nnx.Rngs(0))

        def __call__(self, x: Any) -> Any:
            return self.norm(x)

    return Net(), X


@sick("jax", at="norm")
def fast_variance_jax() -> Any:
    return _flax(fast=True)


@healthy("jax")
def exact_variance_jax() -> Any:
    return _flax(fast=False)


@sick("jax", at="norm")
def fast_with_a_large_mean_jax() -> Any:
    """Running statistics show that the mean is far from 0."""
    from flax import nnx

    class Net(nnx.Module):
        def __init__(self) -> None:
            self.norm = nnx.BatchNorm(32, rngs=nnx.Rngs(0))
            self.norm.mean[...] += 5000

        def __call__(self, x: Any) -> Any:
            return self.norm(x)

    return Net(), X


def measured(finding: Finding, given: Given) -> None:
    """The formula in float32 by NumPy, at that mean, beside float64."""
    mean = finding.evidence["mean"]
    x = (mean + np.random.default_rng(1).standard_normal((64, 32))).astype("float32")
    var = np.mean(x * x, -1) - np.mean(x, -1) ** 2
    exact = x.astype("float64").var(-1)
    assert mean == 2000
    assert np.median(np.abs(var / exact - 1)) > 0.05
    assert finding.evidence["error"] is None or finding.evidence["error"] > 0.05
    assert finding.evidence["wrong_from"] <= mean
    largest = finding.evidence["largest_running_mean"]
    by_library = "use_fast_variance" in finding.fix
    seen = largest is not None and largest >= finding.evidence["wrong_from"]
    assert finding.severity is (Severity.INFO if by_library and not seen else Severity.WARNING)

"""NS204: a channel that hardly varied and keeps its scale, and one that was pruned."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from normscope.audit.finding import Finding
from onnx_text import onnx_model
from rule_fixtures import Given, healthy, sick

X = np.random.default_rng(0).normal(size=(4, 8, 6, 6)).astype("float32")
LAST = X.transpose(0, 2, 3, 1)

VAR = np.linspace(0.5, 2, 8)
STILL = np.where(np.arange(8) == 3, 1e-9, VAR)
HUGE = np.where(np.arange(8) == 5, 1.5e10, VAR)
SCALE = np.ones(8)
PRUNED = np.where(np.arange(8) == 3, 0.0, SCALE)


def _torch(var: Any, scale: Any) -> Any:
    import torch
    from torch import nn

    model = nn.Sequential(nn.Conv2d(8, 8, 1, bias=False), nn.BatchNorm2d(8), nn.ReLU())
    model[1].running_var.copy_(torch.tensor(var))
    model[1].running_mean.add_(0.1)
    with torch.no_grad():
        model[1].weight.copy_(torch.tensor(scale))
    return nn.Sequential(nn.Identity(), model).eval(), X


@sick("torch", at="1.1")
def still_torch() -> Any:
    return _torch(STILL, SCALE)


@sick("torch", at="1.1")
def huge_torch() -> Any:
    return _torch(HUGE, SCALE)


@healthy("torch")
def usual_torch() -> Any:
    return _torch(VAR, SCALE)


@healthy("torch")
def pruned_torch() -> Any:
    return _torch(STILL, PRUNED)


@healthy("torch")
def small_input_torch() -> Any:
    """All channels are small alike: no one is blown up more than the others."""
    return _torch(1e-9 * VAR, SCALE)


def _keras(var: Any, scale: Any) -> Any:
    import keras

    norm = keras.layers.BatchNormalization(name="bn", epsilon=1e-5)
    model = keras.Sequential([keras.Input((6, 6, 8)), norm])
    norm.set_weights([scale, np.zeros(8), np.full(8, 0.1), var])
    return model, LAST


@sick("keras", at="bn")
def still_keras() -> Any:
    return _keras(STILL, SCALE)


@healthy("keras")
def pruned_keras() -> Any:
    return _keras(STILL, PRUNED)


def _onnx(var: Any, scale: Any) -> Any:
    return onnx_model(
        "y = BatchNormalization (x, scale, bias, mean, var)",
        X.shape,
        layer="stem.bn",
        scale=scale,
        bias=np.zeros(8),
        mean=np.full(8, 0.1),
        var=var,
    )


@sick("onnx", at="stem.bn")
def still_onnx() -> Any:
    return _onnx(STILL, SCALE), X


@healthy("onnx")
def pruned_onnx() -> Any:
    return _onnx(STILL, PRUNED), X


def _jax(var: Any, scale: Any) -> Any:
    from flax import nnx
    from jax import numpy as jnp

    class Net(nnx.Module):
        def __init__(self) -> None:
            self.bn = nnx.BatchNorm(8, rngs=nnx.Rngs(0))
            self.bn.var[...] = jnp.asarray(var, jnp.float32)
            self.bn.scale[...] = jnp.asarray(scale, jnp.float32)

        def __call__(self, x: Any) -> Any:
            return self.bn(x)

    return Net(), LAST


@sick("jax", at="bn")
def still_jax() -> Any:
    return _jax(STILL, SCALE)


@healthy("jax")
def pruned_jax() -> Any:
    return _jax(STILL, PRUNED)


def measured(finding: Finding, given: Given) -> None:
    """1 / sqrt(variance + eps) of the channel, and of the median channel."""
    if "largest" in finding.evidence:
        assert finding.evidence["largest"] == pytest.approx(1.5e10)
        with np.errstate(over="ignore"):
            assert np.isinf(np.float16(1.5e10))
        return
    assert finding.evidence["channels"] == [3]
    assert finding.evidence["largest_factor"] == pytest.approx(1 / np.sqrt(1e-9 + 1e-5), rel=1e-3)
    assert finding.evidence["median_factor"] == pytest.approx(np.median(1 / np.sqrt(VAR)), rel=0.1)

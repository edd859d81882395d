"""NS804: a batch norm before a convolution with padding, and where folding is exact."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from normscope.audit.finding import Finding
from onnx_text import onnx_model
from rule_fixtures import Given, healthy, sick

X = np.random.default_rng(0).normal(size=(4, 8, 9, 9)).astype("float32")
LAST = X.transpose(0, 2, 3, 1)

SCALE = np.linspace(0.5, 2, 8)
BIAS = np.linspace(-1, 1, 8)
MEAN = np.linspace(-0.5, 1.5, 8)
VAR = np.linspace(0.5, 2, 8)
KERNEL = np.random.default_rng(1).normal(size=(3, 8, 3, 3))


def _torch(padding: int, between: bool = False, fresh: bool = False) -> Any:
    import torch
    from torch import nn

    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.bn = nn.BatchNorm2d(8)
            self.act = nn.ReLU() if between else nn.Identity()
            self.conv = nn.Conv2d(8, 3, 3, padding=padding, bias=False)

        def forward(self, x: Any) -> Any:
            return self.conv(self.act(self.bn(x)))

    net = Net()
    with torch.no_grad():
        net.conv.weight.copy_(torch.tensor(KERNEL))
        if not fresh:
            for own, values in zip(
                (net.bn.weight, net.bn.bias, net.bn.running_mean, net.bn.running_var),
                (SCALE, BIAS, MEAN, VAR),
                strict=True,
            ):
                own.copy_(torch.tensor(values))
    return net.eval(), X


@sick("torch", at="bn")
def padded_torch() -> Any:
    return _torch(1)


@healthy("torch")
def unpadded_torch() -> Any:
    return _torch(0)


@healthy("torch")
def activation_between_torch() -> Any:
    return _torch(1, between=True)


@healthy("torch")
def fresh_torch() -> Any:
    """Its shift is 0, as that of the padding."""
    return _torch(1, fresh=True)


@healthy("torch")
def after_convolution_torch() -> Any:
    from torch import nn

    net = _torch(1)[0]
    return nn.Sequential(nn.Conv2d(8, 8, 3, padding=1), net.bn, nn.ReLU()).eval(), X


def _keras(padding: str) -> Any:
    import keras

    bn = keras.layers.BatchNormalization(name="bn", epsilon=1e-5)
    conv = keras.layers.Conv2D(3, 3, padding=padding, use_bias=False, name="conv")
    model = keras.Sequential([keras.Input((9, 9, 8)), bn, conv])
    bn.set_weights([SCALE, BIAS, MEAN, VAR])
    conv.set_weights([KERNEL.transpose(2, 3, 1, 0)])
    return model, LAST


@sick("keras", at="bn")
def padded_keras() -> Any:
    return _keras("same")


@healthy("keras")
def unpadded_keras() -> Any:
    return _keras("valid")


def _onnx(pad: int) -> Any:
    nodes = f"""
        [bn] h = BatchNormalization (x, scale, bias, mean, var)
        [conv] y = Conv <pads = [{pad}, {pad}, {pad}, {pad}]> (h, kernel)
    """
    size = 7 + 2 * pad
    arrays = {"scale": SCALE, "bias": BIAS, "mean": MEAN, "var": VAR, "kernel": KERNEL}
    return onnx_model(nodes, X.shape, output=(4, 3, size, size), **arrays), X


@sick("onnx", at="bn")
def padded_onnx() -> Any:
    return _onnx(1)


@healthy("onnx")
def unpadded_onnx() -> Any:
    return _onnx(0)


def _jax(padding: str) -> Any:
    from flax import nnx
    from jax import numpy as jnp

    class Net(nnx.Module):
        def __init__(self) -> None:
            self.bn = nnx.BatchNorm(8, use_running_average=True, rngs=nnx.Rngs(0))
            for name, values in (("scale", SCALE), ("bias", BIAS), ("mean", MEAN), ("var", VAR)):
                getattr(self.bn, name)[...] = jnp.asarray(values, jnp.float32)
            self.conv = nnx.Conv(8, 3, (3, 3), padding=padding, use_bias=False, rngs=nnx.Rngs(0))
            self.conv.kernel[...] = jnp.asarray(KERNEL.transpose(2, 3, 1, 0), jnp.float32)

        def __call__(self, x: Any) -> Any:
            return self.conv(self.bn(x))

    return Net(), LAST


@sick("jax", at="bn")
def padded_jax() -> Any:
    return _jax("SAME")


@healthy("jax")
def unpadded_jax() -> Any:
    return _jax("VALID")


def measured(finding: Finding, given: Given) -> None:
    """Folded by NumPy: what the taps outside of the image would have added."""
    shift = BIAS - MEAN * SCALE / np.sqrt(VAR + 1e-5)
    taps = np.einsum("ochw,c->ohw", KERNEL, shift)
    rows = (slice(0, 3), slice(1, 3), slice(0, 2))
    seen = [taps[:, a, b].sum((1, 2)) for a in rows for b in rows]
    worst = max(np.abs(part - taps.sum((1, 2))).max() for part in seen)
    # what comes out has the mean of the normalized input, BIAS, and its spread, SCALE
    inner = np.einsum("ochw,c->o", KERNEL, BIAS)
    spread = np.sqrt(np.einsum("ochw,c->o", KERNEL**2, SCALE**2).mean() + inner.var())
    assert finding.evidence["border_error"] == pytest.approx(worst / spread, rel=0.35)

"""NS903: deviations of ImageNet in the place of variances."""

from __future__ import annotations

from typing import Any

import numpy as np

from normscope.audit.finding import Finding
from onnx_text import onnx_model
from rule_fixtures import Given, healthy, sick

RNG = np.random.default_rng(0)
X = RNG.uniform(0, 1, size=(2, 3, 6, 6)).astype("float32")
LAST = X.transpose(0, 2, 3, 1)
MEAN, STD = [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]
VARIANCE = [s**2 for s in STD]


def _keras(variance: Any, compensated: bool = False) -> Any:
    import keras

    layers = [
        keras.layers.Rescaling(1 / 255),
        keras.layers.Normalization(mean=MEAN, variance=variance, name="scaling"),
    ]
    if compensated:  # as EfficientNet of keras.applications does with its trained weights
        layers.append(keras.layers.Rescaling([1 / s**0.5 for s in STD]))
    return keras.Sequential([keras.Input((6, 6, 3)), *layers, keras.layers.Conv2D(4, 3)])


@sick("keras", at="scaling")
def deviations_keras() -> Any:
    return _keras(STD), LAST


@healthy("keras")
def variances_keras() -> Any:
    return _keras(VARIANCE), LAST


@healthy("keras")
def compensated_keras() -> Any:
    return _keras(STD, compensated=True), LAST


def _torch(variance: Any) -> Any:
    import torch
    from torch import nn

    class Scaled(nn.Module):
        mean: torch.Tensor
        var: torch.Tensor

        def __init__(self) -> None:
            super().__init__()
            self.register_buffer("mean", torch.tensor(MEAN).view(3, 1, 1))
            self.register_buffer("var", torch.tensor(variance).view(3, 1, 1))
            self.conv = nn.Conv2d(3, 4, 3)

        def forward(self, x: Any) -> Any:
            return self.conv((x - self.mean) / self.var.sqrt())

    return Scaled()


@sick("torch", at="")
def deviations_torch() -> Any:
    return _torch(STD), X


@healthy("torch")
def variances_torch() -> Any:
    return _torch(VARIANCE), X


def _batch_norm(variance: Any) -> Any:
    import torch
    from torch import nn

    net = nn.Sequential(nn.BatchNorm2d(3, affine=False), nn.Conv2d(3, 4, 3))
    net[0].running_mean.copy_(torch.tensor(MEAN))
    net[0].running_var.copy_(torch.tensor(variance))
    return net.eval()


@sick("torch", at="0")
def running_variance_torch() -> Any:
    return _batch_norm(STD), X


@healthy("torch")
def squared_running_variance_torch() -> Any:
    return _batch_norm(VARIANCE), X


def _onnx(variance: Any) -> Any:
    nodes = "[input_bn] h = BatchNormalization (x, s, b, m, v)\n[conv] y = Conv (h, w)"
    arrays = {"s": np.ones(3), "b": np.zeros(3), "m": np.array(MEAN), "v": np.array(variance)}
    return onnx_model(nodes, X.shape, w=RNG.normal(size=(3, 3, 1, 1)), **arrays), X


@sick("onnx", at="input_bn")
def deviations_onnx() -> Any:
    return _onnx(STD)


@healthy("onnx")
def variances_onnx() -> Any:
    return _onnx(VARIANCE)


def _nnx(variance: Any) -> Any:
    import jax
    import jax.numpy as jnp
    from flax import nnx

    class Net(nnx.Module):
        def __init__(self) -> None:
            self.conv = nnx.Conv(3, 4, (3, 3), rngs=nnx.Rngs(0))

        def __call__(self, x: Any) -> Any:
            scaled = (x - jnp.array(MEAN)) * jax.lax.rsqrt(jnp.array(variance))
            return self.conv(scaled)

    return Net()


@sick("jax", at="")
def deviations_jax() -> Any:
    return _nnx(STD), LAST


@healthy("jax")
def variances_jax() -> Any:
    return _nnx(VARIANCE), LAST


def measured(finding: Finding, given: Given) -> None:
    """The factors are the roots of the inverse deviations, in one unit or another."""
    factors = np.array(finding.evidence["factors"])
    unit = factors * np.sqrt(STD)
    assert np.allclose(unit, unit[0], rtol=1e-4)
    assert f"{factors[0]:.4g}" in finding.message

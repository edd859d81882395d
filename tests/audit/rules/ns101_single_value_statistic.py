"""NS101: group norm with one channel to a group after global pooling, and its twin before it."""

from __future__ import annotations

from typing import Any

import numpy as np

from normscope.audit.finding import Finding
from rule_fixtures import Given, healthy, sick

X = np.random.default_rng(0).normal(size=(4, 8, 6, 6)).astype("float32")
LAST = X.transpose(0, 2, 3, 1)


def _torch(pool_first: bool) -> Any:
    from torch import nn

    parts: list[Any] = [nn.AdaptiveAvgPool2d(1), nn.GroupNorm(8, 8)]
    return nn.Sequential(*(parts if pool_first else parts[::-1]), nn.Flatten(), nn.Linear(8, 3))


@sick("torch", at="1")
def pooled_torch() -> Any:
    return _torch(True), X


@healthy("torch")
def unpooled_torch() -> Any:
    return _torch(False), X


def _keras(pool_first: bool) -> Any:
    import keras

    pool = keras.layers.GlobalAveragePooling2D(keepdims=True)
    norm = keras.layers.GroupNormalization(groups=8, name="norm")
    parts = (pool, norm) if pool_first else (norm, pool)
    return keras.Sequential([keras.Input((6, 6, 8)), *parts])


@sick("keras", at="norm")
def pooled_keras() -> Any:
    return _keras(True), LAST


@healthy("keras")
def unpooled_keras() -> Any:
    return _keras(False), LAST


def _onnx(size: int) -> Any:
    from onnx import TensorProto, helper

    norm = helper.make_node("InstanceNormalization", ["x", "scale", "bias"], ["y"], name="norm")
    shape = [4, 8, size, size]
    values = [helper.make_tensor(n, TensorProto.FLOAT, [8], [1.0] * 8) for n in ("scale", "bias")]
    inputs = [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)]
    outputs = [helper.make_tensor_value_info("y", TensorProto.FLOAT, shape)]
    graph = helper.make_graph([norm], "net", inputs, outputs, values)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])


@sick("onnx", at="norm")
def one_pixel_onnx() -> Any:
    return _onnx(1)


@healthy("onnx")
def many_pixels_onnx() -> Any:
    return _onnx(6)


def _jax(pool_first: bool) -> Any:
    from flax import nnx

    class Net(nnx.Module):
        def __init__(self) -> None:
            self.norm = nnx.GroupNorm(8, num_groups=8, rngs=nnx.Rngs(0))

        def __call__(self, x: Any) -> Any:
            if pool_first:
                x = x.mean((1, 2), keepdims=True)
            return self.norm(x)

    return Net()


@sick("jax", at="norm")
def pooled_jax() -> Any:
    return _jax(True), LAST


@healthy("jax")
def unpooled_jax() -> Any:
    return _jax(False), LAST


def measured(finding: Finding, given: Given) -> None:
    """With one channel to each of 8 groups and one pixel, a set is one value."""
    assert finding.evidence["set_size"] == np.prod(finding.evidence["input_shape"][1:]) / 8 == 1

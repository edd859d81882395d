"""NS701: batch norm in a model that promises that samples stay apart; its twin within samples."""

from __future__ import annotations

from typing import Any

import numpy as np

from normscope.audit.finding import Finding
from normscope.scope.replacement import Replacement
from rule_fixtures import Given, healthy, sick

X = np.random.default_rng(0).normal(size=(4, 8, 6, 6)).astype("float32")
LAST = X.transpose(0, 2, 3, 1).copy()
APART = {"independent": "b"}


def _torch(norm: Any) -> Any:
    from torch import nn

    return nn.Sequential(nn.Identity(), norm(nn))


@sick("torch", at="1")
def batch_torch() -> Any:
    return _torch(lambda nn: nn.BatchNorm2d(8)), X, APART


@healthy("torch")
def group_torch() -> Any:
    return _torch(lambda nn: nn.GroupNorm(2, 8)), X, APART


@healthy("torch")
def batch_at_inference_torch() -> Any:
    return _torch(lambda nn: nn.BatchNorm2d(8)), X, {"independent": "b@inference"}


@healthy("torch")
def nothing_promised_torch() -> Any:
    return _torch(lambda nn: nn.BatchNorm2d(8)), X


def _keras(batch: bool) -> Any:
    import keras

    kind = keras.layers.BatchNormalization if batch else keras.layers.LayerNormalization
    return keras.Sequential([keras.Input((6, 6, 8)), kind(name="norm")])


@sick("keras", at="norm")
def batch_keras() -> Any:
    return _keras(True), LAST, APART


@healthy("keras")
def layer_keras() -> Any:
    return _keras(False), LAST, APART


def _onnx(training: int) -> Any:
    from onnx import TensorProto, helper

    names = ["scale", "bias", "mean", "var"]
    outputs = ["y", "m", "v"] if training else ["y"]
    norm = helper.make_node(
        "BatchNormalization",
        ["x", *names],
        outputs,
        name="/norm/BatchNormalization",
        training_mode=training,
    )
    values = [
        helper.make_tensor(n, TensorProto.FLOAT, [8], [float(n in ("scale", "var"))] * 8)
        for n in names
    ]
    inputs = [helper.make_tensor_value_info("x", TensorProto.FLOAT, list(X.shape))]
    made = [helper.make_tensor_value_info("y", TensorProto.FLOAT, list(X.shape))]
    graph = helper.make_graph([norm], "net", inputs, made, values)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])


@sick("onnx", at="norm")
def batch_onnx() -> Any:
    return _onnx(1), X, APART


@healthy("onnx")
def running_onnx() -> Any:
    return _onnx(0), X, APART


def _jax(batch: bool) -> Any:
    from flax import nnx

    class Net(nnx.Module):
        def __init__(self) -> None:
            kind = nnx.BatchNorm if batch else nnx.LayerNorm
            self.norm = kind(8, rngs=nnx.Rngs(0))

        def __call__(self, x: Any) -> Any:
            return self.norm(x)

    return Net()


@sick("jax", at="norm")
def batch_jax() -> Any:
    return _jax(True), LAST, APART


@healthy("jax")
def layer_jax() -> Any:
    return _jax(False), LAST, APART


def measured(finding: Finding, given: Given) -> None:
    """The change of sample 0 is that of the definition of batch normalization."""
    (first, *_) = finding.evidence["promises"]
    number = first["measured"]
    x = given.inputs
    channel = x.shape.index(8)
    others = tuple(axis for axis in range(4) if axis != channel)

    def normalized(x: Any) -> Any:
        wide = x.astype("float64")
        mean, var = wide.mean(others, keepdims=True), wide.var(others, keepdims=True)
        return (wide - mean) / np.sqrt(var + 1e-5)

    changes = [
        np.abs(normalized(Replacement(x).at(x, 0, number["replaced"], upper)) - normalized(x))[0]
        for upper in (True, False)
    ]
    np.testing.assert_allclose(number["change"], np.max(changes), rtol=5e-3)  # eps is the layer's
    assert f"changes by up to {number['change']:.3g}" in finding.message

"""NS702: group norm over time in a model that promises to be causal; its twin over channels."""

from __future__ import annotations

from typing import Any

import numpy as np

from normscope.audit.finding import Finding
from rule_fixtures import Given, healthy, sick

STEPS = 12
X = np.random.default_rng(0).normal(size=(2, 8, STEPS)).astype("float32")
LAST = X.transpose(0, 2, 1).copy()
FIRST = {"axes": "b c t", "causal": "t"}
CAUSAL = {"axes": "b t c", "causal": "t"}


def _torch(norm: Any) -> Any:
    from torch import nn

    return nn.Sequential(nn.Identity(), norm(nn))


@sick("torch", at="1")
def group_torch() -> Any:
    return _torch(lambda nn: nn.GroupNorm(1, 8)), X, FIRST


@healthy("torch")
def layer_torch() -> Any:
    return _torch(lambda nn: nn.LayerNorm(8)), LAST, CAUSAL


@healthy("torch")
def nothing_promised_torch() -> Any:
    return _torch(lambda nn: nn.GroupNorm(1, 8)), X


def _keras(groups: int) -> Any:
    import keras

    kinds = keras.layers
    norm = kinds.GroupNormalization(groups, name="norm") if groups else kinds.LayerNormalization()
    return keras.Sequential([keras.Input((STEPS, 8)), norm])


@sick("keras", at="norm")
def group_keras() -> Any:
    return _keras(1), LAST, CAUSAL


@healthy("keras")
def layer_keras() -> Any:
    return _keras(0), LAST, CAUSAL


def _onnx(axes: str) -> Any:
    from onnx import TensorProto, helper

    shape = list(X.shape)
    norm = {
        "t": helper.make_node(
            "InstanceNormalization",
            ["x", "scale", "bias"],
            ["y"],
            name="/norm/InstanceNormalization",
        ),
        "c": helper.make_node(
            "LayerNormalization",
            ["x", "scale", "bias"],
            ["y"],
            name="/norm/LayerNormalization",
            axis=2,
        ),
    }[axes]
    length = 8 if axes == "t" else STEPS
    values = [
        helper.make_tensor(n, TensorProto.FLOAT, [length], [v] * length)
        for n, v in (("scale", 1.0), ("bias", 0.0))
    ]
    inputs = [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)]
    outputs = [helper.make_tensor_value_info("y", TensorProto.FLOAT, shape)]
    graph = helper.make_graph([norm], "net", inputs, outputs, values)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])


@sick("onnx", at="norm")
def instance_onnx() -> Any:
    return _onnx("t"), X, FIRST


@healthy("onnx")
def layer_onnx() -> Any:
    return _onnx("c"), X, {"axes": "b t c", "causal": "t"}


def _jax(over_time: bool) -> Any:
    from flax import nnx

    class Net(nnx.Module):
        def __init__(self) -> None:
            rngs = nnx.Rngs(0)
            group = nnx.GroupNorm(8, num_groups=1, rngs=rngs)
            self.norm = group if over_time else nnx.LayerNorm(8, rngs=rngs)

        def __call__(self, x: Any) -> Any:
            return self.norm(x)

    return Net()


@sick("jax", at="norm")
def group_jax() -> Any:
    return _jax(True), LAST, CAUSAL


@healthy("jax")
def layer_jax() -> Any:
    return _jax(False), LAST, CAUSAL


def measured(finding: Finding, given: Given) -> None:
    """A set that holds all steps lets the first see the last."""
    number = finding.evidence["promises"][0]["measured"]
    assert number["steps_ahead"] == STEPS - 1
    assert (number["step"], number["later_step"]) == (0, STEPS - 1)
    assert "step 0 of output" in finding.message
    assert "changes with step 11 of" in finding.message

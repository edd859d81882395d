"""NS703: instance norm in a model that promises that a tile is as the whole; twins per position."""

from __future__ import annotations

from typing import Any

import numpy as np

from normscope.audit.finding import Finding
from normscope.scope.tiles import with_other_half
from rule_fixtures import Given, healthy, sick

X = np.random.default_rng(0).normal(size=(2, 4, 8, 10)).astype("float32")
LAST = X.transpose(0, 2, 3, 1).copy()
FIRST = {"axes": "b c h w", "independent": "h w"}
TILED = {"axes": "b h w c", "independent": "h w"}


def _torch(norm: Any) -> Any:
    from torch import nn

    return nn.Sequential(nn.Identity(), norm(nn))


@sick("torch", at="1")
def instance_torch() -> Any:
    return _torch(lambda nn: nn.InstanceNorm2d(4)), X, FIRST


@healthy("torch")
def layer_torch() -> Any:
    return _torch(lambda nn: nn.LayerNorm(4)), LAST, TILED


@healthy("torch")
def batch_at_inference_torch() -> Any:
    promised = {"axes": "b c h w", "independent": {"inference": ["h", "w"]}}
    return _torch(lambda nn: nn.BatchNorm2d(4)), X, promised


@healthy("torch")
def nothing_promised_torch() -> Any:
    return _torch(lambda nn: nn.InstanceNorm2d(4)), X


def _keras(instance: bool) -> Any:
    import keras

    kinds = keras.layers
    norm = kinds.GroupNormalization(4, name="norm") if instance else kinds.LayerNormalization()
    return keras.Sequential([keras.Input((None, None, 4)), norm])


@sick("keras", at="norm")
def instance_keras() -> Any:
    return _keras(True), LAST, TILED


@healthy("keras")
def layer_keras() -> Any:
    return _keras(False), LAST, TILED


def _onnx(instance: bool) -> Any:
    from onnx import TensorProto, helper

    shape = ["n", 4, "h", "w"] if instance else ["n", "h", "w", 4]
    kind, more = ("InstanceNormalization", {}) if instance else ("LayerNormalization", {"axis": -1})
    norm = helper.make_node(kind, ["x", "scale", "bias"], ["y"], name=f"/norm/{kind}", **more)
    values = [
        helper.make_tensor(n, TensorProto.FLOAT, [4], [v] * 4)
        for n, v in (("scale", 1.0), ("bias", 0.0))
    ]
    inputs = [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)]
    outputs = [helper.make_tensor_value_info("y", TensorProto.FLOAT, shape)]
    graph = helper.make_graph([norm], "net", inputs, outputs, values)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])


@sick("onnx", at="norm")
def instance_onnx() -> Any:
    return _onnx(True), X, FIRST


@healthy("onnx")
def layer_onnx() -> Any:
    return _onnx(False), LAST, TILED


def _jax(instance: bool) -> Any:
    from flax import nnx

    class Net(nnx.Module):
        def __init__(self) -> None:
            rngs = nnx.Rngs(0)
            group = nnx.GroupNorm(4, num_groups=4, rngs=rngs)
            self.norm = group if instance else nnx.LayerNorm(4, rngs=rngs)

        def __call__(self, x: Any) -> Any:
            return self.norm(x)

    return Net()


@sick("jax", at="norm")
def instance_jax() -> Any:
    return _jax(True), LAST, TILED


@healthy("jax")
def layer_jax() -> Any:
    return _jax(False), LAST, TILED


def measured(finding: Finding, given: Given) -> None:
    """The difference between whole and tiles is that of the definition, for each axis."""
    for promise in finding.evidence["promises"]:
        axis = given.options["axes"].split().index(promise["axis"])
        positions = tuple(given.options["axes"].split().index(name) for name in "hw")
        x = with_other_half(given.inputs, axis, first=False).astype("float64")

        def normalized(x: Any, over: tuple[int, ...] = positions) -> Any:
            return (x - x.mean(over, keepdims=True)) / np.sqrt(x.var(over, keepdims=True) + 1e-5)

        tiles = [normalized(tile) for tile in np.split(x, 2, axis)]
        expected = np.abs(np.concatenate(tiles, axis) - normalized(x)).max()
        np.testing.assert_allclose(promise["measured"]["tiles_differ"], expected, rtol=5e-3)
    first = finding.evidence["promises"][0]["measured"]["tiles_differ"]
    assert f"differs from that of the whole by up to {first:.3g}" in finding.message

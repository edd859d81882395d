"""NS302: statistics of the batch at inference, and layers with running statistics."""

from __future__ import annotations

from typing import Any

import numpy as np

from normscope.audit.finding import Finding
from rule_fixtures import Given, healthy, sick

X = np.random.default_rng(0).normal(size=(4, 6)).astype("float32")


def _torch(track: bool) -> Any:
    from torch import nn

    head = nn.Sequential(nn.Linear(6, 6), nn.BatchNorm1d(6, track_running_stats=track), nn.ReLU())
    return nn.Sequential(nn.Linear(6, 6), head)


@sick("torch", at="1.1")
def untracked_torch() -> Any:
    return _torch(track=False), X


@healthy("torch")
def tracked_torch() -> Any:
    return _torch(track=True), X


@sick("torch", at="norm")
def by_hand_torch() -> Any:
    from torch import nn

    class Whiten(nn.Module):
        def forward(self, x: Any) -> Any:
            return (x - x.mean(0)) / (x.var(0, unbiased=False) + 1e-5).sqrt()

    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner, self.norm = nn.Linear(6, 6), Whiten()

        def forward(self, x: Any) -> Any:
            return self.norm(self.inner(x))

    return Net(), X


def _keras(hard_wired: bool) -> Any:
    import keras

    class Net(keras.Model):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.dense = keras.layers.Dense(6)
            self.bn = keras.layers.BatchNormalization(name="bn")

        def call(self, inputs: Any, training: Any = None) -> Any:
            return self.bn(self.dense(inputs), training=True if hard_wired else training)

    return Net()


@sick("keras", at="bn")
def hard_wired_keras() -> Any:
    return _keras(hard_wired=True), X


@healthy("keras")
def passed_on_keras() -> Any:
    return _keras(hard_wired=False), X


def _functional_keras(hard_wired: bool) -> Any:
    import keras

    given = keras.Input((6,))
    norm = keras.layers.BatchNormalization(name="norm")
    x = keras.layers.Dense(6, use_bias=False)(given)
    x = norm(x, training=True) if hard_wired else norm(x)
    return keras.Model(given, keras.layers.Dense(2)(x))


@sick("keras", at="norm")
def written_down_keras() -> Any:
    return _functional_keras(hard_wired=True), X


@healthy("keras")
def left_open_keras() -> Any:
    return _functional_keras(hard_wired=False), X


@healthy("keras")
def frozen_keras() -> Any:
    model = _functional_keras(hard_wired=True)
    model.get_layer("norm").trainable = False  # it takes the running statistics then
    return model, X


def _onnx(axes: list[int]) -> Any:
    from onnx import TensorProto, helper, numpy_helper

    nodes = [
        helper.make_node("ReduceMean", ["x"], ["mean"], name="/norm/ReduceMean", axes=axes),
        helper.make_node("Sub", ["x", "mean"], ["centred"], name="/norm/Sub"),
        helper.make_node("Mul", ["centred", "centred"], ["square"], name="/norm/Mul"),
        helper.make_node("ReduceMean", ["square"], ["var"], name="/norm/ReduceMean_1", axes=axes),
        helper.make_node("Add", ["var", "eps"], ["inside"], name="/norm/Add"),
        helper.make_node("Sqrt", ["inside"], ["root"], name="/norm/Sqrt"),
        helper.make_node("Div", ["centred", "root"], ["y"], name="/norm/Div"),
    ]
    ends = [helper.make_tensor_value_info(n, TensorProto.FLOAT, [4, 6]) for n in "xy"]
    held = [numpy_helper.from_array(np.float32(1e-5), "eps")]
    graph = helper.make_graph(nodes, "net", ends[:1], ends[1:], held)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])


@sick("onnx", at="norm")
def over_samples_onnx() -> Any:
    return _onnx([0])


@healthy("onnx")
def over_features_onnx() -> Any:
    return _onnx([1])


def _nnx(stuck: bool) -> Any:
    from flax import nnx

    class Net(nnx.Module):
        def __init__(self) -> None:
            self.norm = nnx.BatchNorm(6, rngs=nnx.Rngs(0))

        def __call__(self, x: Any) -> Any:
            return self.norm(x, use_running_average=False if stuck else None)

    return Net()


@sick("jax", at="norm")
def stuck_in_training_jax() -> Any:
    return _nnx(stuck=True), X


@healthy("jax")
def told_by_mode_jax() -> Any:
    return _nnx(stuck=False), X


def measured(finding: Finding, given: Given) -> None:
    """A set is a column of vectors; of one sample it is one value."""
    assert finding.evidence["set_size_at_batch_1"] == X[:1, 0].size

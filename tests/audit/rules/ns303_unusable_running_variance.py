"""NS303: a variance that is 0 or no number, and channels that were pruned."""

from __future__ import annotations

from typing import Any

import numpy as np

from normscope.audit.finding import Finding
from rule_fixtures import Given, healthy, sick

X = np.random.default_rng(0).normal(size=(4, 6)).astype("float32")
NAN = np.array([1, 2, np.nan, 1, 1, 1], "float32")
STILL = np.array([1, 0, 2, 0, 1, 1], "float32")
NEGATIVE = np.array([1, 2, -0.5, 1, 1, 1], "float32")
FINE = np.array([1, 1e-3, 2, 4, 1, 1], "float32")


def _torch(var: Any, pruned: bool = False) -> Any:
    import torch
    from torch import nn

    model = nn.Sequential(nn.Linear(6, 6, bias=False), nn.BatchNorm1d(6))
    model[1].running_var.copy_(torch.from_numpy(var))
    if pruned:
        model[1].weight.data[[1, 3]] = 0
    return nn.Sequential(model, nn.Linear(6, 1)), X


@sick("torch", at="0.1")
def still_torch() -> Any:
    return _torch(STILL)


@healthy("torch")
def pruned_torch() -> Any:
    return _torch(STILL, pruned=True)


@healthy("torch")
def fine_torch() -> Any:
    return _torch(FINE)


def _keras(var: Any) -> Any:
    import keras

    norm = keras.layers.BatchNormalization(name="bn")
    model = keras.Sequential([keras.Input((6,)), norm, keras.layers.Dense(2)])
    norm.moving_variance.assign(var)
    return model


@sick("keras", at="bn")
def no_number_keras() -> Any:
    return _keras(NAN), X


@healthy("keras")
def fine_keras() -> Any:
    return _keras(FINE), X


def _onnx(var: Any) -> Any:
    from onnx import TensorProto, helper, numpy_helper

    arrays = {"scale": np.ones(6), "bias": np.zeros(6), "mean": np.zeros(6), "var": var}
    held = [numpy_helper.from_array(np.float32(a), name) for name, a in arrays.items()]
    norm = helper.make_node("BatchNormalization", ["x", *arrays], ["y"], name="/bn/BatchNorm")
    ends = [helper.make_tensor_value_info(n, TensorProto.FLOAT, [4, 6]) for n in "xy"]
    graph = helper.make_graph([norm], "net", ends[:1], ends[1:], held)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])


@sick("onnx", at="bn")
def still_onnx() -> Any:
    return _onnx(STILL)


@sick("onnx", at="bn")
def negative_onnx() -> Any:
    return _onnx(NEGATIVE)


@healthy("onnx")
def fine_onnx() -> Any:
    return _onnx(FINE)


def _nnx(var: Any) -> Any:
    import jax.numpy as jnp
    from flax import nnx

    norm = nnx.BatchNorm(6, rngs=nnx.Rngs(0))
    norm.var.set_value(jnp.asarray(var))
    return nnx.Sequential(norm)


@sick("jax", at="layers.0")
def no_number_jax() -> Any:
    return _nnx(NAN), X


@healthy("jax")
def fine_jax() -> Any:
    return _nnx(FINE), X


def measured(finding: Finding, given: Given) -> None:
    """The channels are those of the array that was written."""
    written = NAN if finding.severity == "error" else STILL
    places = np.flatnonzero(np.isnan(written) | (written == 0)).tolist()
    assert finding.evidence == {"channels": places, "count": len(places)}

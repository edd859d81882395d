"""NS304: a momentum of the other convention, and what is meant so."""

from __future__ import annotations

from typing import Any

import numpy as np

from normscope.audit.finding import Finding
from rule_fixtures import Given, healthy, sick

X = np.random.default_rng(0).normal(size=(4, 6)).astype("float32")


def _torch(momentum: float | None) -> Any:
    from torch import nn

    post = nn.Sequential(nn.Linear(6, 6, bias=False), nn.BatchNorm1d(6, momentum=momentum))
    return nn.ModuleDict({"decoder": nn.Sequential(nn.Identity(), post)})["decoder"], X


@sick("torch", at="1.1")
def of_keras_torch() -> Any:
    return _torch(0.99)


@healthy("torch")
def default_torch() -> Any:
    return _torch(0.1)


@healthy("torch")
def newest_alone_torch() -> Any:
    """As statistics are taken anew of one large batch."""
    return _torch(1.0)


@healthy("torch")
def cumulative_torch() -> Any:
    return _torch(None)


def _functional(momentum: float) -> Any:
    import torch
    from torch import nn

    class MetaNorm(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.register_buffer("mean", torch.zeros(6))
            self.register_buffer("var", torch.ones(6))
            self.weight = nn.Parameter(torch.ones(6))

        def forward(self, x: Any) -> Any:
            held: dict[str, Any] = dict(self.named_buffers())
            return nn.functional.batch_norm(
                x, held["mean"], held["var"], self.weight, None, self.training, momentum
            )

    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner, self.norm = nn.Linear(6, 6), MetaNorm()

        def forward(self, x: Any) -> Any:
            return self.norm(self.inner(x))

    return Net(), X


@sick("torch", at="norm")
def functional_torch() -> Any:
    return _functional(0.9)


@healthy("torch")
def functional_default_torch() -> Any:
    return _functional(0.1)


def _keras(momentum: float) -> Any:
    import keras

    norm = keras.layers.BatchNormalization(momentum=momentum, name="bn")
    return keras.Sequential([keras.Input((6,)), keras.layers.Dense(6, use_bias=False), norm])


@sick("keras", at="bn")
def of_torch_keras() -> Any:
    return _keras(0.1)


@healthy("keras")
def fast_keras() -> Any:
    return _keras(0.9)


@healthy("keras")
def newest_alone_keras() -> Any:
    return _keras(0.0)


def _onnx(momentum: float) -> Any:
    from onnx import TensorProto, helper

    held = [helper.make_tensor(n, TensorProto.FLOAT, [6], [1.0] * 6) for n in "sbmv"]
    norm = helper.make_node(
        "BatchNormalization", ["x", *"sbmv"], ["y"], name="/bn/BatchNorm", momentum=momentum
    )
    ends = [helper.make_tensor_value_info(n, TensorProto.FLOAT, [4, 6]) for n in "xy"]
    graph = helper.make_graph([norm], "net", ends[:1], ends[1:], held)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])


@sick("onnx", at="bn")
def of_torch_onnx() -> Any:
    return _onnx(0.1)


@healthy("onnx")
def default_onnx() -> Any:
    return _onnx(0.9)


def _nnx(momentum: float) -> Any:
    from flax import nnx

    class Net(nnx.Module):
        def __init__(self) -> None:
            rngs = nnx.Rngs(0)
            self.inner = nnx.Linear(6, 6, rngs=rngs)
            self.norm = nnx.BatchNorm(6, momentum=momentum, rngs=rngs)

        def __call__(self, x: Any) -> Any:
            return self.norm(self.inner(x))

    return Net(), X


@sick("jax", at="norm")
def of_torch_nnx() -> Any:
    return _nnx(0.1)


@healthy("jax")
def default_nnx() -> Any:
    return _nnx(0.99)


def _linen(momentum: float) -> Any:
    import jax
    from flax import linen

    class Net(linen.Module):
        @linen.compact
        def __call__(self, x: Any, train: bool = False) -> Any:
            norm = linen.BatchNorm(use_running_average=not train, momentum=momentum, name="bn")
            return norm(linen.Dense(6)(x))

    return (Net(), Net().init(jax.random.key(0), X)), X


@sick("jax", at="bn")
def of_torch_linen() -> Any:
    return _linen(0.1)


@healthy("jax")
def default_linen() -> Any:
    return _linen(0.9)


def measured(finding: Finding, given: Given) -> None:
    """The mean after one update from 0 by a batch of ones is the share of the newest batch."""
    stated, share = finding.evidence["momentum"], finding.evidence["newest_share"]
    if hasattr(given.model, "named_buffers"):
        import torch

        norm = torch.nn.BatchNorm1d(1, momentum=stated)
        norm(torch.ones(4, 1))
        assert norm.running_mean is not None
        assert np.isclose(float(norm.running_mean), share)
    else:
        import keras

        norm = keras.layers.BatchNormalization(momentum=stated)
        norm(np.ones((4, 1), "float32"), training=True)
        assert np.isclose(float(norm.moving_mean[0]), share)
    assert np.isclose(finding.evidence["meant"], 1 - stated)

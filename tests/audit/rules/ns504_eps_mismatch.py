"""NS504: the eps of a port beside that of the original, and one eps among equal layers."""

from __future__ import annotations

from typing import Any

import numpy as np

from normscope.audit.finding import Finding
from onnx_text import onnx_model
from rule_fixtures import Given, healthy, sick

RNG = np.random.default_rng(0)
X = RNG.normal(size=(4, 3, 8, 8)).astype("float32")
LAST = X.transpose(0, 2, 3, 1)
ROWS = RNG.normal(size=(4, 7, 12)).astype("float32")
VAR = np.array([1e-3, 0.02, 0.3, 1, 2, 5], "float32")


def _torch(eps: float) -> Any:
    import torch
    from torch import nn

    net = nn.Sequential(nn.Conv2d(3, 6, 3, bias=False), nn.BatchNorm2d(6, eps=eps), nn.ReLU())
    net[1].running_var.copy_(torch.from_numpy(VAR))
    return net


def _keras(eps: float) -> Any:
    import keras

    norm = keras.layers.BatchNormalization(name="bn", epsilon=eps)
    conv = keras.layers.Conv2D(6, 3, use_bias=False)
    net = keras.Sequential([keras.Input((8, 8, 3)), conv, norm, keras.layers.ReLU()])
    norm.set_weights([*norm.get_weights()[:3], VAR])
    return net


@sick("torch", at="1")
def port_with_its_own_default_torch() -> Any:
    return _torch(1e-5), X, {"against": _keras(1e-3)}


@healthy("torch")
def faithful_port_torch() -> Any:
    return _torch(1e-3), X, {"against": _keras(1e-3)}


def _stack(*eps: float) -> Any:
    from torch import nn

    return nn.Sequential(
        *(nn.Sequential(nn.Linear(12, 12), nn.LayerNorm(12, e)) for e in eps)
    ), ROWS


@sick("torch", at="2.1")
def one_among_many_torch() -> Any:
    return _stack(1e-6, 1e-6, 1e-2, 1e-6)


@healthy("torch")
def all_alike_torch() -> Any:
    return _stack(1e-6, 1e-6, 1e-6, 1e-6)


@healthy("torch")
def two_of_each_torch() -> Any:
    return _stack(1e-6, 1e-6, 1e-5, 1e-5)


@healthy("torch")
def a_hair_apart_torch() -> Any:
    return _torch(1e-5), X, {"against": _torch(1.001e-5)}


@sick("keras", at="bn")
def port_with_its_own_default_keras() -> Any:
    return _keras(1e-3), LAST, {"against": _torch(1e-5)}


@healthy("keras")
def faithful_port_keras() -> Any:
    return _keras(1e-5), LAST, {"against": _torch(1e-5)}


def _onnx(eps: float) -> Any:
    text = f"[norm] y = LayerNormalization <axis = -1, epsilon = {eps}> (x, s, b)"
    return onnx_model(text, ROWS.shape, s=np.ones(12), b=np.zeros(12))


def _layer_norm(eps: float) -> Any:
    from torch import nn

    return nn.Sequential(nn.LayerNorm(12, eps))


@sick("onnx", at="norm")
def exported_with_another_onnx() -> Any:
    return _onnx(1e-5), ROWS, {"against": _layer_norm(1e-12)}


@healthy("onnx")
def exported_onnx() -> Any:
    return _onnx(1e-5), ROWS, {"against": _layer_norm(1e-5)}


def _jax(**settings: Any) -> Any:
    from flax import nnx

    return nnx.LayerNorm(12, rngs=nnx.Rngs(0), **settings)


@sick("jax", at="")
def port_with_its_own_default_jax() -> Any:
    return _jax(), ROWS, {"against": _layer_norm(1e-5)}


@healthy("jax")
def faithful_port_jax() -> Any:
    return _jax(epsilon=1e-5), ROWS, {"against": _layer_norm(1e-5)}


def measured(finding: Finding, given: Given) -> None:
    """At the variance that is told, the outputs of the two differ by 1 %."""
    found = finding.evidence
    other = found.get("reference", found.get("others"))
    one, two = (1 / np.sqrt(found["variance"] + eps) for eps in (found["eps"], other))
    assert np.isclose(max(one, two) / min(one, two), 1.01, rtol=1e-9)
    if found["variance"] > 0.04 and "reference" in found:
        assert f"as {np.count_nonzero(found['variance'] > VAR)} of 6" in finding.message

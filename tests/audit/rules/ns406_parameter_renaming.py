"""NS406: a checkpoint with gamma and beta, and a model in which weight and bias never came."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from normscope.audit.finding import Finding
from onnx_text import onnx_model
from rule_fixtures import Given, healthy, sick
from weight_files import safetensors

RNG = np.random.default_rng(0)
ROWS = RNG.normal(size=(2, 5, 12)).astype("float32")
SCALE = np.linspace(0.5, 3, 12, dtype="float32")
BIAS = np.linspace(-1, 1, 12, dtype="float32")


def _file(folder: Path, *names: str) -> Path:
    """A file of safetensors in which the arrays of a layer have these names."""
    arrays = dict(zip(names, (SCALE, BIAS), strict=False))
    kernel = RNG.normal(size=(12, 12))
    return safetensors(folder / "model.safetensors", {**arrays, "dense.kernel": kernel})


def _torch(loaded: bool) -> Any:
    import torch
    from torch import nn

    class Output(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.dense, self.LayerNorm = nn.Linear(12, 12), nn.LayerNorm(12)
            if loaded:
                self.LayerNorm.weight.data = torch.from_numpy(SCALE)
                self.LayerNorm.bias.data = torch.from_numpy(BIAS)

        def forward(self, x: Any) -> Any:
            return self.LayerNorm(x + self.dense(x))

    return nn.ModuleDict({"output": Output()})["output"]


@sick("torch", at="LayerNorm")
def gamma_and_beta_torch(tmp_path: Path) -> Any:
    names = ("bert.output.LayerNorm.gamma", "bert.output.LayerNorm.beta")
    return _torch(loaded=False), ROWS, {"against": _file(tmp_path, *names)}


@healthy("torch")
def renamed_while_loading_torch(tmp_path: Path) -> Any:
    names = ("bert.output.LayerNorm.gamma", "bert.output.LayerNorm.beta")
    return _torch(loaded=True), ROWS, {"against": _file(tmp_path, *names)}


@healthy("torch")
def equal_names_torch(tmp_path: Path) -> Any:
    """Nothing was renamed: it is not loaded yet."""
    names = ("LayerNorm.weight", "LayerNorm.bias")
    return _torch(loaded=False), ROWS, {"against": _file(tmp_path, *names)}


@healthy("torch")
def a_fresh_head_torch(tmp_path: Path) -> Any:
    return _torch(loaded=False), ROWS, {"against": _file(tmp_path, "head.gamma", "head.beta")}


def _keras(loaded: bool) -> Any:
    import keras

    norm = keras.layers.LayerNormalization(name="norm")
    net = keras.Sequential([keras.Input((5, 12)), keras.layers.Dense(12), norm])
    if loaded:
        norm.set_weights([SCALE, BIAS])
    return net


@sick("keras", at="norm")
def weight_and_bias_keras(tmp_path: Path) -> Any:
    return _keras(False), ROWS, {"against": _file(tmp_path, "norm.weight", "norm.bias")}


@healthy("keras")
def loaded_keras(tmp_path: Path) -> Any:
    return _keras(True), ROWS, {"against": _file(tmp_path, "norm.weight", "norm.bias")}


def _onnx(scale: Any, bias: Any) -> Any:
    text = "y = LayerNormalization <axis = -1> (x, gamma, beta)"
    return onnx_model(text, ROWS.shape, layer="encoder.norm", gamma=scale, beta=bias)


@sick("onnx", at="encoder.norm")
def weight_and_bias_onnx(tmp_path: Path) -> Any:
    file = _file(tmp_path, "encoder.norm.weight", "encoder.norm.bias")
    return _onnx(np.ones(12), np.zeros(12)), ROWS, {"against": file}


@healthy("onnx")
def loaded_onnx(tmp_path: Path) -> Any:
    file = _file(tmp_path, "encoder.norm.weight", "encoder.norm.bias")
    return _onnx(SCALE, BIAS), ROWS, {"against": file}


def _jax(loaded: bool) -> Any:
    import jax.numpy as jnp
    from flax import nnx

    class Net(nnx.Module):
        def __init__(self) -> None:
            self.norm = nnx.LayerNorm(12, rngs=nnx.Rngs(0))
            if loaded:
                self.norm.scale[...] = jnp.asarray(SCALE)
                self.norm.bias[...] = jnp.asarray(BIAS)

        def __call__(self, x: Any) -> Any:
            return self.norm(x)

    return Net()


@sick("jax", at="norm")
def weight_and_bias_jax(tmp_path: Path) -> Any:
    return _jax(False), ROWS, {"against": _file(tmp_path, "norm.weight", "norm.bias")}


@healthy("jax")
def loaded_jax(tmp_path: Path) -> Any:
    return _jax(True), ROWS, {"against": _file(tmp_path, "norm.weight", "norm.bias")}


def measured(finding: Finding, given: Given) -> None:
    """The factor that is farthest from 1 is the last of those in the file."""
    assert finding.evidence["factor"] == SCALE[np.argmax(np.abs(SCALE - 1))] == 3
    assert "factors up to 3" in finding.message
    assert finding.evidence["normalizations"] == 1

"""NS407: files that have what gradients learn, and not what calls learn."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from normscope.audit.finding import Finding
from onnx_text import onnx_model
from rule_fixtures import Given, healthy, sick
from weight_files import safetensors

RNG = np.random.default_rng(0)
X = RNG.normal(size=(4, 3, 8, 8)).astype("float32")
LAST = X.transpose(0, 2, 3, 1)
MEAN = np.array([0, 0.5, -3, 1, 0, 0], "float32")
VAR = np.array([1, 1, 2.25, 1, 1, 1], "float32")
LEARNED = {"weight": np.linspace(0.5, 2, 6), "bias": np.linspace(-1, 1, 6)}
STATISTICS = {"running_mean": MEAN, "running_var": VAR}


def _file(folder: Path, layer: str, arrays: dict[str, Any]) -> Path:
    named = {f"{layer}.{name}": array for name, array in arrays.items()}
    return safetensors(folder / "adapter_model.safetensors", named)


def _torch(moved: bool = True, training: bool = True) -> Any:
    import torch
    from torch import nn

    net = nn.Sequential(nn.Conv2d(3, 6, 3, bias=False), nn.BatchNorm2d(6), nn.ReLU())
    if moved:
        net[1].running_mean.copy_(torch.from_numpy(MEAN))
        net[1].running_var.copy_(torch.from_numpy(VAR))
        net[1].num_batches_tracked.fill_(100)
    return net.train(training)


@sick("torch", at="1")
def parameters_alone_torch(tmp_path: Path) -> Any:
    return _torch(training=False), X, {"against": _file(tmp_path, "base_model.model.1", LEARNED)}


@sick("torch", at="1")
def lora_alone_torch(tmp_path: Path) -> Any:
    lora = {"lora_A.weight": np.ones((2, 3)), "lora_B.weight": np.ones((6, 2))}
    return _torch(), X, {"against": _file(tmp_path, "base_model.model.0", lora)}


@healthy("torch")
def lora_with_frozen_statistics_torch(tmp_path: Path) -> Any:
    lora = {"lora_A.weight": np.ones((2, 3)), "lora_B.weight": np.ones((6, 2))}
    return _torch(training=False), X, {"against": _file(tmp_path, "base_model.model.0", lora)}


@healthy("torch")
def with_buffers_torch(tmp_path: Path) -> Any:
    return _torch(), X, {"against": _file(tmp_path, "1", {**LEARNED, **STATISTICS})}


@healthy("torch")
def statistics_that_never_moved_torch(tmp_path: Path) -> Any:
    return _torch(moved=False), X, {"against": _file(tmp_path, "1", LEARNED)}


@healthy("torch")
def another_model_torch(tmp_path: Path) -> Any:
    return _torch(), X, {"against": _file(tmp_path, "other", {"weight": np.ones((6, 3))})}


def _keras() -> Any:
    import keras

    norm = keras.layers.BatchNormalization(name="bn")
    net = keras.Sequential([keras.Input((8, 8, 3)), keras.layers.Conv2D(6, 3), norm])
    norm.set_weights([*norm.get_weights()[:2], MEAN, VAR])
    return net


@sick("keras", at="bn")
def parameters_alone_keras(tmp_path: Path) -> Any:
    arrays = {"gamma": LEARNED["weight"], "beta": LEARNED["bias"]}
    return _keras(), LAST, {"against": _file(tmp_path, "bn", arrays)}


@healthy("keras")
def with_statistics_keras(tmp_path: Path) -> Any:
    arrays = {"gamma": LEARNED["weight"], "moving_mean": MEAN, "moving_variance": VAR}
    return _keras(), LAST, {"against": _file(tmp_path, "bn", arrays)}


def _onnx() -> Any:
    arrays = {"s": LEARNED["weight"], "b": LEARNED["bias"], "m": MEAN, "v": VAR}
    text = "[bn] y = BatchNormalization (x, s, b, m, v)"
    return onnx_model(text, (4, 6, 8, 8), **arrays)


@sick("onnx", at="bn")
def parameters_alone_onnx(tmp_path: Path) -> Any:
    return _onnx(), None, {"against": _file(tmp_path, "bn", LEARNED)}


@healthy("onnx")
def with_statistics_onnx(tmp_path: Path) -> Any:
    return _onnx(), None, {"against": _file(tmp_path, "bn", {**LEARNED, **STATISTICS})}


def _jax() -> Any:
    import jax.numpy as jnp
    from flax import nnx

    class Net(nnx.Module):
        def __init__(self) -> None:
            self.conv = nnx.Conv(3, 6, (3, 3), rngs=nnx.Rngs(0))
            self.bn = nnx.BatchNorm(6, rngs=nnx.Rngs(0))
            self.bn.mean[...], self.bn.var[...] = jnp.asarray(MEAN), jnp.asarray(VAR)

        def __call__(self, x: Any) -> Any:
            return self.bn(self.conv(x))

    return Net()


@sick("jax", at="bn")
def parameters_alone_jax(tmp_path: Path) -> Any:
    arrays = {"scale": LEARNED["weight"], "bias": LEARNED["bias"]}
    return _jax(), LAST, {"against": _file(tmp_path, "bn", arrays)}


@healthy("jax")
def with_statistics_jax(tmp_path: Path) -> Any:
    arrays = {"scale": LEARNED["weight"], "mean": MEAN, "var": VAR}
    return _jax(), LAST, {"against": _file(tmp_path, "bn", arrays)}


def measured(finding: Finding, given: Given) -> None:
    """A mean of -3 beside a deviation of 1.5; six means and six variances of one layer."""
    assert np.isclose(finding.evidence["moved"], 3 / 1.5)
    assert finding.evidence["numbers"] == MEAN.size + VAR.size
    assert "12 such numbers of 1 normalization" in finding.message

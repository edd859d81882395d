"""NS505: a scale that nothing applies, flags of Keras 2, the least eps of cuDNN."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from normscope.audit.finding import Finding
from rule_fixtures import Given, healthy, sick

NOT_IN = {"onnx": "a file of ONNX holds what is computed, and neither flags nor unused arrays"}

RNG = np.random.default_rng(0)
X = RNG.normal(size=(4, 6, 8, 8)).astype("float32")
LAST = X.transpose(0, 2, 3, 1)


def _torch(fix_gamma: bool) -> Any:
    import torch
    from torch import nn

    class BatchNorm(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.gamma, self.beta = nn.Parameter(2 * torch.ones(6)), nn.Parameter(torch.zeros(6))

        def forward(self, x: Any) -> Any:
            mean = x.mean((0, 2, 3), keepdim=True)
            var = x.var((0, 2, 3), keepdim=True, unbiased=False)
            y = (x - mean) / (var + 1e-5).sqrt()
            if not fix_gamma:
                y = y * self.gamma[:, None, None]
            return y + self.beta[:, None, None]

    return nn.Sequential(nn.Conv2d(6, 6, 3), BatchNorm(), nn.ReLU()), X


@sick("torch", at="1")
def fixed_gamma_torch() -> Any:
    return _torch(fix_gamma=True)


@healthy("torch")
def learned_gamma_torch() -> Any:
    return _torch(fix_gamma=False)


def _batch_norm(eps: float) -> Any:
    from torch import nn

    return nn.Sequential(nn.Conv2d(6, 6, 3), nn.BatchNorm2d(6, eps=eps), nn.ReLU())


@sick("torch", at="1")
def least_eps_of_cudnn_torch() -> Any:
    return _batch_norm(1e-5), X, {"against": _batch_norm(1.001e-5)}


@healthy("torch")
def the_same_eps_torch() -> Any:
    return _batch_norm(1.001e-5), X, {"against": _batch_norm(1.001e-5)}


def _keras(folder: Path, **flags: Any) -> Any:
    """A file as Keras 2 writes it."""
    layers = [
        ("InputLayer", {"batch_input_shape": [None, 8, 8, 6], "dtype": "float32", "name": "x"}),
        ("BatchNormalization", {"name": "bn", "axis": [3], "epsilon": 1e-3, **flags}),
    ]
    config = {
        "name": "net",
        "layers": [{"class_name": kind, "config": settings} for kind, settings in layers],
    }
    model = {"class_name": "Sequential", "config": config, "keras_version": "2.9.0"}
    (folder / "m.json").write_text(json.dumps({**model, "backend": "tensorflow"}))
    return folder / "m.json"


@sick("keras", at="")
def virtual_batch_keras(tmp_path: Path) -> Any:
    return _keras(tmp_path, virtual_batch_size=2), LAST


@healthy("keras")
def without_flags_keras(tmp_path: Path) -> Any:
    return _keras(tmp_path, virtual_batch_size=None), LAST


def _jax(applied: bool) -> Any:
    import jax.numpy as jnp
    from flax import nnx

    class Norm(nnx.Module):
        def __init__(self) -> None:
            self.scale = nnx.Param(jnp.ones(6))

        def __call__(self, x: Any) -> Any:
            d = x - x.mean(-1, keepdims=True)
            y = d / jnp.sqrt(jnp.square(d).mean(-1, keepdims=True) + 1e-6)
            return y * self.scale[...] if applied else y

    class Net(nnx.Module):
        def __init__(self) -> None:
            self.norm, self.head = Norm(), nnx.Linear(6, 2, rngs=nnx.Rngs(0))

        def __call__(self, x: Any) -> Any:
            return self.head(self.norm(x))

    return Net(), LAST


@sick("jax", at="norm")
def unused_scale_jax() -> Any:
    return _jax(applied=False)


@healthy("jax")
def used_scale_jax() -> Any:
    return _jax(applied=True)


def measured(finding: Finding, given: Given) -> None:
    """Where eps differs, sqrt(1.001) - 1 is the most, at a variance of 0."""
    if "most" in finding.evidence:
        assert np.isclose(finding.evidence["most"], np.sqrt(1.001e-5 / 1e-5) - 1)
        assert "0.05 %" in finding.message
    else:
        assert finding.severity == "warning"

"""NS801: files that were exported in training mode, and those exported for inference."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from normscope.audit.finding import Finding
from onnx_text import onnx_model
from rule_fixtures import Given, healthy, sick

X = np.random.default_rng(0).normal(size=(4, 8, 6, 6)).astype("float32")

NOT_IN = {
    "keras": "its files hold layers, which are told a mode when they are called",
    "jax": "a model is given as a program, and no file format of it is read",
}


def _torch() -> Any:
    from torch import nn

    stem = nn.Sequential(nn.Conv2d(8, 8, 3, bias=False), nn.BatchNorm2d(8), nn.ReLU())
    return nn.Sequential(stem, nn.Flatten(), nn.LayerNorm(128), nn.Linear(128, 3))


def _exported(folder: Path, training: bool) -> Any:
    import torch

    program = torch.export.export(_torch().train(training), (torch.tensor(X),))
    torch.export.save(program, folder / "model.pt2")
    return str(folder / "model.pt2"), X


@sick("torch", at="0.1")
def in_training_torch(tmp_path: Path) -> Any:
    return _exported(tmp_path, training=True)


@healthy("torch")
def for_inference_torch(tmp_path: Path) -> Any:
    return _exported(tmp_path, training=False)


@healthy("torch")
def live_torch() -> Any:
    """It is told its mode when it is run."""
    return _torch().train(), X


@sick("torch", at="1")
def dropout_torch() -> Any:
    import torch
    from torch import nn

    model = nn.Sequential(nn.LayerNorm(6), nn.Dropout(0.25), nn.Linear(6, 6)).train()
    return torch.export.export(model, (torch.tensor(X),)), X


_STATISTICS = {
    "scale": np.linspace(0.5, 2, 8),
    "bias": np.zeros(8),
    "mean": np.zeros(8),
    "var": np.ones(8),
}


@sick("onnx", at="encoder.bn")
def training_mode_onnx() -> Any:
    nodes = "y, m, v = BatchNormalization <training_mode = 1> (x, scale, bias, mean, var)"
    return onnx_model(nodes, X.shape, opset=15, layer="encoder.bn", **_STATISTICS), X


@sick("onnx", at="bn1")
def further_outputs_onnx() -> Any:
    nodes = "[bn1] y, m, v, sm, sv = BatchNormalization (x, scale, bias, mean, var)"
    return onnx_model(nodes, X.shape, opset=9, **_STATISTICS), X


@healthy("onnx")
def inference_onnx() -> Any:
    nodes = "[bn1] y = BatchNormalization (x, scale, bias, mean, var)"
    return onnx_model(nodes, X.shape, opset=15, **_STATISTICS), X


@healthy("onnx")
def instance_norm_in_disguise_onnx() -> Any:
    """Each sample and channel is a channel of its own there."""
    many = {name: np.tile(values, 4) for name, values in _STATISTICS.items()}
    nodes = """
        flat = Reshape (x, one)
        h, m, v = BatchNormalization <training_mode = 1> (flat, scale, bias, mean, var)
        y = Reshape (h, back)
    """
    shapes = {"one": np.array([1, 32, 6, 6]), "back": np.array(X.shape)}
    return onnx_model(nodes, X.shape, opset=15, layer="norm", **many, **shapes), X


def measured(finding: Finding, given: Given) -> None:
    """A batch norm by NumPy: how far one sample moves when the others are others."""
    if "drops" in finding.evidence:
        assert finding.evidence["drops"] == 0.25
        return
    rng = np.random.default_rng(1)
    x = rng.standard_normal((2, 8, 6, 6))
    other = np.concatenate([x[:1], 2 + 3 * rng.standard_normal((1, 8, 6, 6))])
    y, z = (
        (a - a.mean((0, 2, 3), keepdims=True)) / a.std((0, 2, 3), keepdims=True) for a in (x, other)
    )
    expected = np.abs(y[0] - z[0]).max() / y.std()
    assert expected / 3 < finding.evidence["change"] < expected * 3

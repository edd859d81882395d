"""NS802: normalizations in files that are many operators, and those that are one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from normscope.audit.finding import Finding, Severity
from onnx_text import onnx_model
from rule_fixtures import Given, healthy, sick

X = np.random.default_rng(0).normal(size=(4, 6, 32)).astype("float32")
IMAGES = np.random.default_rng(0).normal(size=(2, 8, 6, 6)).astype("float32")

NOT_IN = {
    "keras": "its files hold layers, and no operators",
    "jax": "a model is given as a program, which is compiled as a whole",
}

_LAYER_NORM = """
    mean = ReduceMean <axes = [-1]> (x)
    d = Sub (x, mean)
    square = Pow (d, two)
    var = ReduceMean <axes = [-1]> (square)
    moved = Add (var, eps)
    root = Sqrt (moved)
    normed = Div (d, root)
    scaled = Mul (normed, scale)
    y = Add (scaled, bias)
"""


def _layer_norm(dtype: str, opset: int) -> Any:
    numbers = {"two": 2.0, "eps": 1e-3, "scale": np.linspace(0.5, 2, 32), "bias": np.ones(32)}
    model = onnx_model(_LAYER_NORM, X.shape, dtype, opset, layer="block.norm", **numbers)
    return model, X.astype("float32" if dtype == "float" else dtype)


@sick("onnx", at="block.norm")
def layer_norm_onnx() -> Any:
    return _layer_norm("float", 17)


@sick("onnx", at="block.norm")
def layer_norm_before_its_opset_onnx() -> Any:
    return _layer_norm("float", 13)


@sick("onnx", at="block.norm")
def layer_norm_float16_onnx() -> Any:
    return _layer_norm("float16", 17)


@sick("onnx", at="block.norm")
def statistics_in_float32_onnx() -> Any:
    nodes = """
        two = Constant <value_float = 2.0> ()
        eps = Constant <value_float = 0.001> ()
        wide = Cast <to = 1> (x)
        square = Pow (wide, two)
        ms = ReduceMean <axes = [-1]> (square)
        moved = Add (ms, eps)
        root = Sqrt (moved)
        normed = Div (wide, root)
        narrow = Cast <to = 10> (normed)
        y = Mul (narrow, scale)
    """
    scale = np.linspace(0.5, 2, 32)
    model = onnx_model(nodes, X.shape, "float16", 17, layer="block.norm", scale=scale)
    return model, X.astype("float16")


@healthy("onnx")
def one_operator_onnx() -> Any:
    nodes = "y = LayerNormalization <epsilon = 0.001> (x, scale, bias)"
    return onnx_model(nodes, X.shape, layer="norm", scale=np.ones(32), bias=np.zeros(32)), X


@sick("onnx", at="norm")
def instance_norm_onnx() -> Any:
    nodes = """
        mean = ReduceMean <axes = [2, 3]> (x)
        d = Sub (x, mean)
        square = Mul (d, d)
        var = ReduceMean <axes = [2, 3]> (square)
        moved = Add (var, eps)
        root = Sqrt (moved)
        y = Div (d, root)
    """
    return onnx_model(nodes, IMAGES.shape, layer="norm", eps=1e-3), IMAGES


@healthy("onnx")
def length_onnx() -> Any:
    """No operator has an eps and divides by the length of a row."""
    nodes = """
        length = ReduceL2 <axes = [-1]> (x)
        safe = Max (length, eps)
        y = Div (x, safe)
    """
    return onnx_model(nodes, X.shape, layer="norm", eps=1e-3), X


def _rms(by_hand: bool) -> Any:
    import torch
    from torch import nn

    class RMSNorm(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.weight = nn.Parameter(torch.ones(32))

        def forward(self, x: Any) -> Any:
            return self.weight * x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + 1e-3)

    norm = RMSNorm() if by_hand else nn.LayerNorm(32, eps=1e-3)
    return nn.Sequential(nn.Linear(32, 32), norm)


@sick("torch", at="1")
def rms_program_torch(tmp_path: Path) -> Any:
    import torch

    program = torch.export.export(_rms(by_hand=True), (torch.tensor(X),))
    torch.export.save(program, tmp_path / "model.pt2")
    return str(tmp_path / "model.pt2"), X


@healthy("torch")
def layer_norm_program_torch() -> Any:
    import torch

    return torch.export.export(_rms(by_hand=False), (torch.tensor(X),)), X


@healthy("torch")
def live_torch() -> Any:
    return _rms(by_hand=True), X


def measured(finding: Finding, given: Given) -> None:
    """The nodes of the file; eps and axes are those above."""
    assert finding.evidence["eps"] == pytest.approx(1e-3, rel=0.02)
    if finding.path == "norm":
        assert finding.evidence["axes"] == [2, 3]
        assert finding.evidence["operator"] == "InstanceNormalization"
    else:
        assert finding.evidence["axes"] == [2]
    if not isinstance(given.model, str):
        made = [n for n in given.model.graph.node if n.op_type not in ("Cast", "Constant")]
        assert len(made) <= finding.evidence["operators"] <= len(given.model.graph.node)
        opset = given.model.opset_import[0].version
        since = 23 if finding.evidence["operator"] == "RMSNormalization" else 17
        assert (f"opset {opset}" in finding.fix) is (opset < since)
    kinds = [] if isinstance(given.model, str) else [n.op_type for n in given.model.graph.node]
    half = np.asarray(given.inputs).dtype == np.float16 and "Cast" not in kinds
    assert finding.evidence["float16"] is half
    assert finding.severity is (Severity.WARNING if half else Severity.INFO)

"""NS206: the RMS norm of torch without an eps, and with one."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from normscope.audit.finding import Finding
from onnx_text import onnx_model
from rule_fixtures import Given, healthy, sick

X = np.random.default_rng(0).normal(size=(4, 6, 32)).astype("float32")

NOT_IN = {
    "keras": "its RMSNormalization has an eps of 1e-6 where none is given",
    "jax": "Flax, Haiku and Equinox have an eps of 1e-6 or 1e-5 where none is given",
}


def _torch(eps: float | None) -> Any:
    from torch import nn

    class Block(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.norm = nn.RMSNorm(32, eps=eps)
            self.mlp = nn.Linear(32, 32)

        def forward(self, x: Any) -> Any:
            return x + self.mlp(self.norm(x))

    return nn.Sequential(Block()), X


@sick("torch", at="0.norm")
def left_out_torch() -> Any:
    return _torch(None)


@sick("torch", at="")
def functional_torch() -> Any:
    import torch
    from torch.nn import functional

    return lambda x: functional.rms_norm(x, (32,)), torch.tensor(X)


@healthy("torch")
def written_down_torch() -> Any:
    return _torch(1e-6)


@healthy("torch")
def layer_norm_torch() -> Any:
    from torch import nn

    return nn.LayerNorm(32), X


_RMS = """
    square = Mul (x, x)
    mean = ReduceMean <axes = [-1]> (square)
    moved = Add (mean, eps)
    root = Sqrt (moved)
    normed = Div (x, root)
    y = Mul (normed, scale)
"""


@sick("onnx", at="norm")
def exported_onnx() -> Any:
    return onnx_model(_RMS, X.shape, layer="norm", eps=2.0**-23, scale=np.ones(32)), X


@healthy("onnx")
def exported_with_eps_onnx() -> Any:
    return onnx_model(_RMS, X.shape, layer="norm", eps=1e-6, scale=np.ones(32)), X


def measured(finding: Finding, given: Given) -> None:
    """A row of 1e-4, divided by hand."""
    assert finding.evidence["size"] == pytest.approx(1e-4 / (1e-8 + 2.0**-23) ** 0.5, rel=1e-3)
    assert finding.evidence["size_with_1e-6"] == pytest.approx(0.0995, abs=1e-4)

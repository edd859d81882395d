"""NS207: sums over the columns of a copy, in an order that depends on the batch, and over rows."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from normscope.audit.finding import Finding
from rule_fixtures import Given, healthy, sick

X = np.random.default_rng(0).normal(size=(4, 100)).astype("float32")

NOT_IN = {
    "keras": "the order in which TensorFlow sums up depends on where arrays lie in memory",
    "onnx": "which order sums are taken in is up to the runtime that runs the file",
    "jax": "the operators of a jaxpr have a fixed number of samples",
}


def _torch(columns: bool) -> Any:
    import torch
    from torch import nn

    class RMSNorm(nn.Module):
        def forward(self, x: Any) -> Any:
            h = x.t().contiguous() if columns else x
            axis = 0 if columns else 1
            h = h * torch.rsqrt((h * h).mean(axis, keepdim=True) + 1e-6)
            return h.t() if columns else h

    return nn.Sequential(RMSNorm()), X


@sick("torch", at="0")
def columns_torch() -> Any:
    return _torch(columns=True)


@healthy("torch")
def rows_torch() -> Any:
    return _torch(columns=False)


@healthy("torch")
def layer_norm_torch() -> Any:
    from torch import nn

    return nn.Sequential(nn.LayerNorm(100)), X


def measured(finding: Finding, given: Given) -> None:
    """The layer itself, on other samples: equal but for the last digits, and not in these."""
    import torch

    x = torch.randn(64, 100, generator=torch.Generator().manual_seed(1))
    together = given.model(x).numpy()
    alone = np.concatenate([given.model(x[n : n + 1]).numpy() for n in range(4)])
    assert (alone != together[:4]).any()
    assert alone == pytest.approx(together[:4], abs=1e-5)
    assert 0 < finding.evidence["ulp"] < 64

"""NS405: one group of parameters for all, and two of them."""

from __future__ import annotations

from typing import Any

import numpy as np

from normscope.audit.finding import Finding
from rule_fixtures import Given, healthy, sick

NOT_IN = {
    "onnx": "a file of ONNX holds no optimizer",
    "jax": "optimizers of optax are functions, and do not tell what they decay",
}

RNG = np.random.default_rng(0)
X = RNG.normal(size=(4, 3, 8, 8)).astype("float32")
LAST = X.transpose(0, 2, 3, 1)


def _torch() -> Any:
    from torch import nn

    return nn.Sequential(nn.Conv2d(3, 6, 3), nn.BatchNorm2d(6), nn.ReLU(), nn.GroupNorm(2, 6))


@sick("torch", at=("1", "3"))
def one_group_torch() -> Any:
    import torch

    net = _torch()
    return net, X, {"optimizer": torch.optim.AdamW(net.parameters(), weight_decay=0.05)}


@healthy("torch")
def two_groups_torch() -> Any:
    import torch

    net = _torch()
    groups = [
        {"params": [p for p in net.parameters() if p.ndim > 1]},
        {"params": [p for p in net.parameters() if p.ndim <= 1], "weight_decay": 0.0},
    ]
    return net, X, {"optimizer": torch.optim.AdamW(groups, weight_decay=0.05)}


@healthy("torch")
def no_optimizer_torch() -> Any:
    return _torch(), X


@healthy("torch")
def offsets_from_one_torch() -> Any:
    import torch
    from torch import nn

    class Norm(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.weight = nn.Parameter(torch.zeros(8))

        def forward(self, x: Any) -> Any:
            return x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + 1e-6) * (1 + self.weight)

    net = nn.Sequential(Norm(), nn.Linear(8, 8))
    return net, X, {"optimizer": torch.optim.SGD(net.parameters(), lr=0.1, weight_decay=1e-4)}


def _keras(excluded: list[str] | None) -> Any:
    import keras

    norm = keras.layers.BatchNormalization(name="bn")
    net = keras.Sequential([keras.Input((8, 8, 3)), keras.layers.Conv2D(6, 3), norm])
    optimizer = keras.optimizers.AdamW(weight_decay=0.05)
    if excluded:
        optimizer.exclude_from_weight_decay(var_names=excluded)
    net.compile(optimizer=optimizer, loss="mse")
    return net, LAST


@sick("keras", at="bn")
def compiled_keras() -> Any:
    return _keras(None)


@healthy("keras")
def excluded_keras() -> Any:
    return _keras(["gamma", "beta"])


def measured(finding: Finding, given: Given) -> None:
    """The decay is that of the optimizer, of both arrays of each norm."""
    assert finding.evidence["weight_decay"] == 0.05
    assert "weight_decay=0.05" in finding.message
    norms = 2 if "optimizer" in given.options else 1
    assert finding.evidence["in_the_model"] == 2 * norms

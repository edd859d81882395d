"""NS307: statistics that have hardly left 0 and 1, and ones that have."""

from __future__ import annotations

from typing import Any

import numpy as np

from normscope.audit.finding import Finding
from rule_fixtures import Given, healthy, sick

NOT_IN = {
    "onnx": "a file does not say how often its statistics were updated",
    "jax": "Flax counts no updates of its statistics",
}

X = np.random.default_rng(0).normal(3, 0.1, size=(64, 6)).astype("float32")


def _torch(momentum: float, steps: int, learns: bool = True) -> Any:
    import torch
    from torch import nn

    torch.manual_seed(0)
    norm = nn.BatchNorm1d(6, momentum=momentum)
    model = nn.Sequential(nn.Sequential(norm, nn.ReLU()), nn.Linear(6, 1))
    optimizer = torch.optim.SGD(model.parameters(), 0.1 if learns else 0.0)
    for _ in range(steps):
        optimizer.zero_grad()
        model(torch.from_numpy(X)).square().mean().backward()
        optimizer.step()
    return model, X


@sick("torch", at="0.0")
def slow_torch() -> Any:
    return _torch(0.01, 40)


@healthy("torch")
def usual_torch() -> Any:
    return _torch(0.1, 40)


@healthy("torch")
def fresh_torch() -> Any:
    return _torch(0.01, 0)


@healthy("torch")
def called_but_not_trained_torch() -> Any:
    return _torch(0.01, 3, learns=False)


@healthy("torch")
def loaded_statistics_torch() -> Any:
    """They did not begin with 1: one is below what would be left of it."""
    import torch

    model, inputs = _torch(0.01, 5)
    with torch.no_grad():
        model[0][0].running_var.copy_(torch.tensor([0.01, 0.2, 3, 4, 5, 6]))
    return model, inputs


def _keras(momentum: float) -> Any:
    import keras

    keras.utils.set_random_seed(0)
    norm = keras.layers.BatchNormalization(momentum=momentum, name="bn")
    model = keras.Sequential([keras.Input((6,)), norm, keras.layers.Dense(1)])
    model.compile(keras.optimizers.SGD(0.1), "mse")
    model.fit(X, np.ones(64, "float32"), batch_size=8, epochs=3, shuffle=False, verbose=0)
    return model, X[:4]


@sick("keras", at="bn")
def default_keras() -> Any:
    return _keras(0.99)


@healthy("keras")
def fast_keras() -> Any:
    return _keras(0.8)


def measured(finding: Finding, given: Given) -> None:
    """A variance of 1 that is updated as often by variances of 0 comes to the share."""
    share = 1.0
    for _ in range(finding.evidence["updates"]):
        share = finding.evidence["decay"] * share + (1 - finding.evidence["decay"]) * 0
    assert np.isclose(share, finding.evidence["initial_share"], rtol=1e-6)
    without = (finding.evidence["least_variance"] - share) / (1 - share)
    assert np.isclose(without, finding.evidence["without_initial"], rtol=1e-5, atol=1e-9)
    assert without < 0.02  # the data have one of 0.01

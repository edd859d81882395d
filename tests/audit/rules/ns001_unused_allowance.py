"""NS001: an allowance for a layer that the model does not have; its twin is for one that it has."""

from __future__ import annotations

from typing import Any

import numpy as np

from normscope.audit.finding import Finding
from rule_fixtures import Given, healthy, sick

X = np.random.default_rng(0).normal(size=(4, 3, 6, 6)).astype("float32")

NOT_IN = dict.fromkeys(
    ("keras", "onnx", "jax"), "it is about what is written beside a model, whatever made that"
)


def _torch() -> Any:
    from torch import nn

    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4))


@sick("torch", at="encoder.1")
def allowed_elsewhere() -> Any:
    return _torch(), X, {"allow": {"encoder.1": "redundant-bias: the published weights have it"}}


@sick("torch", at="teacher.*")
def meant_elsewhere() -> Any:
    return _torch(), X, {"intents": {"teacher.*": "train-mode-teacher"}}


@healthy("torch")
def allowed_and_there() -> Any:
    return _torch(), X, {"allow": {"1": "redundant-bias: the published weights have it"}}


@healthy("torch")
def meant_and_there() -> Any:
    return _torch(), X, {"intents": {"?": "train-mode-teacher"}}


def measured(finding: Finding, given: Given) -> None:
    """No layer of the model has a path as the entry says."""
    paths = {path for path, _ in given.model.named_modules()}
    assert finding.path not in paths
    assert finding.evidence["where"] in finding.message

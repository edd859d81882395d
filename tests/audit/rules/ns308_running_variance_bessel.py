"""NS308: running variances over few positions, stored unbiased."""

from __future__ import annotations

from typing import Any

import numpy as np

from normscope.audit.finding import Finding
from rule_fixtures import Given, healthy, sick

NOT_IN = {
    "keras": "its batch normalization stores the variance that it divides by",
    "onnx": "its operator stores the variance that it divides by",
    "jax": "Flax, Haiku and Equinox store the variance that they divide by",
}

RANDOM = np.random.default_rng(0)


def _torch(length: int, track: bool = True) -> Any:
    from torch import nn

    norm = nn.InstanceNorm1d(6, track_running_stats=track)
    x = RANDOM.normal(size=(4, 3, length)).astype("float32")
    return nn.Sequential(nn.Conv1d(3, 6, 1), nn.Sequential(norm, nn.ReLU())), x


@sick("torch", at="1.0")
def four_positions_torch() -> Any:
    return _torch(4)


@healthy("torch")
def many_positions_torch() -> Any:
    return _torch(64)


@healthy("torch")
def untracked_torch() -> Any:
    return _torch(4, track=False)


@healthy("torch")
def small_batch_of_an_audit_torch() -> Any:
    from torch import nn

    x = RANDOM.normal(size=(4, 6)).astype("float32")
    return nn.Sequential(nn.Linear(6, 6), nn.BatchNorm1d(6)), x


def measured(finding: Finding, given: Given) -> None:
    """The square root of what the running variance becomes, over the variance in the sets."""
    import torch

    x = torch.randn(1, 6, finding.evidence["set_size"], dtype=torch.float64)
    norm = torch.nn.InstanceNorm1d(6, momentum=1.0, track_running_stats=True).double()
    norm(x)
    assert norm.running_var is not None
    factor = (norm.running_var / x.var(-1, unbiased=False)[0]).sqrt()
    assert np.allclose(factor.numpy(), finding.evidence["factor"])

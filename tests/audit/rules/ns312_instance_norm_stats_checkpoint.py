"""NS312: running statistics that nothing reads."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from normscope.audit.finding import Finding
from rule_fixtures import Given, healthy, sick

NOT_IN = {
    "keras": "it has no instance normalization with moving statistics",
    "onnx": "its instance normalization takes no stored statistics",
    "jax": "its instance normalizations hold no running statistics",
}

X = np.random.default_rng(0).normal(size=(2, 3, 5, 5)).astype("float32")


def _torch(track: bool) -> Any:
    from torch import nn

    norm = nn.InstanceNorm2d(6, affine=True, track_running_stats=track)
    return nn.Sequential(nn.Sequential(nn.Conv2d(3, 6, 1), norm), nn.ReLU())


@sick("torch", at="0.1")
def switched_off_torch() -> Any:
    model = _torch(track=True)
    model[0][1].track_running_stats = False
    return model, X


@healthy("torch")
def tracked_torch() -> Any:
    return _torch(track=True), X


@healthy("torch")
def without_torch() -> Any:
    return _torch(track=False), X


def _checkpoint(folder: Path, track: bool) -> Path:
    import torch

    path = folder / "generator.pt"
    torch.save(_torch(track).state_dict(), path)
    return path


@sick("torch", at="0.1")
def old_checkpoint_torch(tmp_path: Path) -> Any:
    return _torch(track=False), X, {"against": _checkpoint(tmp_path, track=True)}


@healthy("torch")
def new_checkpoint_torch(tmp_path: Path) -> Any:
    return _torch(track=False), X, {"against": _checkpoint(tmp_path, track=False)}


@healthy("torch")
def old_checkpoint_and_model_torch(tmp_path: Path) -> Any:
    return _torch(track=True), X, {"against": _checkpoint(tmp_path, track=True)}


@healthy("torch")
def batch_norm_replaced_torch() -> Any:
    from torch import nn

    def net(norm: Any) -> Any:
        return nn.Sequential(nn.Conv2d(3, 6, 1), norm, nn.ReLU())

    return net(nn.GroupNorm(6, 6)), X, {"against": net(nn.BatchNorm2d(6))}


def measured(finding: Finding, given: Given) -> None:
    """Other statistics leave the output as it is."""
    import torch

    model, x = given.model.eval(), torch.from_numpy(X)
    before = model(x)
    for name, array in model.named_buffers():
        if name.endswith(("running_mean", "running_var")):
            array.add_(1.0)
    assert torch.equal(before, model(x))
    assert finding.evidence["unused"] == ["running_mean", "running_var"]

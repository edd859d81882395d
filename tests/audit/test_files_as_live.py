"""Files of a model are audited as the live model is, but for what the exporter left out."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import normscope as ns
from normscope.audit import Audit

# torch.export itself warns of what it does
pytestmark = pytest.mark.filterwarnings(
    "ignore:`isinstance.treespec, LeafSpec.` is deprecated:FutureWarning",
    "ignore:You are using the legacy TorchScript-based ONNX export:DeprecationWarning",
)

X = np.random.default_rng(0).normal(size=(4, 3, 9, 9)).astype("float32")


def net() -> nn.Sequential:
    """With fresh parameters: its scales are 1, its biases 0."""
    return nn.Sequential(
        nn.Conv2d(3, 6, 3, bias=False),
        nn.BatchNorm2d(6),
        nn.GroupNorm(2, 6),
        nn.LayerNorm([6, 7, 7]),
    )


def program(model: nn.Module, folder: Path, form: str) -> Any:
    exported = torch.export.export(model, (torch.from_numpy(X),))
    if form == "object":
        return exported
    torch.export.save(exported, folder / "net.pt2")
    return folder / "net.pt2"


def specs(audit: Audit, mode: str) -> list[tuple[str, str, str]]:
    """Path, class and what is computed in a mode, without the memory, which is not exported."""
    found = [(site, getattr(site, mode)) for site in audit.layers]
    return [(site.path, site.type, str(spec).partition(", running")[0]) for site, spec in found]


@pytest.mark.parametrize("form", ["object", "file"])
@pytest.mark.parametrize("training", [False, True])
def test_an_exported_program(form: str, training: bool, tmp_path: Path) -> None:
    model = net().train(training)
    audit = ns.audit(program(copy.deepcopy(model), tmp_path, form), X)
    mode = "train" if training else "infer"
    assert specs(audit, mode) == specs(ns.audit(model, X), mode)
    assert {"scale", "bias"} <= audit.layers[0].arrays.keys()


def test_stored_statistics_name_the_axes_as_training_does() -> None:
    batch = ns.audit(net(), X).layers[0]
    assert batch.train is not None
    assert batch.infer is not None
    assert batch.infer.pattern is None
    assert (
        (batch.infer.scale, batch.infer.bias) == (batch.train.scale, batch.train.bias) == ("c",) * 2
    )

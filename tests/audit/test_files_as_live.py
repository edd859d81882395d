"""Files of a model are audited as the live model is, but for what the exporter left out."""

from __future__ import annotations

import copy
import warnings
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


def onnx_file(model: nn.Module, x: Any, path: Path) -> Path:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the exporter warns of itself, and of how it traces
        torch.onnx.export(model, (torch.from_numpy(x),), path, dynamo=False, input_names=["x"])
    return path


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


def test_what_an_exporter_of_onnx_folded_away_is_said(tmp_path: Path) -> None:
    model = net().eval()
    audit, live = ns.audit(onnx_file(model, X, tmp_path / "net.onnx"), X), ns.audit(model, X)
    assert [site.path for site in live.layers] == ["1", "2", "3"]
    assert [site.path for site in audit.layers] == ["2", "3"]
    assert any(note.startswith("1 convolution has weights") for note in audit.graph.notes)
    whole = onnx_file(model[1:], np.ones((4, 6, 7, 7), np.float32), tmp_path / "whole.onnx")
    assert not any("convolution" in note for note in ns.audit(whole).graph.notes)


def test_a_batch_of_one_says_what_to_do(tmp_path: Path) -> None:
    path = onnx_file(net().eval(), X[:1], tmp_path / "net.onnx")
    why = ns.audit(path).samples["inference"].why
    assert "one sample is too few to tell" in why
    assert "--shape 2,3,9,9" in why
    assert ns.audit(path, X[:2]).samples["inference"].verdict == "proved apart"


def test_the_model_is_called_a_model_once(tmp_path: Path) -> None:
    text = str(ns.audit(program(net().eval(), tmp_path, "file"), X))
    assert "net.pt2: the exported program, called with" in text
    assert ": model torch.nn.Sequential, called" in f": {ns.audit(net(), X)}".replace("\n", ": ")

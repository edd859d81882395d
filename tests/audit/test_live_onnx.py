"""Audits of ONNX models: the sites, the rules and the JSON are those of the live model."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import normscope as ns

SHAPE = (4, 3, 8, 5)
X = np.random.default_rng(0).normal(size=SHAPE).astype("float32")


class Net(nn.Module):
    """Two normalizations, the first over the wrong axis where the channels are moved."""

    def __init__(self, *order: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 6, 3, padding=1)
        self.order = order
        self.bn = nn.BatchNorm2d((4, 6, 8, 5)[order[1]])
        self.ln = nn.LayerNorm((4, 6, 8, 5)[order[3]])

    def forward(self, x: Tensor) -> Tensor:
        x = torch.relu(self.bn(torch.relu(self.conv(x)).permute(self.order)))
        out: Tensor = self.ln(x)
        return out


def exported(path: Path, *order: int) -> Path:
    net = Net(*order).eval()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it says of itself that it is the old exporter
        torch.onnx.export(net, (torch.from_numpy(X),), str(path), dynamo=False, opset_version=17)
    return path


@pytest.fixture(scope="module")
def wrong(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return exported(tmp_path_factory.mktemp("onnx") / "wrong.onnx", 0, 2, 3, 1)


def test_the_sites_of_a_file(wrong: Path) -> None:
    audit = ns.audit(wrong, X)
    bn, ln = audit.layers
    assert (bn.kind, ln.kind) == ("stored", "normalization")
    assert bn.remembered is not None
    assert bn.remembered.pattern == "[b] h [w c]"
    assert ln.train is not None or ln.infer is not None
    report = audit.to_dict()
    assert report["model"]["format"] == "onnx"
    assert report["model"]["samples"]["inference"]["verdict"] == "proved apart"
    assert str(audit).startswith("bn normalizes by stored statistics; in training it would be all")
    assert audit.to_html()


def test_a_norm_over_the_wrong_axis(wrong: Path, tmp_path: Path) -> None:
    (finding,) = ns.audit(wrong, X, select=["NS102"]).findings
    assert "puts the channels on axis 3" in finding.message
    assert "Transpose" in finding.fix
    right = exported(tmp_path / "right.onnx", 0, 1, 2, 3)
    assert ns.audit(right, X, select=["NS102"]).findings[0].evidence.get("shared_axis") == 3


def test_a_damaged_file_is_one_line(tmp_path: Path) -> None:
    path = tmp_path / "m.onnx"
    path.write_bytes(b"\x08\x07\x12\x04abcd" + b"\x3a\xff\xff")
    with pytest.raises(ns.ModelFileError) as error:
        ns.audit(path)
    assert "\n" not in str(error.value)

"""TorchScript cannot be followed; it is asked by calling it, and an audit says what to give."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn

import normscope as ns
from normscope import SpecError

pytestmark = pytest.mark.filterwarnings("ignore:.*torch.jit.*:DeprecationWarning")


class Net(nn.Module):
    """Layers inside."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(6, 6)
        self.norm = nn.BatchNorm1d(6)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.norm(self.linear(x)) * 2


def test_what_torch_jit_load_makes_is_asked_by_calling_it(tmp_path: Path) -> None:
    x = torch.randn(4, 6)
    traced = torch.jit.trace(Net().eval(), x)
    torch.jit.save(traced, tmp_path / "m.pt")
    model = torch.jit.load(tmp_path / "m.pt")
    found = ns.scope(model, x)
    assert found.samples_independent["inference"]
    assert "TorchScript runs out of sight" in str(found)
    with pytest.raises(SpecError, match="give the module from which it was made"):
        ns.audit(model, x)
    with pytest.raises(ns.ModelFileError, match="its code is not run here"):
        ns.audit(tmp_path / "m.pt")

"""The normalization layers of PyTorch."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn
from torch.nn import functional
from torch.nn.utils.parametrizations import spectral_norm, weight_norm

from catalogue.row import Row

TITLE = "PyTorch"
PACKAGES = ("torch",)
PUBLIC = dir(nn)

POINTS, SEQUENCE, IMAGE, VOLUME, WORDS = "b c", "b c t", "b c h w", "b c d h w", "b t c"

ROWS = [
    Row("nn.BatchNorm1d(8)", POINTS),
    Row("nn.BatchNorm1d(8)", SEQUENCE),
    Row("nn.BatchNorm2d(8)", IMAGE),
    Row("nn.BatchNorm2d(8, eps=0.01, momentum=0.3)", IMAGE),
    Row("nn.BatchNorm2d(8, momentum=None)", IMAGE),
    Row("nn.BatchNorm2d(8, affine=False)", IMAGE),
    Row("nn.BatchNorm2d(8, track_running_stats=False)", IMAGE),
    Row("nn.BatchNorm3d(8)", VOLUME),
    Row("nn.LazyBatchNorm1d()", SEQUENCE),
    Row("nn.LazyBatchNorm2d()", IMAGE),
    Row("nn.LazyBatchNorm3d()", VOLUME),
    Row("nn.SyncBatchNorm(8)", IMAGE),
    Row("nn.InstanceNorm1d(8)", SEQUENCE),
    Row("nn.InstanceNorm1d(8)", POINTS),
    Row("nn.InstanceNorm2d(8)", IMAGE),
    Row("nn.InstanceNorm2d(8, affine=True)", IMAGE),
    Row("nn.InstanceNorm2d(8, track_running_stats=True)", IMAGE),
    Row("nn.InstanceNorm2d(8, momentum=None, track_running_stats=True)", IMAGE),
    Row("nn.InstanceNorm3d(8)", VOLUME),
    Row("nn.LazyInstanceNorm1d()", SEQUENCE),
    Row("nn.LazyInstanceNorm2d()", IMAGE),
    Row("nn.LazyInstanceNorm3d()", VOLUME),
    Row("nn.LayerNorm(8)", WORDS),
    Row("nn.LayerNorm(8, bias=False)", WORDS),
    Row("nn.LayerNorm(8, elementwise_affine=False)", WORDS),
    Row("nn.LayerNorm((6, 5), eps=0.01)", IMAGE),
    Row("nn.GroupNorm(4, 8)", IMAGE),
    Row("nn.GroupNorm(1, 8)", IMAGE),
    Row("nn.GroupNorm(8, 8)", IMAGE),
    Row("nn.GroupNorm(4, 8, eps=0.01, affine=False)", IMAGE),
    Row("nn.RMSNorm(8)", WORDS),
    Row("nn.RMSNorm(8).double()", WORDS),
    Row("nn.RMSNorm(8, eps=1e-5)", WORDS),
    Row("nn.RMSNorm((6, 5), elementwise_affine=False)", IMAGE),
    Row("nn.LocalResponseNorm(3)", IMAGE),
    Row("nn.LocalResponseNorm(4)", IMAGE),
    Row("nn.CrossMapLRN2d(3)", IMAGE),
    Row("functional.normalize", IMAGE),
    Row("lambda x: functional.normalize(x, dim=-1, eps=0.01)", WORDS),
    Row("lambda x: functional.normalize(x, p=1.0, dim=-1)", WORDS),
    Row("lambda x: functional.normalize(x, p=float('inf'), dim=-1)", WORDS),
    Row("spectral_norm(nn.Linear(8, 8))", WORDS),
    Row("weight_norm(nn.Linear(8, 8))", WORDS),
]


NAMES = {
    "nn": nn,
    "functional": functional,
    "spectral_norm": spectral_norm,
    "weight_norm": weight_norm,
}
"""What the code of a row may name."""


def make(code: str) -> Any:
    """The layer."""
    torch.manual_seed(0)
    return eval(code, NAMES)

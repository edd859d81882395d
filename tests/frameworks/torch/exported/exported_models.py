"""Models to be exported, with inputs."""

from __future__ import annotations

import copy
from functools import cache
from typing import Any

import torch
from torch import nn

Tensors = dict[str, torch.Tensor]


class Block(nn.Module):
    """A layer that calls one of its layers twice."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(channels)
        self.act = nn.ReLU()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.act(self.norm(self.act(x) + 1))


class Images(nn.Module):
    """A convolution, a batch and a group norm, a linear layer; a buffer and a constant."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 8, 3, bias=False)
        self.bn = nn.BatchNorm2d(8)
        self.groups = nn.GroupNorm(2, 8)
        self.block = Block(8)
        self.fc = nn.Linear(8, 4)
        self.register_buffer("factor", torch.ones(4) * 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.groups(torch.relu(self.bn(self.conv(x))))
        x = self.block(self.block(x.mean((2, 3))))
        return self.fc(x) * self.factor + torch.tensor([1.0, 2.0, 3.0, 4.0])


class Texts(nn.Module):
    """Arguments and outputs in containers, a branch, attention, an LSTM, a dropout."""

    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Embedding(7, 6)
        self.bn = nn.BatchNorm1d(6)
        self.attention = nn.MultiheadAttention(6, 2, batch_first=True)
        self.lstm = nn.LSTM(6, 5, batch_first=True)
        self.drop = nn.Dropout(0.3)

    def forward(
        self, ids: torch.Tensor, *, more: dict[str, torch.Tensor], deep: bool = True
    ) -> Any:
        x = self.embed(ids)
        x = self.bn(x.transpose(1, 2)).transpose(1, 2)
        with torch.no_grad():
            mean = x.mean(1, keepdim=True)
        x = torch.cond(x.sum() > 0, lambda y: y.sin(), lambda y: y.cos(), (x,))
        x, _ = self.attention(x, x, x)
        out, (hidden, cell) = self.lstm(self.drop(x - mean))
        left, _ = out.split([2, 3], dim=-1)
        return {"out": out + more["z"], "state": (hidden, cell)}, left.sum(), x.shape[1]


class ByHand(nn.Module):
    """A normalization over the batch, written by hand."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return (x - x.mean(0)) / (x.var(0, unbiased=False) + 1e-5).sqrt()


def images() -> torch.Tensor:
    """Of two samples."""
    return torch.randn(2, 3, 9, 9, generator=torch.Generator().manual_seed(1))


def texts() -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Arguments by position and by name."""
    generator = torch.Generator().manual_seed(1)
    ids = torch.randint(0, 7, (3, 4), generator=generator)
    return (ids,), {"more": {"z": torch.randn(3, 4, 5, generator=generator)}, "deep": True}


def exported_images(training: bool = False) -> tuple[Images, Any]:
    """The model, and its program, for any number of samples."""
    return copy.deepcopy(_exported_images(training))


def exported_texts(training: bool = False) -> tuple[Texts, Any]:
    """The model, and its program."""
    return copy.deepcopy(_exported_texts(training))


@cache
def _exported_images(training: bool) -> tuple[Images, Any]:
    torch.manual_seed(0)
    model = Images().train(training)
    batch = torch.export.Dim("batch")
    return model, torch.export.export(model, (images(),), dynamic_shapes=({0: batch},))


@cache
def _exported_texts(training: bool) -> tuple[Texts, Any]:
    torch.manual_seed(0)
    model = Texts().train(training)
    arguments, named = texts()
    return model, torch.export.export(model, arguments, named)

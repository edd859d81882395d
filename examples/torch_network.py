"""A network of PyTorch that normalizes in four places; two of them are not what its author meant.

normscope audit "examples/torch_network.py:Network()" --shape 4,3,56,56
"""

from __future__ import annotations

import torch
from torch import nn


class Network(nn.Module):
    """Convolutions with the channels first, as everywhere in PyTorch."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 128, 3, padding=1)
        self.norm1 = nn.LayerNorm(56)  # the founding bug again: each image row on its own
        self.conv2 = nn.Conv2d(128, 64, 3, padding=1)
        self.norm2 = nn.BatchNorm2d(56)  # fits, as the image is as high; but see forward
        self.conv3 = nn.Conv2d(64, 64, 3, padding=1)
        self.norm3 = nn.BatchNorm2d(64)  # as it should be, but for the bias of conv3
        self.head = nn.Linear(64, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = torch.relu(self.norm1(self.conv1(x)))
        x = torch.relu(self.norm2(self.conv2(x).permute(0, 2, 3, 1)))  # (batch, rows, columns, 64)
        x = torch.relu(self.norm3(self.conv3(x.permute(0, 3, 1, 2))))
        x = x.mean((2, 3))
        x = x / x.norm(dim=1, keepdim=True)  # no layer at all
        return self.head(x)

"""The founding network in PyTorch, on real data, with each thing that "sample-wise" might mean.

Blocks of three convolutions and a shortcut, as in the question, but narrow, learn to read the
handwritten digits of scikit-learn. One pattern differs between the four networks; the shortcut is
added by the normalization itself.

    python examples/torch_digits.py [--epochs 6] [--blocks 8] [--channels 8]
"""

from __future__ import annotations

import argparse
import time
from itertools import pairwise

import numpy as np
import torch
from sklearn.datasets import load_digits
from torch import nn
from torch.nn.functional import cross_entropy, leaky_relu

import normscope as ns
from normscope.layers.torch import Norm, recalibrate

SIZE = 16
TRAINED = 1400

CANDIDATES = {
    "mode 1 as coded: each image row": ns.spec("b c h [w]", scale="w", bias="w", eps=1e-3),
    "each sample as a whole": ns.spec("b [c h w]", scale="c", bias="c", eps=1e-3),
    "each channel of each sample (instance norm)": ns.spec(
        "b c [h w]", scale="c", bias="c", eps=1e-3
    ),
    "each channel of the batch (batch norm)": ns.spec(
        "[b] c [h w]", scale="c", bias="c", eps=1e-3, running=ns.Running(0.99)
    ),
}


class Block(nn.Module):
    """Three convolutions, the shortcut, and the normalization of their sum."""

    def __init__(self, channels: int, stated: ns.NormSpec) -> None:
        super().__init__()
        self.convolutions = nn.ModuleList(convolution(channels, channels) for _ in range(3))
        self.norm = Norm(stated)  # its parameters are made with the first input

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = x
        for convolution in self.convolutions:
            y = leaky_relu(convolution(y), 0.3)
        return self.norm(y, residual=x)


class Network(nn.Sequential):
    """The network of the question, with a normalization to choose and ten outputs."""

    def __init__(self, channels: int, blocks: int, stated: ns.NormSpec) -> None:
        super().__init__(
            convolution(1, channels),
            *(Block(channels, stated) for _ in range(blocks)),
            nn.Flatten(),  # not pooled: instance norm leaves every channel with the same mean
            nn.Linear(channels * SIZE * SIZE, 10),
        )
        self(torch.zeros(2, 1, SIZE, SIZE))


def convolution(before: int, after: int) -> nn.Conv2d:
    made = nn.Conv2d(before, after, 3, padding=1)
    nn.init.kaiming_normal_(made.weight)
    nn.init.zeros_(made.bias)
    return made


def digits() -> tuple[torch.Tensor, torch.Tensor]:
    """The digits of scikit-learn, from 8 x 8 to 16 x 16 pixels."""
    data = load_digits()
    images = np.kron(data.images / 16, np.ones((SIZE // 8, SIZE // 8)))
    return torch.tensor(images[:, None], dtype=torch.float32), torch.tensor(data.target)


def batches(x: torch.Tensor, size: int = 50) -> list[torch.Tensor]:
    return [x[begin:end] for begin, end in pairwise(range(0, TRAINED + 1, size))]


def train(model: nn.Module, x: torch.Tensor, y: torch.Tensor, epochs: int) -> None:
    model.train()
    optimizer = torch.optim.Adam(model.parameters(), 1e-3)
    for _ in range(epochs):
        for some in batches(torch.randperm(TRAINED)):
            optimizer.zero_grad()
            cross_entropy(model(x[some]), y[some]).backward()
            optimizer.step()


@torch.no_grad()
def right(model: nn.Module, x: torch.Tensor, y: torch.Tensor) -> float:
    """The share of digits that it has not seen and reads right."""
    model.eval()
    return float((model(x[TRAINED:]).argmax(1) == y[TRAINED:]).float().mean())


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--epochs", type=int, default=6)
    parser.add_argument("--blocks", type=int, default=8)
    parser.add_argument("--channels", type=int, default=8)
    options = parser.parse_args()
    x, y = digits()
    for name, stated in CANDIDATES.items():
        torch.manual_seed(1)
        begin = time.perf_counter()
        model = Network(options.channels, options.blocks, stated)
        train(model, x, y, options.epochs)
        seconds = time.perf_counter() - begin
        values = ns.explain(stated, (50, options.channels, SIZE, SIZE)).facts.set_size
        print(
            f"{name:44} {stated.pattern:12} {values:>6,} values per set   "
            f"{right(model, x, y):6.1%} right ({seconds:.0f} s)"
        )
        if stated.running is not None:
            told = recalibrate(model, batches(x))
            print(
                f"  after few steps its running statistics lag; all {len(told.layers)} measured "
                f"exactly: {right(model, x, y):6.1%} right"
            )
    samples = ns.scope(model, x[:4]).samples_independent
    print(f"Batch norm: samples see each other in training: {not samples['training']}, ", end="")
    print(f"at inference: {not samples['inference']}.")


if __name__ == "__main__":
    main()

"""A block of ConvNeXt, whose normalization over the channels is written in one pattern.

torch's LayerNorm takes the last axes only, so models move the channels there and back again. Here
`"b [c] h w"` says what is meant; weights trained with the one load into the other.

    python examples/torch_convnext.py [--height 56]
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable

import torch
from torch import nn
from torch.nn.functional import gelu

import normscope as ns
from normscope.layers.torch import Norm

CHANNELS = 96


class LastAxisNorm(nn.LayerNorm):
    """The usual way: the channels last, and back."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return super().forward(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)


class Block(nn.Module):
    """Depthwise convolution, normalization, two pointwise layers, and a shortcut.

    Source: Liu et al., A ConvNet for the 2020s, arXiv 2201.03545.
    """

    def __init__(self, channels: int, norm: Callable[[int], nn.Module]) -> None:
        super().__init__()
        self.depthwise = nn.Conv2d(channels, channels, 7, padding=3, groups=channels)
        self.norm = norm(channels)
        self.widen = nn.Conv2d(channels, 4 * channels, 1)
        self.narrow = nn.Conv2d(4 * channels, channels, 1)
        self.scale = nn.Parameter(torch.full((channels, 1, 1), 1e-2))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.narrow(gelu(self.widen(self.norm(self.depthwise(x)))))
        return x + self.scale * y


def by_pattern(channels: int) -> Norm:
    return Norm("b [c] h w", c=channels, scale="c", bias="c", eps=1e-6)


def usual(channels: int) -> LastAxisNorm:
    return LastAxisNorm(channels, eps=1e-6)


def seconds(layer: nn.Module, x: torch.Tensor) -> float:
    """Of one step, forward and backward: the best of five."""
    times = []
    for _ in range(6):
        begin = time.perf_counter()
        layer(x).sum().backward()
        times.append(time.perf_counter() - begin)
    return min(times[1:])


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--height", type=int, default=56, help="of the images, in pixels")
    height = parser.parse_args().height
    torch.manual_seed(0)
    old, new = Block(CHANNELS, usual), Block(CHANNELS, by_pattern)
    print(f"weights of the usual block: {new.load_state_dict(old.state_dict())}")
    print(new.norm)
    x = torch.randn(2, CHANNELS, 14, 14)
    y, expected = new(x), old(x)
    y.square().sum().backward()
    expected.square().sum().backward()
    print("same outputs and gradients:", torch.allclose(y, expected, atol=1e-6), end=", ")
    pairs = zip(new.parameters(), old.parameters(), strict=True)
    print(all(torch.allclose(p.grad, q.grad, rtol=1e-3, atol=1e-3) for p, q in pairs))
    told = ns.explain(new.norm, tuple(x.shape))
    print(
        f"a statistics set: {told.facts.set_size} values, {told.facts.sets_per_sample} per sample"
    )
    audited = ns.audit(new, x)
    print(f"an audit of the block: {len(audited.findings)} findings")
    large = torch.randn(8, CHANNELS, height, height, requires_grad=True)
    ratio = seconds(old.norm, large) / seconds(new.norm, large)
    print(f"the normalization alone, forward and backward: {ratio:.1f} times as fast")


if __name__ == "__main__":
    main()

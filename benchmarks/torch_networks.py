"""Whole networks of PyTorch, written as one finds them: they normalize by PyTorch's own layers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional


class FoundingBlock(nn.Module):
    """Three convolutions, the input added, and a normalization at the end."""

    def __init__(self, channels: int, norm: Callable[[], nn.Module]) -> None:
        super().__init__()
        self.convolutions = nn.ModuleList(
            nn.Conv2d(channels, channels, 3, padding=1) for _ in range(3)
        )
        self.norm = norm()

    def forward(self, x: Tensor) -> Tensor:
        y = x
        for convolution in self.convolutions:
            y = functional.leaky_relu(convolution(y), 0.3)
        return self.norm(y + x)


def founding_network(
    channels: int = 32, norm: Callable[[], nn.Module] | None = None, blocks: int = 8
) -> nn.Module:
    """The network with which this project began: eight blocks, batch norm without a `norm`."""
    make = norm or (lambda: nn.BatchNorm2d(channels))
    return nn.Sequential(*(FoundingBlock(channels, make) for _ in range(blocks)))


class ResidualBlock(nn.Module):
    """The basic block of ResNet."""

    def __init__(self, entering: int, leaving: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(entering, leaving, 3, stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(leaving)
        self.conv2 = nn.Conv2d(leaving, leaving, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(leaving)
        self.shortcut: nn.Module = nn.Identity()
        if stride != 1 or entering != leaving:
            self.shortcut = nn.Sequential(
                nn.Conv2d(entering, leaving, 1, stride, bias=False), nn.BatchNorm2d(leaving)
            )

    def forward(self, x: Tensor) -> Tensor:
        y = functional.relu(self.bn1(self.conv1(x)))
        return functional.relu(self.bn2(self.conv2(y)) + self.shortcut(x))


def resnet18(classes: int = 1000) -> nn.Module:
    """ResNet-18 for images of 224 x 224."""
    stem = [nn.Conv2d(3, 64, 7, 2, padding=3, bias=False), nn.BatchNorm2d(64), nn.ReLU()]
    blocks, entering = [], 64
    for leaving, stride in ((64, 1), (128, 2), (256, 2), (512, 2)):
        blocks += [ResidualBlock(entering, leaving, stride), ResidualBlock(leaving, leaving, 1)]
        entering = leaving
    head = [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(512, classes)]
    return nn.Sequential(*stem, nn.MaxPool2d(3, 2, padding=1), *blocks, *head)


class LayerNorm2d(nn.LayerNorm):
    """Over the channels of feature maps that have them second: the usual way to write it."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)


class ConvNeXtBlock(nn.Module):
    """A depthwise convolution, a layer norm, two linear layers for each pixel, and the input."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.depthwise = nn.Conv2d(channels, channels, 7, padding=3, groups=channels)
        self.norm = nn.LayerNorm(channels, eps=1e-6)
        self.expand = nn.Linear(channels, 4 * channels)
        self.reduce = nn.Linear(4 * channels, channels)
        self.scale = nn.Parameter(torch.full((channels,), 1e-6))

    def forward(self, x: Tensor) -> Tensor:
        y = self.norm(self.depthwise(x).permute(0, 2, 3, 1))
        y = self.scale * self.reduce(functional.gelu(self.expand(y)))
        return x + y.permute(0, 3, 1, 2)


def convnext(
    depths: tuple[int, ...] = (3, 3, 9, 3),
    widths: tuple[int, ...] = (96, 192, 384, 768),
    classes: int = 1000,
) -> nn.Module:
    """ConvNeXt-tiny, without what only regularizes it."""
    layers: list[nn.Module] = [nn.Conv2d(3, widths[0], 4, 4), LayerNorm2d(widths[0], eps=1e-6)]
    for stage, (depth, width) in enumerate(zip(depths, widths, strict=True)):
        if stage:
            before = widths[stage - 1]
            layers += [LayerNorm2d(before, eps=1e-6), nn.Conv2d(before, width, 2, 2)]
        layers += [ConvNeXtBlock(width) for _ in range(depth)]
    head = [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.LayerNorm(widths[-1], eps=1e-6)]
    return nn.Sequential(*layers, *head, nn.Linear(widths[-1], classes))


class TransformerBlock(nn.Module):
    """Attention to earlier tokens and a feed-forward part, each after an RMS norm."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.norm1, self.norm2 = nn.RMSNorm(width), nn.RMSNorm(width)
        self.attend = nn.Linear(width, 3 * width, bias=False)
        self.project = nn.Linear(width, width, bias=False)
        self.expand = nn.Linear(width, 4 * width, bias=False)
        self.reduce = nn.Linear(4 * width, width, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.project(self.attention(self.norm1(x)))
        return x + self.reduce(functional.silu(self.expand(self.norm2(x))))

    def attention(self, x: Tensor) -> Tensor:
        samples, tokens, width = x.shape
        split = self.attend(x).view(samples, tokens, 3, self.heads, -1).permute(2, 0, 3, 1, 4)
        y = functional.scaled_dot_product_attention(*split, is_causal=True)
        return y.transpose(1, 2).reshape(samples, tokens, width)


class LanguageModel(nn.Module):
    """Four layers of a transformer, which predict the next token."""

    def __init__(self, vocabulary: int = 4096, width: int = 384, layers: int = 4) -> None:
        super().__init__()
        self.embed = nn.Embedding(vocabulary, width)
        self.blocks = nn.Sequential(*(TransformerBlock(width, 6) for _ in range(layers)))
        self.norm = nn.RMSNorm(width)
        self.head = nn.Linear(width, vocabulary, bias=False)

    def forward(self, tokens: Tensor) -> Tensor:
        return self.head(self.norm(self.blocks(self.embed(tokens))))


def images(*shape: int) -> Callable[[], Tensor]:
    """A batch of feature maps or images."""
    return lambda: torch.randn(shape)


@dataclass(frozen=True)
class Network:
    """A network, and what it is trained on.

    Attributes:
        name: as it stands in the tables.
        make: makes it.
        inputs: makes a batch.
        loss: of output and input.
        least: how many times as fast a training step must be with `Norm`.
        own_forward: whether a normalization layer has a forward of its own, which `swap` must try.
    """

    name: str
    make: Callable[[], nn.Module]
    inputs: Callable[[], Tensor]
    loss: Callable[[Tensor, Tensor], Tensor]
    least: float = 1.0
    own_forward: bool = False


def first_classes(y: Tensor, x: Tensor) -> Tensor:
    """Each sample of a batch is a class."""
    return functional.cross_entropy(y, torch.arange(len(y)))


def next_tokens(y: Tensor, x: Tensor) -> Tensor:
    return functional.cross_entropy(y[:, :-1].flatten(0, 1), x[:, 1:].flatten())


NETWORKS = [
    Network("founding network", founding_network, images(8, 32, 56, 56), functional.mse_loss, 1.15),
    Network("ResNet-18", resnet18, images(4, 3, 224, 224), first_classes),
    Network(
        "ConvNeXt-tiny", convnext, images(2, 3, 224, 224), first_classes, 1.15, own_forward=True
    ),
    Network("language model", LanguageModel, lambda: torch.randint(4096, (4, 128)), next_tokens),
]


def named(name: str) -> Network:
    """The network of this name."""
    return next(network for network in NETWORKS if network.name == name)

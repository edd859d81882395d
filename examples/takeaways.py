"""Models that go wrong with nothing said, for the commands of docs/takeaways.md.

normscope audit "examples/takeaways.py:four_places()" --shape 4,3,16,16

Frameworks are imported where they are needed: each example needs one of them.
"""

from __future__ import annotations

from typing import Any


def four_places() -> Any:
    """Wrong axes, one value per statistic, a stuck mode and an eps that is none: four errors."""
    import torch
    from torch import nn

    class Net(nn.Module):
        """Each layer is wrong in its own way."""

        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.Conv2d(3, 8, 3, padding=1, bias=False)
            self.axes = nn.LayerNorm(16)  # the width of the image
            self.mode = nn.BatchNorm2d(8, track_running_stats=False)  # the batch, at inference too
            self.pool = nn.AdaptiveAvgPool2d(1)
            self.count = nn.GroupNorm(8, 8)  # of one pixel
            self.head = nn.Linear(8, 4)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            x = torch.relu(self.axes(self.conv(x)))
            x = self.count(self.pool(self.mode(x)))
            x = self.head(x.flatten(1))
            return nn.functional.normalize(x.half())  # an eps of 1e-12, which is 0 in half

    return Net()


def silent_in_keras() -> Any:
    """What PyTorch refuses, Keras turns into zeros: a batch norm of one value per channel."""
    import keras

    return keras.Sequential(
        [
            keras.Input((6, 6, 8)),
            keras.layers.GlobalAveragePooling2D(keepdims=True),
            keras.layers.GroupNormalization(groups=-1, name="norm"),
            keras.layers.Flatten(),
        ]
    )


def biases() -> Any:
    """A bias before a batch norm is removed again; before a layer norm it is not."""
    from torch import nn

    return nn.Sequential(
        nn.Linear(6, 8),
        nn.BatchNorm1d(8),
        nn.ReLU(),
        nn.Linear(8, 8),
        nn.LayerNorm(8),
        nn.Linear(8, 2),
    )


def by_hand() -> Any:
    """A batch norm that no class name tells of."""
    import torch
    from torch import nn

    class Standardized(nn.Module):
        """Each feature over the batch."""

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return (x - x.mean(0)) / (x.var(0, unbiased=False) + 1e-5).sqrt()

    return nn.Sequential(nn.Linear(6, 8), Standardized(), nn.ReLU(), nn.Linear(8, 2))


def one_pass() -> Any:
    """The variance as a difference of two large numbers, as Flax takes it by default."""
    from flax import nnx

    return nnx.LayerNorm(64, rngs=nnx.Rngs(0))


def frozen_in_torch() -> Any:
    """Frozen for the optimizer, and yet its statistics move with each batch."""
    from torch import nn

    net = nn.Sequential(nn.Conv2d(3, 8, 3, bias=False), nn.BatchNorm2d(8), nn.ReLU())
    for parameter in net.parameters():
        parameter.requires_grad_(False)
    return net.train()


def frozen_in_keras() -> Any:
    """The same words in Keras switch the layer to inference."""
    import keras

    norm = keras.layers.BatchNormalization(name="norm")
    net = keras.Sequential(
        [keras.Input((10, 10, 3)), keras.layers.Conv2D(8, 3, use_bias=False), norm]
    )
    norm.trainable = False
    return net


def original() -> Any:
    """A layer with the eps of BERT."""
    from torch import nn

    return nn.Sequential(nn.Linear(6, 8), nn.LayerNorm(8, eps=1e-12))


def ported() -> Any:
    """Its port, with the eps of PyTorch."""
    from torch import nn

    net = nn.Sequential(nn.Linear(6, 8), nn.LayerNorm(8))
    net.load_state_dict(original().state_dict())
    return net


def streaming() -> Any:
    """A causal convolution, and a norm that sees the future."""
    import torch
    from torch import nn

    class Net(nn.Module):
        """The convolution is padded at its left only."""

        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.Conv1d(4, 8, 3)
            self.norm = nn.GroupNorm(1, 8)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            x = nn.functional.pad(x, (2, 0))
            return torch.relu(self.norm(self.conv(x)))

    return Net()

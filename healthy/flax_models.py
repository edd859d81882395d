"""Models in the style of the examples of Flax, in NNX and in Linen, with random weights."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

RNG = np.random.default_rng(0)
IMAGES = RNG.normal(size=(4, 16, 16, 3)).astype("float32")
TOKENS = RNG.integers(0, 50, size=(3, 12))


def models() -> Iterator[tuple[str, Callable[[], tuple[Any, Any]]]]:
    """The name of each, and what makes the model and an input."""
    yield "flax nnx convolutional network", _nnx_images
    yield "flax nnx transformer", _nnx_transformer
    yield "flax linen ResNet", _linen_resnet
    yield "flax linen transformer", _linen_transformer


def _nnx_images() -> tuple[Any, Any]:
    import jax
    from flax import nnx

    class Net(nnx.Module):
        """Two convolutions with batch norm and dropout."""

        def __init__(self, rngs: nnx.Rngs) -> None:
            self.conv1 = nnx.Conv(3, 8, (3, 3), use_bias=False, rngs=rngs)
            self.norm1 = nnx.BatchNorm(8, rngs=rngs)
            self.conv2 = nnx.Conv(8, 16, (3, 3), use_bias=False, rngs=rngs)
            self.norm2 = nnx.BatchNorm(16, rngs=rngs)
            self.drop = nnx.Dropout(0.1, rngs=rngs)
            self.head = nnx.Linear(16, 10, rngs=rngs)

        def __call__(self, x: Any) -> Any:
            x = jax.nn.relu(self.norm1(self.conv1(x)))
            x = nnx.avg_pool(x, (2, 2), (2, 2))
            x = jax.nn.relu(self.norm2(self.conv2(x)))
            return self.head(self.drop(x.mean((1, 2))))

    return Net(nnx.Rngs(0)), IMAGES


def _nnx_transformer() -> tuple[Any, Any]:
    from flax import nnx

    class Block(nnx.Module):
        """Attention and a perceptron, each behind its norm."""

        def __init__(self, rngs: nnx.Rngs) -> None:
            self.norm1 = nnx.LayerNorm(32, rngs=rngs)
            self.attention = nnx.MultiHeadAttention(4, 32, decode=False, rngs=rngs)
            self.norm2 = nnx.LayerNorm(32, rngs=rngs)
            self.up = nnx.Linear(32, 64, rngs=rngs)
            self.down = nnx.Linear(64, 32, rngs=rngs)

        def __call__(self, x: Any) -> Any:
            x = x + self.attention(self.norm1(x))
            return x + self.down(nnx.gelu(self.up(self.norm2(x))))

    class Net(nnx.Module):
        """A small language model."""

        def __init__(self, rngs: nnx.Rngs) -> None:
            self.embed = nnx.Embed(50, 32, rngs=rngs)
            self.block1 = Block(rngs)
            self.block2 = Block(rngs)
            self.norm = nnx.LayerNorm(32, rngs=rngs)
            self.head = nnx.Linear(32, 50, rngs=rngs)

        def __call__(self, tokens: Any) -> Any:
            return self.head(self.norm(self.block2(self.block1(self.embed(tokens)))))

    return Net(nnx.Rngs(0)), TOKENS


def _linen_resnet() -> tuple[Any, Any]:
    import jax
    from flax import linen as nn

    class Block(nn.Module):
        """Two convolutions and a shortcut; the last scale begins at zero."""

        train: bool

        @nn.compact
        def __call__(self, x: Any) -> Any:
            y = nn.Conv(8, (3, 3), use_bias=False)(x)
            y = nn.relu(nn.BatchNorm(use_running_average=not self.train, momentum=0.9)(y))
            y = nn.Conv(8, (3, 3), use_bias=False)(y)
            y = nn.BatchNorm(
                use_running_average=not self.train,
                momentum=0.9,
                scale_init=nn.initializers.zeros_init(),
            )(y)
            return nn.relu(x + y)

    class Net(nn.Module):
        """A ResNet of two blocks."""

        @nn.compact
        def __call__(self, x: Any, train: bool = False) -> Any:
            x = nn.Conv(8, (3, 3), use_bias=False)(x)
            x = nn.relu(nn.BatchNorm(use_running_average=not train, momentum=0.9)(x))
            for _ in range(2):
                x = Block(train)(x)
            return nn.Dense(10)(x.mean((1, 2)))

    net = Net()
    return (net, net.init(jax.random.key(0), IMAGES)), IMAGES


def _linen_transformer() -> tuple[Any, Any]:
    import jax
    from flax import linen as nn

    class Net(nn.Module):
        """An encoder of two blocks with dropout."""

        @nn.compact
        def __call__(self, tokens: Any, deterministic: bool = True) -> Any:
            x = nn.Embed(50, 32)(tokens)
            for _ in range(2):
                y = nn.LayerNorm()(x)
                y = nn.MultiHeadDotProductAttention(4, deterministic=deterministic)(y, y)
                x = x + nn.Dropout(0.1, deterministic=deterministic)(y)
                y = nn.Dense(64)(nn.LayerNorm()(x))
                x = x + nn.Dense(32)(nn.gelu(y))
            return nn.Dense(50)(nn.LayerNorm()(x))

    net = Net()
    return (net, net.init(jax.random.key(0), TOKENS)), TOKENS

"""NS401: a bias before a norm that subtracts it, and before norms that do not."""

from __future__ import annotations

from typing import Any

import numpy as np

from normscope.audit.finding import Finding
from onnx_text import onnx_model
from rule_fixtures import Given, healthy, sick

RNG = np.random.default_rng(0)
X = RNG.normal(size=(4, 3, 8, 8)).astype("float32")
LAST = X.transpose(0, 2, 3, 1)
ROWS = RNG.normal(size=(4, 7, 12)).astype("float32")


def _torch(norm: str, *arguments: Any, bias: bool = True) -> Any:
    from torch import nn

    layer = getattr(nn, norm)(*arguments)
    return nn.Sequential(nn.Conv2d(3, 6, 3, bias=bias), layer, nn.ReLU()), X


@sick("torch", at="1")
def before_batch_norm_torch() -> Any:
    return _torch("BatchNorm2d", 6)


@sick("torch", at="1")
def before_one_channel_to_a_group_torch() -> Any:
    return _torch("GroupNorm", 6, 6)


@sick("torch", at="blocks.0.norm")
def added_by_hand_torch() -> Any:
    import torch
    from torch import nn

    class Block(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.Conv2d(3, 6, 3, bias=False)
            self.offset = nn.Parameter(torch.randn(6))
            self.norm = nn.InstanceNorm2d(6, affine=True)

        def forward(self, x: Any) -> Any:
            return torch.relu(self.norm(self.conv(x) + self.offset[:, None, None]))

    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.blocks = nn.ModuleList([Block()])

        def forward(self, x: Any) -> Any:
            return self.blocks[0](x)

    return Net(), X


@healthy("torch")
def without_bias_torch() -> Any:
    return _torch("BatchNorm2d", 6, bias=False)


@healthy("torch")
def before_groups_of_channels_torch() -> Any:
    return _torch("GroupNorm", 2, 6)


@healthy("torch")
def before_layer_norm_torch() -> Any:
    from torch import nn

    return nn.Sequential(nn.Linear(12, 16), nn.LayerNorm(16), nn.Linear(16, 8), nn.RMSNorm(8)), ROWS


@healthy("torch")
def before_frozen_batch_norm_torch() -> Any:
    import torch
    from torch import nn

    class FrozenBatchNorm2d(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            for name, values in (("weight", 1), ("bias", 0), ("mean", 0.1), ("var", 2)):
                self.register_buffer(name, torch.full((6,), float(values)))

        def forward(self, x: Any) -> Any:
            scale = self.weight * (self.var + 1e-5).rsqrt()
            shift = self.bias - self.mean * scale
            return x * scale.reshape(1, -1, 1, 1) + shift.reshape(1, -1, 1, 1)

    return nn.Sequential(nn.Conv2d(3, 6, 3), FrozenBatchNorm2d(), nn.ReLU()), X


@healthy("torch")
def read_by_another_torch() -> Any:
    from torch import nn

    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv, self.bn = nn.Conv2d(3, 6, 3), nn.BatchNorm2d(6)

        def forward(self, x: Any) -> Any:
            h = self.conv(x)
            return self.bn(h) * h.sigmoid()

    return Net(), X


def _keras(norm: Any) -> Any:
    import keras

    return keras.Sequential([keras.Input((8, 8, 3)), keras.layers.Conv2D(6, 3), norm]), LAST


@sick("keras", at="norm")
def before_batch_norm_keras() -> Any:
    import keras

    return _keras(keras.layers.BatchNormalization(name="norm"))


@healthy("keras")
def before_groups_keras() -> Any:
    import keras

    return _keras(keras.layers.GroupNormalization(2, name="norm"))


@healthy("keras")
def before_frozen_batch_norm_keras() -> Any:
    import keras

    return _keras(keras.layers.BatchNormalization(name="norm", trainable=False))


_CONV = "[conv] h = Conv (x, w, b)"
_ARRAYS = {"w": RNG.normal(size=(6, 3, 1, 1)), "b": RNG.normal(size=6), "s": np.ones(6)}


@sick("onnx", at="norm")
def before_instance_norm_onnx() -> Any:
    text = f"{_CONV} [norm] y = InstanceNormalization (h, s, o)"
    return onnx_model(text, X.shape, output=(4, 6, 8, 8), o=np.zeros(6), **_ARRAYS)


@healthy("onnx")
def before_stored_statistics_onnx() -> Any:
    text = f"{_CONV} [norm] y = BatchNormalization (h, s, o, m, v)"
    stored = {"o": np.zeros(6), "m": RNG.normal(size=6), "v": np.ones(6)}
    return onnx_model(text, X.shape, output=(4, 6, 8, 8), **stored, **_ARRAYS)


def _jax(kind: str) -> Any:
    from flax import nnx

    class Net(nnx.Module):
        def __init__(self) -> None:
            rngs = nnx.Rngs(0)
            self.conv = nnx.Conv(3, 6, (3, 3), rngs=rngs)
            self.norm = getattr(nnx, kind)(6, rngs=rngs)

        def __call__(self, x: Any) -> Any:
            return nnx.relu(self.norm(self.conv(x)))

    return Net(), LAST


@sick("jax", at="norm")
def before_batch_norm_jax() -> Any:
    return _jax("BatchNorm")


@healthy("jax")
def before_layer_norm_jax() -> Any:
    return _jax("LayerNorm")


def measured(finding: Finding, given: Given) -> None:
    """Six biases; added to numbers that are then centred over positions, they are gone."""
    assert finding.evidence["biases"] == 6
    assert "6 biases" in finding.message
    h, bias = RNG.normal(size=(4, 6, 64)), RNG.normal(size=(1, 6, 1))
    for axes in ((0, 2), (2,)):
        before, after = (v - v.mean(axes, keepdims=True) for v in (h, h + bias))
        assert np.abs(before - after).max() < 1e-12

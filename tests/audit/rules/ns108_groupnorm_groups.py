"""NS108: groups that do not divide, or that split an axis of positions."""

from __future__ import annotations

from typing import Any

import numpy as np

from normscope.audit.finding import Finding
from onnx_text import onnx_model
from rule_fixtures import Given, healthy, sick

RNG = np.random.default_rng(0)
X = RNG.normal(size=(2, 3, 8, 8)).astype("float32")
LAST = X.transpose(0, 2, 3, 1)


def _torch(moved: bool, groups: int = 4) -> Any:
    from torch import nn

    class Block(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.Conv2d(3, 8, 3, padding=1)
            self.norm = nn.GroupNorm(groups, 8)

        def forward(self, x: Any) -> Any:
            x = self.conv(x).relu()
            return self.norm(x.permute(0, 2, 3, 1) if moved else x)

    return Block()


@sick("torch", at="norm")
def rows_in_groups_torch() -> Any:
    return _torch(True), X


@healthy("torch")
def channels_in_groups_torch() -> Any:
    return _torch(False), X


@healthy("torch")
def one_group_torch() -> Any:
    return _torch(False, 1), X


@healthy("torch")
def each_channel_a_group_torch() -> Any:
    return _torch(False, 8), X


def _by_hand(order: str) -> Any:
    from torch import nn

    class Interleaved(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.Conv2d(3, 8, 3)

        def forward(self, x: Any) -> Any:
            x = self.conv(x)
            parts = (4, 2) if order == "neighbours" else (2, 4)
            z = x.reshape(2, *parts, 6, 6)
            along = (2, 3, 4) if order == "neighbours" else (1, 3, 4)
            mean, var = z.mean(along, keepdim=True), z.var(along, keepdim=True, unbiased=False)
            return ((z - mean) / (var + 1e-5).sqrt()).reshape(x.shape)

    return Interleaved()


@sick("torch", at="")
def every_fourth_channel_torch() -> Any:
    return _by_hand("every"), X


@healthy("torch")
def neighbours_torch() -> Any:
    return _by_hand("neighbours"), X


def _keras(axis: int) -> Any:
    import keras

    return keras.Sequential(
        [
            keras.Input((8, 8, 3)),
            keras.layers.Conv2D(8, 3, padding="same", name="conv"),
            keras.layers.GroupNormalization(groups=4, axis=axis, name="norm"),
        ]
    )


@sick("keras", at="norm")
def rows_in_groups_keras() -> Any:
    return _keras(1), LAST


@healthy("keras")
def channels_in_groups_keras() -> Any:
    return _keras(-1), LAST


def _onnx(groups: int) -> Any:
    nodes = f"""[conv] h = Conv (x, w)
    [norm] y = GroupNormalization <num_groups={groups}> (h, s, b)"""
    arrays = {"w": RNG.normal(size=(8, 3, 1, 1)), "s": np.ones(8), "b": np.zeros(8)}
    return onnx_model(nodes, X.shape, opset=21, output=(2, 8, 8, 8), **arrays), X


@sick("onnx", at="norm")
def three_of_eight_onnx() -> Any:
    return _onnx(3)


@sick("onnx", at="norm")
def swapped_onnx() -> Any:
    return _onnx(32)


@healthy("onnx")
def four_of_eight_onnx() -> Any:
    return _onnx(4)


def _nnx(by_position: bool) -> Any:
    import jax.numpy as jnp
    from flax import nnx

    class Block(nnx.Module):
        def __init__(self) -> None:
            self.conv = nnx.Conv(3, 8, (3, 3), rngs=nnx.Rngs(0))

        def __call__(self, x: Any) -> Any:
            x = self.conv(x)
            z = x.reshape(2, 4, -1) if by_position else x.reshape(2, 64, 4, 2)
            along = 2 if by_position else (1, 3)
            mean, var = z.mean(along, keepdims=True), z.var(along, keepdims=True)
            return ((z - mean) / jnp.sqrt(var + 1e-6)).reshape(x.shape)

    return Block()


@sick("jax", at="")
def rows_in_groups_jax() -> Any:
    return _nnx(True), LAST


@healthy("jax")
def channels_in_groups_jax() -> Any:
    return _nnx(False), LAST


def measured(finding: Finding, given: Given) -> None:
    """Groups of rows, of every fourth channel, or that 8 channels cannot be split into."""
    groups, shape = finding.evidence["groups"], finding.evidence["input_shape"]
    if "divisors" in finding.evidence:
        assert finding.evidence["channels"] == shape[1] == 8
        assert finding.evidence["divisors"] == [1, 2, 4, 8]
        assert 8 % groups
    else:
        assert groups == 4
        assert shape[finding.evidence["axis"]] == 8
        assert "of length 8" in finding.message or "every 4th" in finding.message

"""NS102: norms that take an axis of positions for the channels of a convolution."""

from __future__ import annotations

from typing import Any

import numpy as np

from normscope.audit.finding import Finding
from onnx_text import onnx_model
from rule_fixtures import Given, healthy, sick

RNG = np.random.default_rng(0)
X = RNG.normal(size=(4, 3, 9, 7)).astype("float32")
LAST = X.transpose(0, 2, 3, 1)


def _torch(last: bool, layer: bool = False) -> Any:
    import torch
    from torch import nn

    class Stem(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.Conv2d(3, 6, 3, padding=1)
            self.norm: Any = nn.LayerNorm(7 if last else 6) if layer else nn.BatchNorm2d(9)
            if not last and not layer:
                self.norm = nn.BatchNorm2d(6)

        def forward(self, x: Any) -> Any:
            x = torch.relu(self.conv(x))
            moved = x.permute(0, 2, 3, 1)
            return self.norm(x if last is layer else moved)

    return Stem()


@sick("torch", at="norm")
def rows_for_channels_torch() -> Any:
    return _torch(last=True), X


@healthy("torch")
def channels_torch() -> Any:
    return _torch(last=False), X


@sick("torch", at="norm")
def columns_torch() -> Any:
    return _torch(last=True, layer=True), X


@healthy("torch")
def channels_of_a_pixel_torch() -> Any:
    return _torch(last=False, layer=True), X


def _keras(axis: int, kind: str = "BatchNormalization") -> Any:
    import keras

    layers = [
        keras.layers.Conv2D(6, 3, name="conv"),
        keras.layers.Activation("relu"),
        getattr(keras.layers, kind)(axis=axis, name="norm"),
    ]
    return keras.Sequential([keras.Input((9, 7, 3)), *layers])


@sick("keras", at="norm")
def first_axis_keras() -> Any:
    return _keras(1), LAST


@healthy("keras")
def last_axis_keras() -> Any:
    return _keras(-1), LAST


@sick("keras", at="norm")
def layer_norm_of_a_column_keras() -> Any:
    return _keras(1, "LayerNormalization"), LAST


@healthy("keras")
def layer_norm_of_a_pixel_keras() -> Any:
    return _keras(-1, "LayerNormalization"), LAST


W = RNG.normal(size=(6, 3, 1, 1))


def _onnx(perm: str, size: int) -> Any:
    kinds = {name: np.ones(size) for name in "sv"} | {name: np.full(size, 0.1) for name in "bm"}
    nodes = f"""[conv] h = Conv (x, w)
    t = Transpose <perm={perm}> (h)
    [bn] y = BatchNormalization (t, s, b, m, v)"""
    shape = (4, 3, 9, 7)
    output = (4, 6, 9, 7) if size == 6 else (4, 9, 7, 6)
    return onnx_model(nodes, shape, output=output, w=W, **kinds), X


@sick("onnx", at="bn")
def moved_onnx() -> Any:
    return _onnx("[0, 2, 3, 1]", 9)


@healthy("onnx")
def in_place_onnx() -> Any:
    return _onnx("[0, 1, 2, 3]", 6)


def _jax(axis: int, size: int) -> Any:
    from flax import nnx

    class Block(nnx.Module):
        def __init__(self) -> None:
            rngs = nnx.Rngs(0)
            self.conv = nnx.Conv(3, 6, (3, 3), rngs=rngs)
            self.bn = nnx.BatchNorm(size, axis=axis, rngs=rngs)

        def __call__(self, x: Any) -> Any:
            return self.bn(nnx.relu(self.conv(x)))

    return Block()


@sick("jax", at="bn")
def first_axis_jax() -> Any:
    return _jax(1, 9), LAST


@healthy("jax")
def last_axis_jax() -> Any:
    return _jax(-1, 6), LAST


def measured(finding: Finding, given: Given) -> None:
    """The convolution makes 6 channels; the norm takes an axis of another length for them."""
    shape = finding.evidence["input_shape"]
    taken = finding.evidence.get("kept_axis", finding.evidence.get("shared_axis"))
    assert shape[finding.evidence["channel_axis"]] == 6
    assert shape[taken] in (7, 9)
    assert f"of length {shape[taken]}" in finding.message

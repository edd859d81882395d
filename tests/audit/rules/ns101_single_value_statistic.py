"""NS101: normalizations of one value by itself, after pooling or over an axis of length 1."""

from __future__ import annotations

from typing import Any

import numpy as np

from normscope.audit.finding import Finding
from onnx_text import onnx_model
from rule_fixtures import Given, healthy, sick

RNG = np.random.default_rng(0)
X = RNG.normal(size=(4, 8, 6, 6)).astype("float32")
LAST = X.transpose(0, 2, 3, 1)
TOKENS = RNG.normal(size=(4, 7, 6)).astype("float32")


def _torch(pool_first: bool) -> Any:
    from torch import nn

    parts: list[Any] = [nn.AdaptiveAvgPool2d(1), nn.GroupNorm(8, 8)]
    return nn.Sequential(*(parts if pool_first else parts[::-1]), nn.Flatten(), nn.Linear(8, 3))


@sick("torch", at="1")
def pooled_torch() -> Any:
    return _torch(True), X


@healthy("torch")
def unpooled_torch() -> Any:
    return _torch(False), X


def _head(width: int, kind: str) -> Any:
    from torch import nn

    class Head(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.score = nn.Sequential(nn.Linear(6, width), getattr(nn, kind)(width))

        def forward(self, x: Any) -> Any:
            return self.score(x)

    return Head()


@sick("torch", at="score.1")
def score_torch() -> Any:
    return _head(1, "LayerNorm"), TOKENS


@sick("torch", at="score.1")
def sign_torch() -> Any:
    return _head(1, "RMSNorm"), TOKENS


@healthy("torch")
def wide_score_torch() -> Any:
    return _head(5, "LayerNorm"), TOKENS


def _by_hand(pool: int) -> Any:
    import torch
    from torch import nn

    class Standardized(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.Conv2d(8, 4, 3)

        def forward(self, x: Any) -> Any:
            x = nn.functional.adaptive_avg_pool2d(self.conv(x), pool)
            var, mean = torch.var_mean(x, (2, 3), unbiased=False, keepdim=True)
            return (x - mean) / torch.sqrt(var + 1e-5)

    return Standardized()


@sick("torch", at="")
def by_hand_torch() -> Any:
    return _by_hand(1), X


@healthy("torch")
def by_hand_on_a_map_torch() -> Any:
    return _by_hand(3), X


def _routed(chosen: int) -> Any:
    import torch
    from torch import nn

    class Router(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.gate = nn.Linear(6, 4)

        def forward(self, x: Any) -> Any:
            weights, _ = torch.topk(self.gate(x).softmax(-1), chosen)
            return weights / weights.sum(-1, keepdim=True)

    return Router()


@healthy("torch")
def weight_of_the_one_expert_torch() -> Any:
    return _routed(1), TOKENS


def _keras(pool_first: bool) -> Any:
    import keras

    pool = keras.layers.GlobalAveragePooling2D(keepdims=True)
    norm = keras.layers.GroupNormalization(groups=8, name="norm")
    parts = (pool, norm) if pool_first else (norm, pool)
    return keras.Sequential([keras.Input((6, 6, 8)), *parts])


@sick("keras", at="norm")
def pooled_keras() -> Any:
    return _keras(True), LAST


@healthy("keras")
def unpooled_keras() -> Any:
    return _keras(False), LAST


def _onnx(norm: str, size: int, **arrays: Any) -> Any:
    shape = (4, 8, size, size)
    return onnx_model(f"[norm] y = {norm}", shape, opset=21, **arrays), np.resize(X, shape)


ONES = np.ones(8)


@sick("onnx", at="norm")
def instance_norm_of_a_pixel_onnx() -> Any:
    return _onnx("InstanceNormalization (x, s, b)", 1, s=ONES, b=ONES)


@sick("onnx", at="norm")
def group_norm_of_a_pixel_onnx() -> Any:
    return _onnx("GroupNormalization <num_groups=8> (x, s, b)", 1, s=ONES, b=0 * ONES)


@sick("onnx", at="norm")
def layer_norm_of_a_column_onnx() -> Any:
    return _onnx("LayerNormalization <axis=3> (x, s)", 1, s=np.ones(1))


@healthy("onnx")
def many_pixels_onnx() -> Any:
    return _onnx("InstanceNormalization (x, s, b)", 6, s=ONES, b=ONES)


@healthy("onnx")
def one_group_of_a_pixel_onnx() -> Any:
    return _onnx("GroupNormalization <num_groups=1> (x, s, b)", 1, s=ONES, b=ONES)


def _jax(pool_first: bool) -> Any:
    from flax import nnx

    class Net(nnx.Module):
        def __init__(self) -> None:
            self.norm = nnx.GroupNorm(8, num_groups=8, rngs=nnx.Rngs(0))

        def __call__(self, x: Any) -> Any:
            if pool_first:
                x = x.mean((1, 2), keepdims=True)
            return self.norm(x)

    return Net()


@sick("jax", at="norm")
def pooled_jax() -> Any:
    return _jax(True), LAST


@healthy("jax")
def unpooled_jax() -> Any:
    return _jax(False), LAST


def measured(finding: Finding, given: Given) -> None:
    """Sets of one value: larger inputs give the same outputs."""
    assert finding.evidence["set_size"] == 1
    assert "1 value" in finding.message

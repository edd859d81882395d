"""NS105: norms for channels first on (batch, length, features), and their transposed twins."""

from __future__ import annotations

from typing import Any

import numpy as np

from normscope.audit.finding import Finding
from onnx_text import onnx_model
from rule_fixtures import Given, healthy, sick

RNG = np.random.default_rng(0)
TOKENS = RNG.normal(size=(4, 5, 6)).astype("float32")
SQUARE = RNG.normal(size=(4, 8, 6)).astype("float32")
ROWS = RNG.normal(size=(4, 6)).astype("float32")
WINDOWS = RNG.normal(size=(4, 6, 9)).astype("float32")


def _torch(norm: Any, transposed: bool = False) -> Any:
    from torch import nn

    class Head(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.fc = nn.Linear(6, 8)
            self.norm = norm

        def forward(self, x: Any) -> Any:
            x = self.fc(x).relu()
            return self.norm(x.transpose(1, 2)).transpose(1, 2) if transposed else self.norm(x)

    return Head()


@sick("torch", at="norm")
def as_many_as_tokens_torch() -> Any:
    from torch import nn

    return _torch(nn.BatchNorm1d(5)), TOKENS


@sick("torch", at="norm")
def as_many_tokens_as_features_torch() -> Any:
    from torch import nn

    return _torch(nn.BatchNorm1d(8)), SQUARE


@sick("torch", at="norm")
def instance_norm_torch() -> Any:
    from torch import nn

    return _torch(nn.InstanceNorm1d(5, affine=True)), TOKENS


@sick("torch", at="norm")
def group_norm_torch() -> Any:
    from torch import nn

    return _torch(nn.GroupNorm(4, 8)), SQUARE


@sick("torch", at="norm")
def instance_norm_without_positions_torch() -> Any:
    from torch import nn

    return _torch(nn.InstanceNorm1d(8)), ROWS


@healthy("torch")
def transposed_torch() -> Any:
    from torch import nn

    return _torch(nn.BatchNorm1d(8), transposed=True), TOKENS


@healthy("torch")
def rows_torch() -> Any:
    from torch import nn

    return _torch(nn.BatchNorm1d(8)), ROWS


@healthy("torch")
def layer_norm_torch() -> Any:
    from torch import nn

    return _torch(nn.LayerNorm(8)), SQUARE


@healthy("torch")
def windows_torch() -> Any:
    from torch import nn

    return nn.Sequential(nn.Conv1d(6, 7, 3), nn.BatchNorm1d(7)), WINDOWS


def _attention(last: bool) -> Any:
    from torch import nn

    class Attending(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.attention = nn.MultiheadAttention(6, 2, batch_first=True)
            self.bn = nn.BatchNorm1d(6 if last else 5)

        def forward(self, x: Any) -> Any:
            x = x + self.attention(x, x, x, need_weights=False)[0]
            return self.bn(x.transpose(1, 2)) if last else self.bn(x)

    return Attending()


@sick("torch", at="bn")
def after_attention_torch() -> Any:
    return _attention(False), TOKENS


@healthy("torch")
def after_attention_transposed_torch() -> Any:
    return _attention(True), TOKENS


def _recurrent(length: int) -> Any:
    from torch import nn

    class Recurrent(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.lstm = nn.LSTM(6, 8, batch_first=True)
            self.bn = nn.BatchNorm1d(length)

        def forward(self, x: Any) -> Any:
            x = self.lstm(x)[0]
            return self.bn(x if length == 5 else x.transpose(1, 2))

    return Recurrent()


@sick("torch", at="bn")
def after_lstm_torch() -> Any:
    return _recurrent(5), TOKENS


@healthy("torch")
def after_lstm_transposed_torch() -> Any:
    return _recurrent(8), TOKENS


def _keras(axis: int) -> Any:
    import keras

    return keras.Sequential(
        [
            keras.Input((5, 6)),
            keras.layers.Dense(8, activation="relu", name="fc"),
            keras.layers.BatchNormalization(axis=axis, name="bn"),
            keras.layers.Flatten(),
            keras.layers.Dense(2),
        ]
    )


@sick("keras", at="bn")
def by_token_keras() -> Any:
    return _keras(1), TOKENS


@healthy("keras")
def by_feature_keras() -> Any:
    return _keras(-1), TOKENS


def _onnx(transposed: bool) -> Any:
    size = 8 if transposed else 5
    arrays = {"w": RNG.normal(size=(6, 8)), "s": np.ones(size), "b": np.zeros(size)}
    arrays |= {"m": np.full(size, 0.1), "v": np.full(size, 2.0)}
    move = "Transpose <perm=[0, 2, 1]>" if transposed else "Identity"
    nodes = f"[fc] h = MatMul (x, w)\n t = {move} (h)\n[bn] y = BatchNormalization (t, s, b, m, v)"
    output = (4, 8, 5) if transposed else (4, 5, 8)
    return onnx_model(nodes, (4, 5, 6), output=output, **arrays), TOKENS


@sick("onnx", at="bn")
def by_token_onnx() -> Any:
    return _onnx(False)


@healthy("onnx")
def by_feature_onnx() -> Any:
    return _onnx(True)


def _nnx(axis: int, size: int) -> Any:
    from flax import nnx

    class Net(nnx.Module):
        def __init__(self) -> None:
            rngs = nnx.Rngs(0)
            self.fc = nnx.Linear(6, 8, rngs=rngs)
            self.bn = nnx.BatchNorm(size, axis=axis, rngs=rngs)

        def __call__(self, x: Any) -> Any:
            return self.bn(nnx.gelu(self.fc(x)))

    return Net()


@sick("jax", at="bn")
def by_token_jax() -> Any:
    return _nnx(1, 5), TOKENS


@healthy("jax")
def by_feature_jax() -> Any:
    return _nnx(-1, 8), TOKENS


def measured(finding: Finding, given: Given) -> None:
    """The features are those that the layer before makes."""
    shape, where = finding.evidence["input_shape"], finding.evidence["channel_axis"]
    assert shape[where] in (8, 6)
    if "token_axis" in finding.evidence:
        assert shape[finding.evidence["token_axis"]] == given.inputs.shape[1]
        assert f"of length {given.inputs.shape[1]}" in finding.message

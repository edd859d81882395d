"""NS107: lengths of vectors along tokens or samples, and along features."""

from __future__ import annotations

from typing import Any

import numpy as np

from normscope.audit.finding import Finding
from onnx_text import onnx_model
from rule_fixtures import Given, healthy, sick

RNG = np.random.default_rng(0)
TOKENS = RNG.normal(size=(4, 5, 6)).astype("float32")
ROWS = RNG.normal(size=(4, 6)).astype("float32")
IMAGES = RNG.normal(size=(2, 3, 5, 5)).astype("float32")


def _towers(**settings: Any) -> Any:
    from torch import nn

    class Towers(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.text, self.image = nn.Linear(6, 8), nn.Linear(6, 8)

        def forward(self, x: Any) -> Any:
            normal = nn.functional.normalize
            a, b = normal(self.text(x), **settings), normal(self.image(x), **settings)
            return a @ b.transpose(-1, -2)

    return Towers()


@sick("torch", at="")
def default_of_three_axes_torch() -> Any:
    return _towers(), TOKENS


@healthy("torch")
def features_of_tokens_torch() -> Any:
    return _towers(dim=-1), TOKENS


@sick("torch", at="")
def over_the_batch_torch() -> Any:
    return _towers(dim=0), ROWS


@healthy("torch")
def contrastive_torch() -> Any:
    return _towers(), ROWS


def _embedding(whole: bool) -> Any:
    from torch import nn

    class Embedding(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.fc = nn.Linear(6, 8)

        def forward(self, x: Any) -> Any:
            x = self.fc(x)
            return x / (x.norm() if whole else x.norm(dim=-1, keepdim=True))

    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.head = Embedding()

        def forward(self, x: Any) -> Any:
            return self.head(x)

    return Net()


@sick("torch", at="head")
def by_one_number_torch() -> Any:
    return _embedding(True), ROWS


@healthy("torch")
def each_by_its_own_torch() -> Any:
    return _embedding(False), ROWS


@healthy("torch")
def attention_across_channels_torch() -> Any:
    from torch import nn

    class Transposed(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.q, self.k = nn.Linear(6, 8), nn.Linear(6, 8)

        def forward(self, x: Any) -> Any:
            q = nn.functional.normalize(self.q(x).transpose(1, 2), dim=-1)
            k = nn.functional.normalize(self.k(x).transpose(1, 2), dim=-1)
            return (q @ k.transpose(1, 2)).softmax(-1)

    return Transposed(), TOKENS


@healthy("torch")
def channels_of_pixels_torch() -> Any:
    from torch import nn

    class Described(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.Conv2d(3, 4, 3)

        def forward(self, x: Any) -> Any:
            return nn.functional.normalize(self.conv(x))

    return Described(), IMAGES


def _keras(axis: int) -> Any:
    import keras

    return keras.Sequential(
        [
            keras.Input((5, 6)),
            keras.layers.Dense(8, name="dense"),
            keras.layers.UnitNormalization(axis=axis, name="unit"),
        ]
    )


@sick("keras", at="unit")
def along_tokens_keras() -> Any:
    return _keras(1), TOKENS


@healthy("keras")
def along_features_keras() -> Any:
    return _keras(-1), TOKENS


def _onnx(axis: int) -> Any:
    nodes = f"[fc] h = MatMul (x, w)\n[l2] y = LpNormalization <axis={axis}, p=2> (h)"
    return onnx_model(nodes, TOKENS.shape, output=(4, 5, 8), w=RNG.normal(size=(6, 8))), TOKENS


@sick("onnx", at="l2")
def along_tokens_onnx() -> Any:
    return _onnx(1)


@healthy("onnx")
def along_features_onnx() -> Any:
    return _onnx(2)


def _nnx(axis: Any) -> Any:
    import jax.numpy as jnp
    from flax import nnx

    class Projection(nnx.Module):
        def __init__(self) -> None:
            self.fc = nnx.Linear(6, 8, rngs=nnx.Rngs(0))

        def __call__(self, x: Any) -> Any:
            x = self.fc(x)
            return x / (jnp.linalg.norm(x, axis=axis, keepdims=True) + 1e-6)

    return Projection()


@sick("jax", at="")
def along_tokens_jax() -> Any:
    return _nnx(1), TOKENS


@sick("jax", at="")
def along_the_batch_jax() -> Any:
    return _nnx(0), ROWS


@healthy("jax")
def along_features_jax() -> Any:
    return _nnx(-1), TOKENS


def measured(finding: Finding, given: Given) -> None:
    """The axes are those of tokens or samples, whose lengths the input has too."""
    shape = finding.evidence["input_shape"]
    for axis in finding.evidence["axes"]:
        assert f"of length {shape[axis]}" in finding.message
    first = min(finding.evidence["axes"])
    assert shape[first] == given.inputs.shape[first]

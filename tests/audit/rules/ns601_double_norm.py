"""NS601: two norms in a row; twins with a layer between, other axes, an embedding norm."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from normscope.audit.finding import Finding
from onnx_text import onnx_model
from rule_fixtures import Given, healthy, sick

RNG = np.random.default_rng(0)
X = RNG.normal(size=(4, 5, 8)).astype("float32")
IMAGES = RNG.normal(size=(4, 3, 6, 6)).astype("float32")


@sick("torch", at=("encoder.norm", "decoder.norm"))
def transformer_torch() -> Any:
    import torch

    model = torch.nn.Transformer(8, 2, 1, 1, 16, batch_first=True)
    return model, (torch.tensor(X), torch.tensor(X[:, :3]))


@sick("torch", at="net.3")
def batch_norms_torch() -> Any:
    from torch import nn

    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            parts = nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Dropout(0.2), nn.BatchNorm2d(4)
            self.net = nn.Sequential(*parts, nn.ReLU())

        def forward(self, x: Any) -> Any:
            return self.net(x).mean((2, 3))

    return Net(), IMAGES


@sick("torch", at="norm")
def called_twice_torch() -> Any:
    from torch import nn

    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.body = nn.Sequential(nn.Linear(8, 8), nn.GELU())
            self.norm = nn.LayerNorm(8)
            self.head = nn.Linear(8, 2)

        def features(self, x: Any) -> Any:
            return self.norm(self.body(x))

        def forward(self, x: Any) -> Any:
            return self.head(self.norm(self.features(x))[:, 0])

    return Net(), X


@healthy("torch")
def prenorm_transformer_torch() -> Any:
    from torch import nn

    layer = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True, norm_first=True)
    return nn.TransformerEncoder(layer, 1, nn.LayerNorm(8), enable_nested_tensor=False), X


def _blocks_torch(embedding_norm: bool) -> Any:
    from torch import nn

    class Block(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.norm = nn.LayerNorm(8)
            self.f = nn.Linear(8, 8)

        def forward(self, x: Any) -> Any:
            return x + self.f(self.norm(x))

    first: Any = nn.LayerNorm(8) if embedding_norm else nn.BatchNorm1d(5)
    return nn.Sequential(nn.Linear(8, 8), first, Block(), Block(), nn.LayerNorm(8))


@healthy("torch")
def embedding_norm_torch() -> Any:
    return _blocks_torch(True), X


@healthy("torch")
def embedding_norm_with_dropout_torch() -> Any:
    """As in mBART: a dropout stands between, and the residual carries what it gives."""
    from torch import nn

    linear, norm, *blocks = _blocks_torch(True)
    return nn.Sequential(linear, norm, nn.Dropout(0.1), *blocks), X


@healthy("torch")
def other_axes_torch() -> Any:
    from torch import nn

    return nn.Sequential(nn.Linear(8, 8), nn.BatchNorm1d(5), nn.LayerNorm(8), nn.Linear(8, 2)), X


@healthy("torch")
def cosine_head_torch() -> Any:
    from torch import nn

    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.norm, self.head = nn.LayerNorm(8), nn.Linear(8, 2)

        def forward(self, x: Any) -> Any:
            return self.head(nn.functional.normalize(self.norm(x), dim=-1))

    return Net(), X


def _keras(between: bool) -> Any:
    import keras

    kinds = keras.layers
    parts = [kinds.Dense(6, name="dense"), kinds.LayerNormalization(name="first")]
    parts += [kinds.Dense(6, name="between")] if between else [kinds.Dropout(0.1)]
    return keras.Sequential([keras.Input((8,)), *parts, kinds.LayerNormalization(name="second")])


@sick("keras", at="second")
def twice_keras() -> Any:
    return _keras(False)


@sick("keras", at="second")
def next_to_each_other_keras() -> Any:
    import keras

    tokens = keras.Input((5, 8))
    x = keras.layers.LayerNormalization(name="first")(tokens)
    x = keras.layers.LayerNormalization(name="second")(x)
    return keras.Model(tokens, keras.layers.Dense(2)(x))


@healthy("keras")
def between_keras() -> Any:
    return _keras(True)


ONNX = """
    ["/a/Op"] h = LayerNormalization <axis = -1> (x, g, b)
    ["/b/Op"] i = {between}
    ["/c/Op"] y = LayerNormalization <axis = -1> (i, g, b)
"""


def _onnx(between: str) -> Any:
    weights = {"g": np.linspace(0.5, 1.5, 8), "b": np.zeros(8), "w": RNG.normal(size=(8, 8))}
    return onnx_model(ONNX.format(between=between), (4, 5, 8), **weights)


@sick("onnx", at="c")
def twice_onnx() -> Any:
    return _onnx("Identity (h)")


@healthy("onnx")
def between_onnx() -> Any:
    return _onnx("MatMul (h, w)")


def _jax(between: bool) -> Any:
    from flax import nnx

    rngs = nnx.Rngs(0)

    class Encoder(nnx.Module):
        def __init__(self) -> None:
            self.norm = nnx.RMSNorm(8, rngs=rngs)
            self.dense = nnx.Linear(8, 8, rngs=rngs)

        def __call__(self, x: Any) -> Any:
            return self.norm(self.dense(x))

    class Net(nnx.Module):
        def __init__(self) -> None:
            self.encoder = Encoder()
            self.final_norm = nnx.RMSNorm(8, rngs=rngs)
            self.head = nnx.Linear(8, 2, rngs=rngs)

        def __call__(self, x: Any) -> Any:
            x = self.encoder(x)
            return self.head(self.final_norm(nnx.relu(x) if between else x))

    return Net(), X


@sick("jax", at="final_norm")
def twice_jax() -> Any:
    return _jax(False)


@healthy("jax")
def between_jax() -> Any:
    return _jax(True)


def measured(finding: Finding, given: Given) -> None:
    """By how much the second changes what the first gives, by the definition."""
    (site,) = [s for s in given.audit(finding.code).layers if s.path == finding.path][-1:]
    assert site.spec is not None
    shape = [int(n or 2) for n in site.input_shape or ()]
    x = np.random.default_rng(0).standard_normal(shape)
    scale = np.linspace(0.5, 1.5, 8) if finding.path == "c" else 1.0
    axes = tuple(axis for axis in range(x.ndim) if site.word(axis) == "shared")

    def norm(x: Any) -> Any:
        x = x - x.mean(axes, keepdims=True) * site.spec.center
        return x / np.sqrt((x**2).mean(axes, keepdims=True) + site.spec.eps) * scale

    once = norm(x)
    expected = np.abs(norm(once) - once).max()
    assert finding.evidence["largest_change"] == pytest.approx(expected, rel=0.2, abs=2e-6)

"""NS104: layer norms along the sequence, and their twins along the features of each token."""

from __future__ import annotations

from typing import Any

import numpy as np

from normscope.audit.finding import Finding
from onnx_text import onnx_model
from rule_fixtures import Given, healthy, sick

RNG = np.random.default_rng(0)
TOKENS = RNG.normal(size=(3, 5, 6)).astype("float32")
IMAGES = RNG.normal(size=(2, 3, 6, 6)).astype("float32")


def _encoder(norm: Any, transposed: bool) -> Any:
    from torch import nn

    class Block(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.proj = nn.Linear(6, 8)
            self.norm = norm

        def forward(self, x: Any) -> Any:
            x = nn.functional.gelu(self.proj(x))
            return self.norm(x.transpose(1, 2)).transpose(1, 2) if transposed else self.norm(x)

    class Encoder(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layers = nn.ModuleList([Block()])

        def forward(self, x: Any) -> Any:
            return self.layers[0](x)

    return Encoder()


@sick("torch", at="layers.0.norm")
def over_the_sequence_torch() -> Any:
    from torch import nn

    return _encoder(nn.LayerNorm(5), True), TOKENS


@sick("torch", at="layers.0.norm")
def over_all_but_the_batch_torch() -> Any:
    from torch import nn

    return _encoder(nn.LayerNorm([5, 8]), False), TOKENS


@healthy("torch")
def over_features_torch() -> Any:
    from torch import nn

    return _encoder(nn.LayerNorm(8), False), TOKENS


@healthy("torch")
def instance_norm_over_the_sequence_torch() -> Any:
    from torch import nn

    return _encoder(nn.InstanceNorm1d(8, affine=True), True), TOKENS


def _mixer(back: bool) -> Any:
    from torch import nn

    class Mixer(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.embed = nn.Linear(6, 8)
            self.tokens = nn.Linear(5, 5)
            self.norm = nn.LayerNorm(8 if back else 5)

        def forward(self, x: Any) -> Any:
            x = self.tokens(self.embed(x).transpose(1, 2))
            return self.norm(x.transpose(1, 2) if back else x)

    return Mixer()


@healthy("torch")
def channels_of_a_mixer_torch() -> Any:
    return _mixer(True), TOKENS


@healthy("torch")
def hidden_tokens_of_a_mixer_torch() -> Any:
    return _mixer(False), TOKENS


@healthy("torch")
def channels_and_pixels_torch() -> Any:
    from torch import nn

    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.LayerNorm([4, 4, 4])), IMAGES


@sick("torch", at="1")
def pixels_of_each_channel_torch() -> Any:
    from torch import nn

    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.LayerNorm([4, 4])), IMAGES


def _keras(axis: Any) -> Any:
    import keras

    tokens = keras.Input((5,), dtype="int32")
    x = keras.layers.Embedding(20, 8, name="embed")(tokens)
    x = keras.layers.Dense(8, activation="relu", name="dense")(x)
    x = keras.layers.LayerNormalization(axis=axis, name="norm")(x)
    return keras.Model(tokens, keras.layers.GlobalAveragePooling1D()(x))


IDS = RNG.integers(0, 20, (3, 5)).astype("int32")


@sick("keras", at="norm")
def along_time_keras() -> Any:
    return _keras(1), IDS


@sick("keras", at="norm")
def along_time_and_features_keras() -> Any:
    return _keras([1, 2]), IDS


@healthy("keras")
def along_features_keras() -> Any:
    return _keras(-1), IDS


def _recurrent_keras(axis: int) -> Any:
    import keras

    kinds = keras.layers
    tokens = keras.Input((5,), dtype="int32")
    x = kinds.Embedding(20, 4)(tokens)
    x = kinds.Bidirectional(kinds.GRU(3, return_sequences=True), name="gru")(x)
    return keras.Model(tokens, kinds.LayerNormalization(axis=axis, name="norm")(x))


@sick("keras", at="norm")
def along_time_behind_a_recurrence_keras() -> Any:
    return _recurrent_keras(1), IDS


@healthy("keras")
def along_features_behind_a_recurrence_keras() -> Any:
    return _recurrent_keras(-1), IDS


W = RNG.normal(size=(6, 8))


def _onnx(perm: str, length: int) -> Any:
    nodes = f"""[fc] h = MatMul (x, w)
    t = Transpose <perm={perm}> (h)
    [ln] y = LayerNormalization <axis=2> (t, s, b)"""
    arrays = {"w": W, "s": np.ones(length), "b": np.zeros(length)}
    output = (3, 8, 5) if length == 5 else (3, 5, 8)
    return onnx_model(nodes, (3, 5, 6), output=output, **arrays), TOKENS


@sick("onnx", at="ln")
def transposed_onnx() -> Any:
    return _onnx("[0, 2, 1]", 5)


@healthy("onnx")
def in_place_onnx() -> Any:
    return _onnx("[0, 1, 2]", 8)


def _nnx(axes: Any) -> Any:
    from flax import nnx

    class Block(nnx.Module):
        def __init__(self) -> None:
            rngs = nnx.Rngs(0)
            self.dense = nnx.Linear(6, 8, rngs=rngs)
            self.norm = nnx.LayerNorm(8, reduction_axes=axes, rngs=rngs)

        def __call__(self, x: Any) -> Any:
            return self.norm(nnx.relu(self.dense(x)))

    return Block()


@sick("jax", at="norm")
def along_time_jax() -> Any:
    return _nnx(1), TOKENS


@healthy("jax")
def along_features_jax() -> Any:
    return _nnx(-1), TOKENS


def _recurrent_linen(axes: int) -> Any:
    import jax
    from flax import linen

    class Net(linen.Module):
        @linen.compact
        def __call__(self, x: Any) -> Any:
            x = linen.RNN(linen.GRUCell(4))(x)
            return linen.LayerNorm(reduction_axes=axes)(x)

    return Net().bind(Net().init(jax.random.key(0), TOKENS)), TOKENS


@sick("jax", at="LayerNorm_0")
def along_time_behind_a_recurrence_jax() -> Any:
    return _recurrent_linen(1)


@healthy("jax")
def along_features_behind_a_recurrence_jax() -> Any:
    return _recurrent_linen(-1)


def measured(finding: Finding, given: Given) -> None:
    """The values of a set are those along the axes that the message names."""
    shape = finding.evidence["input_shape"]
    size = int(np.prod([shape[axis] for axis in finding.evidence["shared_axes"]]))
    assert finding.evidence["set_size"] == size
    assert f"{size} values" in finding.message

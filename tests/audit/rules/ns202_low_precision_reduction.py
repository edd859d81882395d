"""NS202: norms that square in half precision, and twins that take their statistics in float32."""

from __future__ import annotations

from typing import Any

import numpy as np

from normscope.audit.finding import Finding
from onnx_text import onnx_model
from rule_fixtures import Given, healthy, sick

X = np.random.default_rng(0).normal(size=(4, 6, 32)).astype("float32")


def _rms(dtype: str, wide: bool) -> Any:
    import torch
    from torch import nn

    class RMSNorm(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.weight = nn.Parameter(torch.ones(32))

        def forward(self, x: Any) -> Any:
            h = x.float() if wide else x
            h = h * torch.rsqrt(h.pow(2).mean(-1, keepdim=True) + 1e-3)
            return self.weight * h.to(x.dtype)

    class Block(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.input_norm = RMSNorm()
            self.mlp = nn.Linear(32, 32)

        def forward(self, x: Any) -> Any:
            return x + self.mlp(self.input_norm(x))

    class Decoder(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.blocks = nn.ModuleList([Block(), Block()])

        def forward(self, x: Any) -> Any:
            for block in self.blocks:
                x = block(x)
            return x

    kind = getattr(torch, dtype)
    return Decoder().to(kind).eval(), torch.tensor(X, dtype=kind)


AT = ("blocks.0.input_norm", "blocks.1.input_norm")


@sick("torch", at=AT)
def rms_float16_torch() -> Any:
    return _rms("float16", wide=False)


@sick("torch", at=AT)
def rms_bfloat16_torch() -> Any:
    return _rms("bfloat16", wide=False)


@healthy("torch")
def rms_float16_upcast_torch() -> Any:
    return _rms("float16", wide=True)


@healthy("torch")
def rms_bfloat16_upcast_torch() -> Any:
    return _rms("bfloat16", wide=True)


def _layer_norm(dtype: str, by_hand: bool) -> Any:
    import torch
    from torch import nn

    class Norm(nn.Module):
        def forward(self, x: Any) -> Any:
            var, mean = torch.var_mean(x, -1, keepdim=True)
            centred = x - mean
            var = (centred * centred).mean(-1, keepdim=True)
            return centred / (var + 1e-3).sqrt()

    norm = Norm() if by_hand else nn.LayerNorm(32)
    kind = getattr(torch, dtype)
    return nn.Sequential(nn.Linear(32, 32), norm, nn.GELU()).to(kind), torch.tensor(X, dtype=kind)


@sick("torch", at="1")
def layer_norm_by_hand_torch() -> Any:
    return _layer_norm("float16", by_hand=True)


@healthy("torch")
def layer_norm_float16_torch() -> Any:
    return _layer_norm("float16", by_hand=False)


@healthy("torch")
def layer_norm_bfloat16_torch() -> Any:
    return _layer_norm("bfloat16", by_hand=False)


@healthy("torch")
def library_rms_bfloat16_torch() -> Any:
    import torch
    from torch import nn

    model = nn.Sequential(nn.Linear(32, 32), nn.RMSNorm(32, eps=1e-5)).bfloat16()
    return model, torch.tensor(X, dtype=torch.bfloat16)


def _keras(wide: bool) -> Any:
    import keras
    from keras import ops

    class RMSNorm(keras.layers.Layer):
        def call(self, x: Any) -> Any:
            h = ops.cast(x, "float32") if wide else x
            h = h * ops.rsqrt(ops.mean(ops.square(h), axis=-1, keepdims=True) + 1e-3)
            return ops.cast(h, x.dtype)

    inputs = keras.Input((6, 32), dtype="float16")
    x = keras.layers.Dense(32, dtype="float16")(inputs)
    return keras.Model(inputs, RMSNorm(name="norm", dtype="float16")(x)), X.astype("float16")


@sick("keras", at="norm")
def rms_keras() -> Any:
    return _keras(wide=False)


@healthy("keras")
def rms_upcast_keras() -> Any:
    return _keras(wide=True)


def _onnx(nodes: str) -> Any:
    scale = {"scale": np.ones(32), "bias": np.zeros(32), "eps": np.float32(1e-3)}
    model = onnx_model(nodes, X.shape, "float16", layer="encoder.norm", **scale)
    return model, X.astype("float16")


@sick("onnx", at="encoder.norm")
def decomposed_onnx() -> Any:
    return _onnx("""
        mean = ReduceMean <axes = [-1]> (x)
        d = Sub (x, mean)
        two = Constant <value = float16 {2}> ()
        square = Mul (d, d)
        var = ReduceMean <axes = [-1]> (square)
        moved = Add (var, eps)
        root = Sqrt (moved)
        normed = Div (d, root)
        scaled = Mul (normed, scale)
        y = Add (scaled, bias)
    """)


@healthy("onnx")
def one_operator_onnx() -> Any:
    return _onnx("y = LayerNormalization <epsilon = 0.001> (x, scale, bias)")


@healthy("onnx")
def decomposed_in_float32_onnx() -> Any:
    return _onnx("""
        h = Cast <to = 1> (x)
        mean = ReduceMean <axes = [-1]> (h)
        d = Sub (h, mean)
        square = Mul (d, d)
        var = ReduceMean <axes = [-1]> (square)
        small = Cast <to = 1> (eps)
        moved = Add (var, small)
        root = Sqrt (moved)
        normed = Div (d, root)
        half = Cast <to = 10> (normed)
        scaled = Mul (half, scale)
        y = Add (scaled, bias)
    """)


def _jax(wide: bool) -> Any:
    import jax
    from flax import linen
    from jax import numpy as jnp

    class Norm(linen.Module):
        @linen.compact
        def __call__(self, x: Any) -> Any:
            scale = self.param("scale", linen.initializers.ones, (32,), jnp.float16)
            h = x.astype(jnp.float32) if wide else x
            h = h * jax.lax.rsqrt(jnp.mean(h * h, -1, keepdims=True) + 1e-3)
            return scale * h.astype(x.dtype)

    class Net(linen.Module):
        @linen.compact
        def __call__(self, x: Any) -> Any:
            return Norm(name="norm")(linen.Dense(32, dtype=jnp.float16)(x))

    net, x = Net(), jnp.asarray(X, jnp.float16)
    return net.bind(net.init(jax.random.key(0), x)), x


@sick("jax", at="norm")
def rms_jax() -> Any:
    return _jax(wide=False)


@healthy("jax")
def rms_upcast_jax() -> Any:
    return _jax(wide=True)


def measured(finding: Finding, given: Given) -> None:
    """Squares of such numbers in float16 by NumPy; the digits of a bfloat16."""
    if finding.evidence["dtype"] == "bfloat16":
        assert 0.0015 < finding.evidence["off"] < 2.0**-7
        return
    size = finding.evidence["size"]
    numbers = np.random.default_rng(1).uniform(size / 2, size, 32).astype("float16")
    with np.errstate(over="ignore"):  # either one square overflows, or the sum of all
        assert np.isinf(np.add.reduce(numbers * numbers, dtype=np.float16))
        assert np.isfinite(np.add.reduce((numbers / 16) ** 2, dtype=np.float16))

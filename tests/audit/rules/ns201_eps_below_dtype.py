"""NS201: an eps that is nothing in float16, or is forgotten, and its twins with a larger one."""

from __future__ import annotations

from typing import Any

import numpy as np

from normscope.audit.finding import Finding, Severity
from onnx_text import onnx_model
from rule_fixtures import Given, healthy, sick

X = np.random.default_rng(0).normal(size=(4, 6, 32)).astype("float32")


def _half(model: Any) -> Any:
    import torch

    return model.half().eval(), torch.tensor(X, dtype=torch.float16)


@sick("torch", at="")
def normalize_half_torch() -> Any:
    from torch import nn
    from torch.nn import functional

    class Embedder(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.project = nn.Linear(32, 32)

        def forward(self, x: Any) -> Any:
            return functional.normalize(self.project(x), dim=-1)

    return _half(Embedder())


@healthy("torch")
def normalize_half_larger_eps_torch() -> Any:
    from torch import nn
    from torch.nn import functional

    class Embedder(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.project = nn.Linear(32, 32)

        def forward(self, x: Any) -> Any:
            return functional.normalize(self.project(x), dim=-1, eps=1e-3)

    return _half(Embedder())


def _hand_written(eps: float, wide: bool = False) -> Any:
    import torch
    from torch import nn

    class BertNorm(nn.Module):
        def __init__(self, eps: float) -> None:
            super().__init__()
            self.weight = nn.Parameter(torch.ones(32))
            self.bias = nn.Parameter(torch.zeros(32))
            self.eps = eps

        def forward(self, x: Any) -> Any:
            given, x = x, x.float() if wide else x
            mean = x.mean(-1, keepdim=True)
            var = (x - mean).pow(2).mean(-1, keepdim=True)
            y = (x - mean) / torch.sqrt(var + self.eps)
            return self.weight * y.to(given.dtype) + self.bias

    class Block(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.norm = BertNorm(eps)
            self.dense = nn.Linear(32, 32)

        def forward(self, x: Any) -> Any:
            return x + self.dense(self.norm(x))

    return nn.ModuleDict({"encoder": nn.Sequential(Block(), Block())})["encoder"]


@sick("torch", at=("0.norm", "1.norm"))
def bert_half_torch() -> Any:
    return _half(_hand_written(1e-12))


@healthy("torch")
def bert_half_upcast_torch() -> Any:
    return _half(_hand_written(1e-12, wide=True))


@sick("torch", at=("0.norm", "1.norm"))
def no_eps_torch() -> Any:
    return _hand_written(0.0), X


@sick("torch", at="length")
def length_without_eps_torch() -> Any:
    from torch import nn

    class Length(nn.Module):
        def forward(self, x: Any) -> Any:
            return x / x.norm(dim=-1, keepdim=True)

    model = nn.Sequential()
    model.add_module("project", nn.Linear(32, 16))
    model.add_module("length", Length())
    return model, X


@healthy("torch")
def bert_float32_torch() -> Any:
    return _hand_written(1e-12), X


@healthy("torch")
def layer_norm_half_torch() -> Any:
    """torch adds the eps of its own layer norm in float32."""
    from torch import nn

    return _half(nn.Sequential(nn.Linear(32, 32), nn.LayerNorm(32, eps=1e-12)))


def _keras(dtype: str) -> Any:
    import keras

    unit = keras.layers.UnitNormalization(name="unit", dtype=dtype)
    return keras.Sequential([keras.Input((6, 32)), unit])


@sick("keras", at="unit")
def unit_half_keras() -> Any:
    return _keras("float16"), X


@healthy("keras")
def unit_keras() -> Any:
    return _keras("float32"), X


@healthy("keras")
def layer_norm_half_keras() -> Any:
    import keras

    norm = keras.layers.LayerNormalization(epsilon=1e-8, dtype="mixed_float16", name="norm")
    return keras.Sequential([keras.Input((6, 32)), norm]), X


_DECOMPOSED = """
    mean = ReduceMean <axes = [-1], keepdims = 1> (x)
    d = Sub (x, mean)
    square = Mul (d, d)
    var = ReduceMean <axes = [-1], keepdims = 1> (square)
    moved = Add (var, eps)
    root = Sqrt (moved)
    y = Div (d, root)
"""


@sick("onnx", at="norm")
def decomposed_half_onnx() -> Any:
    return onnx_model(_DECOMPOSED, X.shape, "float16", layer="norm", eps=1e-12), X.astype("float16")


@healthy("onnx")
def decomposed_half_larger_eps_onnx() -> Any:
    return onnx_model(_DECOMPOSED, X.shape, "float16", layer="norm", eps=1e-3), X.astype("float16")


def _negative(eps: float) -> Any:
    return onnx_model(
        f"[norm] y = InstanceNormalization <epsilon = {eps}> (x, scale, bias)",
        X.shape,
        scale=np.ones(6),
        bias=np.zeros(6),
    )


@sick("onnx", at="norm")
def negative_eps_onnx() -> Any:
    return _negative(-1e-5), X


@healthy("onnx")
def positive_eps_onnx() -> Any:
    return _negative(1e-5), X


def _jax(eps: float) -> Any:
    import jax
    from flax import nnx
    from jax import numpy as jnp

    class RMSNorm(nnx.Module):
        def __init__(self) -> None:
            self.scale = nnx.Param(jnp.ones(32, jnp.float16))

        def __call__(self, x: Any) -> Any:
            mean_square = jnp.mean(x * x, axis=-1, keepdims=True)
            return x * jax.lax.rsqrt(mean_square + jnp.float16(eps)) * self.scale[...]

    class Net(nnx.Module):
        def __init__(self) -> None:
            self.norm = RMSNorm()

        def __call__(self, x: Any) -> Any:
            return self.norm(x)

    return Net(), jnp.asarray(X, jnp.float16)


@sick("jax", at="norm")
def rms_half_jax() -> Any:
    return _jax(1e-8)


@healthy("jax")
def rms_half_larger_eps_jax() -> Any:
    return _jax(1e-3)


@healthy("jax")
def layer_norm_half_jax() -> Any:
    """Flax takes its statistics in float32."""
    from flax import nnx
    from jax import numpy as jnp

    norm = nnx.LayerNorm(32, epsilon=1e-12, dtype=jnp.float16, rngs=nnx.Rngs(0))
    return norm, jnp.asarray(X, jnp.float16)


def measured(finding: Finding, given: Given) -> None:
    """0 divided by the root of 0 + eps, in that dtype, by NumPy."""
    is_length = finding.path == "length"  # of zeros alone no number comes out
    assert finding.severity is (Severity.INFO if is_length else Severity.ERROR)
    dtype = np.dtype(finding.evidence["dtype"]).type
    eps = finding.evidence["eps"]
    if eps is None:  # of a site that no spec describes; these are the numbers in the models above
        eps = -1e-5 if dtype is np.float32 else 1e-12
    with np.errstate(all="ignore"):
        y = dtype(0) / np.sqrt(dtype(0) + dtype(eps))
    assert finding.evidence["result"] == "NaN"
    assert np.isnan(y)

"""NS502: x / std(x) without its mean, and the norms that it is taken for."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np

from normscope.audit.finding import Finding
from onnx_text import onnx_model
from rule_fixtures import Given, healthy, sick

RNG = np.random.default_rng(0)
ROWS = RNG.normal(size=(4, 7, 12)).astype("float32")


def _keras(**settings: Any) -> Any:
    import keras

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Keras itself says that it is no RMS normalization
        norm = keras.layers.LayerNormalization(name="norm", **settings)
        return keras.Sequential([keras.Input((7, 12)), norm, keras.layers.Dense(3)]), ROWS


@sick("keras", at="norm")
def rms_scaling_keras() -> Any:
    return _keras(rms_scaling=True)


@sick("keras", at="norm")
def saved_keras(tmp_path: Path) -> Any:
    model, _ = _keras(rms_scaling=True)
    model.save(tmp_path / "model.keras")
    return tmp_path / "model.keras"


@healthy("keras")
def layer_norm_keras() -> Any:
    return _keras()


@healthy("keras")
def rms_norm_keras() -> Any:
    import keras

    norm = keras.layers.RMSNormalization(name="norm")
    return keras.Sequential([keras.Input((7, 12)), norm, keras.layers.Dense(3)]), ROWS


def _torch(body: Any) -> Any:
    import torch
    from torch import nn

    class RMSNorm(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.weight = nn.Parameter(torch.ones(12))

        def forward(self, x: Any) -> Any:
            return body(x) * self.weight

    return nn.Sequential(nn.Linear(12, 12), RMSNorm(), nn.Linear(12, 3)), ROWS


@sick("torch", at="1")
def by_the_variance_torch() -> Any:
    import torch

    def body(x: Any) -> Any:
        return x * torch.rsqrt(x.var(-1, keepdim=True, unbiased=False) + 1e-6)

    return _torch(body)


@healthy("torch")
def by_the_mean_square_torch() -> Any:
    import torch

    return _torch(lambda x: x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + 1e-6))


@healthy("torch")
def amplitudes_torch() -> Any:
    from torch import nn

    class Loudness(nn.Module):
        def forward(self, x: Any) -> Any:
            return x / (x.std(-1, keepdim=True, unbiased=False) + 1e-5)

    return nn.Sequential(Loudness(), nn.Linear(12, 3)), ROWS


def _onnx(centred: str) -> Any:
    text = f"""
        m = ReduceMean <axes = [-1]> (x)
        d = Sub (x, m)
        q = Mul (d, d)
        v = ReduceMean <axes = [-1]> (q)
        e = Add (v, eps)
        s = Sqrt (e)
        n = Div ({centred}, s)
        y = Mul (n, w)
    """
    return onnx_model(
        text, ROWS.shape, layer="norm", eps=np.float32(1e-3), w=RNG.uniform(0.5, 2, 12)
    )


@sick("onnx", at="norm")
def by_the_variance_onnx() -> Any:
    return _onnx("x")


@healthy("onnx")
def layer_norm_onnx() -> Any:
    return _onnx("d")


def _jax(squares: bool) -> Any:
    import jax
    import jax.numpy as jnp
    from flax import nnx

    class ScaleNorm(nnx.Module):
        def __init__(self) -> None:
            self.scale = nnx.Param(jnp.ones(12))

        def __call__(self, x: Any) -> Any:
            spread = (
                jnp.mean(jnp.square(x), -1, keepdims=True)
                if squares
                else jnp.var(x, -1, keepdims=True)
            )
            return x * jax.lax.rsqrt(spread + 1e-6) * self.scale[...]

    return ScaleNorm(), ROWS


@sick("jax", at="")
def by_the_variance_jax() -> Any:
    return _jax(squares=False)


@healthy("jax")
def by_the_mean_square_jax() -> Any:
    return _jax(squares=True)


def measured(finding: Finding, given: Given) -> None:
    """With a mean of three deviations, the mean square is ten times the variance."""
    eps = finding.evidence["eps"]
    expected = np.sqrt((10 + eps) / (1 + eps))
    assert np.isclose(finding.evidence["times"], expected, rtol=1e-6)
    assert f"{expected:.3g} times" in finding.message

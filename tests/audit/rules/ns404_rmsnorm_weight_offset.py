"""NS404: stored scales in the wrong of the two conventions, x * scale and x * (1 + scale)."""

from __future__ import annotations

from typing import Any

import numpy as np

from normscope.audit.finding import Finding
from onnx_text import onnx_model
from rule_fixtures import Given, healthy, sick

RNG = np.random.default_rng(0)
WIDTH = 32
ROWS = RNG.normal(size=(2, 5, WIDTH)).astype("float32")
OFFSETS = [RNG.normal(0.02, 0.1, WIDTH) for _ in range(3)]
SCALES = [1 + offset for offset in OFFSETS]
INITIAL = {0: [np.ones(WIDTH)] * 3, 1: [np.zeros(WIDTH)] * 3}


def _torch(scales: list[Any], shift: int) -> Any:
    import torch
    from torch import nn

    class RMSNorm(nn.Module):
        def __init__(self, scale: Any) -> None:
            super().__init__()
            self.weight = nn.Parameter(torch.tensor(scale, dtype=torch.float32))

        def forward(self, x: Any) -> Any:
            h = x.float()
            h = h * torch.rsqrt(h.pow(2).mean(-1, keepdim=True) + 1e-6)
            return (h * (self.weight + 1 if shift else self.weight)).type_as(x)

    class Block(nn.Module):
        def __init__(self, scale: Any) -> None:
            super().__init__()
            self.norm, self.mlp = RMSNorm(scale), nn.Linear(WIDTH, WIDTH, bias=False)

        def forward(self, x: Any) -> Any:
            return x + self.mlp(self.norm(x))

    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layers = nn.ModuleList(Block(scale) for scale in scales[:-1])
            self.norm = RMSNorm(scales[-1])

        def forward(self, x: Any) -> Any:
            for layer in self.layers:
                x = layer(x)
            return self.norm(x)

    return Net()


PLACES = ("layers.0.norm", "layers.1.norm", "norm")


@sick("torch", at=PLACES)
def offsets_as_scales_torch() -> Any:
    return _torch(OFFSETS, 0), ROWS


@sick("torch", at=PLACES)
def scales_as_offsets_torch() -> Any:
    return _torch(SCALES, 1), ROWS


@sick("torch", at=PLACES)
def ones_as_offsets_torch() -> Any:
    return _torch([np.ones(WIDTH)] * 3, 1), ROWS


@sick("torch", at=PLACES)
def equal_numbers_in_another_formula_torch() -> Any:
    """Numbers that would not tell by themselves: the reference does."""
    unclear = [RNG.normal(0.5, 0.3, WIDTH) for _ in range(3)]
    return _torch(unclear, 0), ROWS, {"against": _torch(unclear, 1)}


@healthy("torch")
def scales_torch() -> Any:
    return _torch(SCALES, 0), ROWS


@healthy("torch")
def offsets_torch() -> Any:
    return _torch(OFFSETS, 1), ROWS


@healthy("torch")
def fresh_torch() -> Any:
    return _torch(INITIAL[0], 0), ROWS


@healthy("torch")
def fresh_offsets_torch() -> Any:
    return _torch(INITIAL[1], 1), ROWS


@healthy("torch")
def trained_scales_near_zero_torch() -> Any:
    """As the first norm of a language model: small, of one sign but for some; others are near 1."""
    small = np.abs(RNG.normal(0.05, 0.03, WIDTH))
    small[:2] *= -1
    return _torch([small, *SCALES[:2]], 0), ROWS


@healthy("torch")
def one_layer_among_many_torch() -> Any:
    return _torch([OFFSETS[0], *SCALES[:2]], 0), ROWS


@healthy("torch")
def converted_by_the_reference_torch() -> Any:
    return _torch(SCALES, 0), ROWS, {"against": _torch(OFFSETS, 1)}


def _keras(values: Any) -> Any:
    import keras

    norms = [keras.layers.RMSNormalization(name=f"norm{n}") for n in range(2)]
    dense = keras.layers.Dense(WIDTH, use_bias=False)
    net = keras.Sequential([keras.Input((5, WIDTH)), norms[0], dense, norms[1]])
    for norm, scale in zip(norms, values, strict=False):
        norm.scale.assign(scale)
    return net, ROWS


@sick("keras", at=("norm0", "norm1"))
def offsets_keras() -> Any:
    return _keras(OFFSETS)


@healthy("keras")
def scales_keras() -> Any:
    return _keras(SCALES)


def _onnx(stored: Any, shift: str) -> Any:
    text = f"""
        q = Mul (x, x)
        m = ReduceMean <axes = [-1]> (q)
        e = Add (m, eps)
        s = Sqrt (e)
        n = Div (x, s)
        {shift}
        y = Mul (n, w)
    """
    return onnx_model(text, ROWS.shape, layer="model.norm", w=stored, eps=np.float32(1e-6))


@sick("onnx", at="model.norm")
def offsets_onnx() -> Any:
    return _onnx(OFFSETS[0], "")


@healthy("onnx")
def scales_onnx() -> Any:
    return _onnx(SCALES[0], "")


def _jax(values: Any, shift: int) -> Any:
    import jax.numpy as jnp
    from flax import nnx

    class RMSNorm(nnx.Module):
        def __init__(self, scale: Any) -> None:
            self.scale = nnx.Param(jnp.asarray(scale, jnp.float32))

        def __call__(self, x: Any) -> Any:
            normed = x / jnp.sqrt(jnp.mean(jnp.square(x), -1, keepdims=True) + 1e-6)
            return normed * (self.scale[...] + shift)

    class Net(nnx.Module):
        def __init__(self) -> None:
            self.before, self.after = RMSNorm(values[0]), RMSNorm(values[1])
            self.mlp = nnx.Linear(WIDTH, WIDTH, rngs=nnx.Rngs(0))

        def __call__(self, x: Any) -> Any:
            return self.after(x + self.mlp(self.before(x)))

    return Net(), ROWS


@sick("jax", at=("before", "after"))
def scales_as_offsets_jax() -> Any:
    return _jax(SCALES, 1)


@healthy("jax")
def offsets_jax() -> Any:
    return _jax(OFFSETS, 1)


def measured(finding: Finding, given: Given) -> None:
    """Mean and spread are those of one of the arrays above."""
    arrays = [*OFFSETS, *SCALES, np.ones(WIDTH)]
    if "reference" in finding.evidence:
        arrays = [layer.detach().numpy() for layer in given.model.parameters() if layer.ndim == 1]
    found = finding.evidence["mean"], finding.evidence["spread"]
    assert any(np.allclose(found, (a.mean(), a.std()), atol=1e-6) for a in arrays)
    assert "reference" in finding.evidence or f"{found[0]:.3g}" in finding.message

"""NS106: queries and keys normalized before they are split into heads, and after it."""

from __future__ import annotations

from typing import Any

import numpy as np

from normscope.audit.finding import Finding
from onnx_text import onnx_model
from rule_fixtures import Given, healthy, sick

RNG = np.random.default_rng(0)
X = RNG.normal(size=(2, 5, 16)).astype("float32")


def _torch(whole: bool, fused: bool) -> Any:
    import torch
    from torch import nn

    class Attention(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.q, self.k, self.v = (nn.Linear(16, 16) for _ in range(3))
            self.q_norm, self.k_norm = (nn.RMSNorm(16 if whole else 4) for _ in range(2))
            self.norm = nn.LayerNorm(16)

        def forward(self, x: Any) -> Any:
            x = self.norm(x)
            q, k, v = self.q(x), self.k(x), self.v(x)
            if whole:
                q, k = self.q_norm(q), self.k_norm(k)
            q, k, v = (one.view(2, 5, 4, 4).transpose(1, 2) for one in (q, k, v))
            if not whole:
                q, k = self.q_norm(q), self.k_norm(k)
            if fused:
                y = nn.functional.scaled_dot_product_attention(q, k, v)
            else:
                q, k = (torch.cat([one[..., 2:], -one[..., :2]], -1) + one for one in (q, k))
                y = torch.softmax(q @ k.transpose(2, 3) / 2, -1) @ v
            return y.transpose(1, 2).reshape(2, 5, 16)

    return nn.ModuleDict({"block": Attention()})["block"]


@sick("torch", at=("q_norm", "k_norm"))
def over_all_heads_torch() -> Any:
    return _torch(True, fused=True), X


@sick("torch", at=("q_norm", "k_norm"))
def over_all_heads_with_rotation_torch() -> Any:
    return _torch(True, fused=False), X


@healthy("torch")
def over_each_head_torch() -> Any:
    return _torch(False, fused=True), X


@healthy("torch")
def over_each_head_with_rotation_torch() -> Any:
    return _torch(False, fused=False), X


@healthy("torch")
def batch_norm_over_samples_and_tokens_in_one_axis() -> Any:
    """One set of a channel holds the tokens of all samples, and attention sums those of one."""
    from torch import nn

    class Attention(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.qkv, self.bn = nn.Linear(16, 48, bias=False), nn.BatchNorm1d(48)

        def forward(self, x: Any) -> Any:
            qkv = self.bn(self.qkv(x).flatten(0, 1)).view(2, 5, 4, 12)
            q, k, v = qkv.permute(0, 2, 1, 3).chunk(3, -1)
            return (q @ k.transpose(2, 3)).softmax(-1) @ v

    return Attention(), X


def _keras(whole: bool) -> Any:
    import keras

    given = keras.Input((5, 16))
    q, k = (keras.layers.Dense(16)(given) for _ in range(2))
    norms = [keras.layers.LayerNormalization(name=name) for name in ("q_norm", "k_norm")]
    if whole:
        q, k = norms[0](q), norms[1](k)
    q, k = (keras.layers.Reshape((5, 4, 4))(one) for one in (q, k))
    if not whole:
        q, k = norms[0](q), norms[1](k)
    scores = keras.ops.einsum("bqhd,bkhd->bhqk", q, k)
    return keras.Model(given, keras.layers.Softmax()(scores))


@sick("keras", at=("q_norm", "k_norm"))
def over_all_heads_keras() -> Any:
    return _keras(True), X


@healthy("keras")
def over_each_head_keras() -> Any:
    return _keras(False), X


def _onnx(whole: bool) -> Any:
    norm, size = "LayerNormalization <axis=-1>", 16 if whole else 4
    q, k = ("n", "k") if whole else ("q", "k")
    nodes = f"""q = MatMul (x, wq)
    k = MatMul (x, wk)
    {f"[q_norm] n = {norm} (q, s)" if whole else ""}
    a = Reshape ({q}, heads)
    {"a1 = Identity (a)" if whole else f"[q_norm] a1 = {norm} (a, s)"}
    b = Reshape ({k}, heads)
    a2 = Transpose <perm=[0, 2, 1, 3]> (a1)
    b2 = Transpose <perm=[0, 2, 3, 1]> (b)
    scores = MatMul (a2, b2)
    y = Softmax (scores)"""
    arrays = {"wq": RNG.normal(size=(16, 16)), "wk": RNG.normal(size=(16, 16))}
    heads = np.array([2, 5, 4, 4])
    return onnx_model(
        nodes, X.shape, output=(2, 4, 5, 5), heads=heads, s=np.ones(size), **arrays
    ), X


@sick("onnx", at="q_norm")
def over_all_heads_onnx() -> Any:
    return _onnx(True)


@healthy("onnx")
def over_each_head_onnx() -> Any:
    return _onnx(False)


def _nnx(whole: bool) -> Any:
    import jax
    from flax import nnx

    class Attention(nnx.Module):
        def __init__(self) -> None:
            rngs = nnx.Rngs(0)
            self.q, self.k, self.v = (nnx.Linear(16, 16, rngs=rngs) for _ in range(3))
            self.q_norm = nnx.RMSNorm(16 if whole else 4, rngs=rngs)

        def __call__(self, x: Any) -> Any:
            q, k, v = self.q(x), self.k(x), self.v(x)
            q = self.q_norm(q) if whole else q
            q, k, v = (one.reshape(2, 5, 4, 4) for one in (q, k, v))
            q = q if whole else self.q_norm(q)
            return jax.nn.dot_product_attention(q, k, v)

    return Attention()


@sick("jax", at="q_norm")
def over_all_heads_jax() -> Any:
    return _nnx(True), X


@healthy("jax")
def over_each_head_jax() -> Any:
    return _nnx(False), X


def measured(finding: Finding, given: Given) -> None:
    """16 features in 4 heads."""
    assert finding.evidence["set_size"] == X.shape[-1]
    assert finding.evidence["heads"] == finding.evidence["head_size"] == 4
    assert "16 values = 4 heads x 4" in finding.message

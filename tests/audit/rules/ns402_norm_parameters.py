"""NS402: a scale of zeros that kills a layer, and one that begins a residual branch."""

from __future__ import annotations

from typing import Any

import numpy as np

from normscope.audit.finding import Finding
from onnx_text import onnx_model
from rule_fixtures import Given, healthy, sick

RNG = np.random.default_rng(0)
X = RNG.normal(size=(4, 6, 8, 8)).astype("float32")
LAST = X.transpose(0, 2, 3, 1)
ROWS = RNG.normal(size=(4, 7, 12)).astype("float32")


def _residual(scale: float, adds: bool) -> Any:
    from torch import nn

    class Block(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv1, self.bn1 = nn.Conv2d(6, 6, 3, padding=1, bias=False), nn.BatchNorm2d(6)
            self.conv2, self.bn2 = nn.Conv2d(6, 6, 3, padding=1, bias=False), nn.BatchNorm2d(6)
            self.act, self.drop = nn.ReLU(), nn.Dropout2d(0.1)
            nn.init.constant_(self.bn2.weight, scale)

        def forward(self, x: Any) -> Any:
            h = self.bn2(self.conv2(self.act(self.bn1(self.conv1(x)))))
            return self.act(self.drop(h) + x) if adds else self.act(h)

    return nn.Sequential(Block(), Block()), X


@sick("torch", at=("0.bn2", "1.bn2"))
def without_a_residual_torch() -> Any:
    return _residual(0.0, adds=False)


@healthy("torch")
def zero_init_residual_torch() -> Any:
    return _residual(0.0, adds=True)


@healthy("torch")
def zero_init_before_a_gate_torch() -> Any:
    """As residual networks with squeeze and excitation begin."""
    import torch
    from torch import nn

    class Block(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv, self.bn = nn.Conv2d(6, 6, 3, padding=1, bias=False), nn.BatchNorm2d(6)
            self.squeeze, self.skip = nn.Linear(6, 6), nn.Conv2d(6, 6, 1)
            nn.init.zeros_(self.bn.weight)

        def forward(self, x: Any) -> Any:
            h = self.bn(self.conv(x))
            gate = torch.sigmoid(self.squeeze(h.mean((2, 3))))
            return torch.relu(h * gate[..., None, None] + self.skip(x))

    return Block(), X


@sick("torch", at="before.norm1")
def zeros_before_another_norm_torch() -> Any:
    """What the second norm subtracts is a mean of the same values."""
    from torch import nn

    class Pair(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.norm1, self.norm2 = nn.LayerNorm(12), nn.LayerNorm(12)
            nn.init.zeros_(self.norm1.weight)

        def forward(self, x: Any) -> Any:
            h = self.norm1(x)
            h = (h - h.mean(-1, keepdim=True)) / (
                h.var(-1, keepdim=True, unbiased=False) + 1
            ).sqrt()
            return self.norm2(h)

    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.before, self.head = Pair(), nn.Linear(12, 3)

        def forward(self, x: Any) -> Any:
            return self.head(self.before(x))

    return Net(), ROWS


@healthy("torch")
def random_scales_torch() -> Any:
    from torch import nn

    net = nn.Sequential(nn.Conv2d(6, 6, 3), nn.BatchNorm2d(6), nn.ReLU(), nn.BatchNorm2d(6))
    nn.init.normal_(net[1].weight)
    net[3].weight.data[1:] = 0  # pruned but for one channel
    return net, X


@healthy("torch")
def zero_as_an_offset_from_one_torch() -> Any:
    import torch
    from torch import nn

    class Norm(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.weight = nn.Parameter(torch.zeros(12))

        def forward(self, x: Any) -> Any:
            return x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + 1e-6) * (1 + self.weight)

    return nn.Sequential(Norm(), nn.Linear(12, 3)), ROWS


@healthy("torch")
def adaptive_layer_norm_torch() -> Any:
    from torch import nn

    class Block(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.norm = nn.LayerNorm(12, elementwise_affine=False)
            self.modulation, self.mlp = nn.Linear(12, 36), nn.Linear(12, 12)
            nn.init.zeros_(self.modulation.weight)
            nn.init.zeros_(self.modulation.bias)

        def forward(self, x: Any) -> Any:
            shift, scale, gate = self.modulation(x.mean(1, keepdim=True)).chunk(3, -1)
            return x + gate * self.mlp(self.norm(x) * (1 + scale) + shift)

    return Block(), ROWS


@sick("torch", at="norm")
def bias_that_ran_away_torch() -> Any:
    from torch import nn

    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.norm, self.head = nn.LayerNorm(12), nn.Linear(12, 3)
            self.norm.bias.data[4] = -2e5

        def forward(self, x: Any) -> Any:
            return self.head(self.norm(x))

    return Net(), ROWS


@sick("keras", at="norm")
def nan_keras() -> Any:
    import keras

    norm = keras.layers.LayerNormalization(name="norm")
    net = keras.Sequential([keras.Input((7, 12)), norm, keras.layers.Dense(3)])
    norm.gamma.assign(np.r_[np.nan, np.ones(11)])
    return net, ROWS


@sick("keras", at="bn")
def zeros_keras() -> Any:
    import keras

    norm = keras.layers.BatchNormalization(gamma_initializer="zeros", name="bn")
    return keras.Sequential([keras.Input((8, 8, 6)), keras.layers.Conv2D(6, 3), norm]), LAST


@healthy("keras")
def zeros_at_the_end_of_a_branch_keras() -> Any:
    import keras

    x = keras.Input((8, 8, 6))
    h = keras.layers.Conv2D(6, 3, padding="same", use_bias=False)(x)
    h = keras.layers.BatchNormalization(gamma_initializer="zeros", name="bn")(h)
    return keras.Model(x, keras.layers.ReLU()(keras.layers.Add()([x, h]))), LAST


def _onnx(tail: str) -> Any:
    text = f"[norm] n = LayerNormalization <axis = -1> (x, s, b) {tail}"
    return onnx_model(text, ROWS.shape, s=np.zeros(12), b=RNG.normal(size=12), w=np.ones((12, 12)))


@sick("onnx", at="norm")
def zeros_onnx() -> Any:
    return _onnx("[head] y = MatMul (n, w)")


@healthy("onnx")
def zeros_at_the_end_of_a_branch_onnx() -> Any:
    return _onnx("[add] y = Add (x, n)")


def _jax(adds: bool) -> Any:
    import jax
    from flax import linen as nn
    from flax.core import freeze

    class Net(nn.Module):
        @nn.compact
        def __call__(self, x: Any) -> Any:
            h = nn.Dense(12)(nn.gelu(nn.Dense(24)(x)))
            h = nn.LayerNorm(scale_init=nn.initializers.zeros_init(), name="norm")(h)
            return x + h if adds else nn.Dense(3)(h)

    net = Net()
    return net.bind(freeze(net.init(jax.random.key(0), ROWS))), ROWS


@sick("jax", at="norm")
def zeros_jax() -> Any:
    return _jax(adds=False)


@healthy("jax")
def zeros_at_the_end_of_a_branch_jax() -> Any:
    return _jax(adds=True)


def measured(finding: Finding, given: Given) -> None:
    """Six or twelve factors of 0; one NaN of twelve; the bias of 2e5 beside scales of 1."""
    evidence = finding.evidence
    if "bias_to_scale" in evidence:
        assert evidence["bias_to_scale"] == 2e5
    elif "role" in evidence:
        assert (evidence["role"], evidence["channels"], evidence["of"]) == ("scale", 1, 12)
    else:
        assert evidence["factor"] == 0
        assert evidence["channels"] == (
            12
            if given.inputs is None
            else given.inputs.shape[-1 if given.inputs.shape[-1] in (6, 12) else 1]
        )

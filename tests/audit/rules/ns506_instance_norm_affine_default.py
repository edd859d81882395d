"""NS506: instance norms with and without learned scale and bias, of a port and its original."""

from __future__ import annotations

from typing import Any

import numpy as np

from normscope.audit.finding import Finding
from onnx_text import onnx_model
from rule_fixtures import Given, healthy, sick

RNG = np.random.default_rng(0)
X = RNG.normal(size=(4, 3, 8, 8)).astype("float32")
LAST = X.transpose(0, 2, 3, 1)
SCALE = np.array([1, 0.5, 2.5, 1, 1, 1], "float32")


def _torch(affine: bool) -> Any:
    import torch
    from torch import nn

    net = nn.Sequential(
        nn.Conv2d(3, 6, 3), nn.InstanceNorm2d(6, eps=1e-3, affine=affine), nn.ReLU()
    )
    if affine:
        net[1].weight.data = torch.from_numpy(SCALE)
    return net


def _keras(affine: bool) -> Any:
    import keras

    norm = keras.layers.GroupNormalization(-1, name="norm", scale=affine, center=affine)
    net = keras.Sequential(
        [keras.Input((8, 8, 3)), keras.layers.Conv2D(6, 3), norm, keras.layers.ReLU()]
    )
    if affine:
        norm.gamma.assign(SCALE)
    return net


@sick("torch", at="1")
def default_of_torch() -> Any:
    return _torch(affine=False), X, {"against": _keras(affine=True)}


@healthy("torch")
def faithful_torch() -> Any:
    return _torch(affine=True), X, {"against": _keras(affine=True)}


@healthy("torch")
def neither_learns_torch() -> Any:
    return _torch(affine=False), X, {"against": _keras(affine=False)}


def _mixed(**settings: Any) -> Any:
    import torch
    from torch import nn

    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.stem, self.stem_norm = nn.Conv2d(3, 6, 3), nn.InstanceNorm2d(6, **settings)
            self.body = nn.Sequential(
                *(nn.Sequential(nn.Conv2d(6, 6, 3, padding=1), nn.GroupNorm(2, 6)) for _ in "ab")
            )

        def forward(self, x: Any) -> Any:
            return self.body(torch.relu(self.stem_norm(self.stem(x))))

    return Net(), X


@sick("torch", at="stem_norm")
def the_only_one_that_learns_nothing_torch() -> Any:
    return _mixed()


@healthy("torch")
def all_learn_torch() -> Any:
    return _mixed(affine=True)


@healthy("torch")
def none_learns_torch() -> Any:
    """As image translation has it."""
    from torch import nn

    parts = [part for _ in "abc" for part in (nn.LazyConv2d(6, 3), nn.InstanceNorm2d(6), nn.ReLU())]
    return nn.Sequential(*parts), X


@sick("keras", at="norm")
def scale_that_the_original_lacks_keras() -> Any:
    return _keras(affine=True), LAST, {"against": _torch(affine=False)}


@healthy("keras")
def faithful_keras() -> Any:
    return _keras(affine=False), LAST, {"against": _torch(affine=False)}


def _onnx(scale: Any) -> Any:
    text = "[conv] h = Conv (x, w) [norm] y = InstanceNormalization (h, s, b)"
    return onnx_model(
        text, X.shape, output=(4, 6, 8, 8), w=RNG.normal(size=(6, 3, 1, 1)), s=scale, b=np.zeros(6)
    )


def _by_operators() -> Any:
    """Instance norm without scale and bias, of single operators."""
    text = """
        [conv] h = Conv (x, w)
        m = ReduceMean <axes = [2, 3]> (h)
        d = Sub (h, m)
        q = Mul (d, d)
        v = ReduceMean <axes = [2, 3]> (q)
        e = Add (v, eps)
        s = Sqrt (e)
        y = Div (d, s)
    """
    return onnx_model(
        text,
        X.shape,
        output=(4, 6, 8, 8),
        layer="norm",
        w=RNG.normal(size=(6, 3, 1, 1)),
        eps=np.float32(1e-5),
    )


@sick("onnx", at="norm")
def scale_that_was_lost_onnx() -> Any:
    return _by_operators(), X, {"against": _onnx(SCALE)}


@healthy("onnx")
def faithful_onnx() -> Any:
    return _onnx(SCALE), X, {"against": _onnx(SCALE)}


def _jax(affine: bool) -> Any:
    from flax import nnx

    class Net(nnx.Module):
        def __init__(self) -> None:
            rngs = nnx.Rngs(0)
            self.conv = nnx.Conv(3, 6, (3, 3), rngs=rngs)
            self.norm = nnx.InstanceNorm(6, use_scale=affine, use_bias=affine, rngs=rngs)

        def __call__(self, x: Any) -> Any:
            return self.norm(self.conv(x))

    return Net()


@sick("jax", at="norm")
def scale_that_was_lost_jax() -> Any:
    return _jax(affine=False), LAST, {"against": _torch(affine=True)}


@healthy("jax")
def faithful_jax() -> Any:
    return _jax(affine=True), LAST, {"against": _torch(affine=True)}


def measured(finding: Finding, given: Given) -> None:
    """Six scales and six biases, one of them 2.5; two group norms beside the only one."""
    if "others" in finding.evidence:
        assert finding.evidence["others"] == 2
        return
    assert finding.evidence["numbers"] == 12
    assert finding.evidence["factor"] == SCALE.max()
    assert "(12 numbers, factors up to 2.5)" in finding.message

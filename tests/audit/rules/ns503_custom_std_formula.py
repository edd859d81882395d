"""NS503: layer norms by hand with N - 1, eps outside, another power; and the usual formula."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from normscope.audit.finding import Finding
from onnx_text import onnx_model
from rule_fixtures import Given, healthy, sick

RNG = np.random.default_rng(0)
WIDTH = 16
ROWS = RNG.normal(size=(4, 7, WIDTH)).astype("float32")


def _torch(divide: Callable[[Any, Any], Any], learns: bool = True) -> Any:
    import torch
    from torch import nn

    class LayerNorm(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a_2 = nn.Parameter(torch.ones(WIDTH))
            self.b_2 = nn.Parameter(torch.zeros(WIDTH))

        def forward(self, x: Any) -> Any:
            y = divide(x - x.mean(-1, keepdim=True), x)
            return self.a_2 * y + self.b_2 if learns else y

    class Sublayer(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.norm, self.linear = LayerNorm(), nn.Linear(WIDTH, WIDTH)

        def forward(self, x: Any) -> Any:
            return x + self.linear(self.norm(x))

    return nn.ModuleDict({"encoder": Sublayer()})["encoder"], ROWS


@sick("torch", at="norm")
def annotated_transformer_torch() -> Any:
    return _torch(lambda d, x: d / (x.std(-1, keepdim=True) + 1e-6))


@sick("torch", at="norm")
def unbiased_variance_torch() -> Any:
    return _torch(lambda d, x: d / (x.var(-1, keepdim=True) + 1e-6).sqrt())


@sick("torch", at="norm")
def eps_outside_torch() -> Any:
    return _torch(lambda d, x: d / (x.std(-1, keepdim=True, unbiased=False) + 1e-5))


@sick("torch", at="norm")
def squared_torch() -> Any:
    return _torch(lambda d, x: d / (x.var(-1, keepdim=True, unbiased=False) + 1e-5) ** 2)


@sick("torch", at="norm")
def without_the_root_torch() -> Any:
    return _torch(lambda d, x: d / (x.var(-1, keepdim=True, unbiased=False) + 1e-5))


@sick("torch", at="norm")
def multiplied_by_the_root_torch() -> Any:
    return _torch(lambda d, x: d * (x.var(-1, keepdim=True, unbiased=False) + 1e-5).sqrt())


@sick("torch", at="norm")
def mean_square_without_the_root_torch() -> Any:
    return _torch(lambda _, x: x / (x.pow(2).mean(-1, keepdim=True) + 1e-6))


@healthy("torch")
def as_usual_torch() -> Any:
    return _torch(lambda d, x: d / (x.var(-1, keepdim=True, unbiased=False) + 1e-6).sqrt())


@healthy("torch")
def standardized_inputs_torch() -> Any:
    from torch import nn

    class Standardize(nn.Module):
        def forward(self, x: Any) -> Any:
            return (x - x.mean(-1, keepdim=True)) / x.std(-1, keepdim=True)

    return nn.Sequential(Standardize(), nn.Linear(WIDTH, 3)), ROWS


@sick("torch", at="norm")
def without_parameters_torch() -> Any:
    return _torch(lambda d, x: d / x.std(-1, keepdim=True), learns=False)


@healthy("torch")
def a_gate_torch() -> Any:
    import torch
    from torch import nn

    class ResponseNorm(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.gamma = nn.Parameter(torch.randn(WIDTH))

        def forward(self, x: Any) -> Any:
            size = x.norm(dim=1, keepdim=True)
            return x + self.gamma * x * size / (size.mean(-1, keepdim=True) + 1e-6)

    class Gate(nn.Module):
        def forward(self, x: Any) -> Any:
            return x * torch.sigmoid(x.mean(1, keepdim=True))

    return nn.Sequential(ResponseNorm(), nn.LayerNorm(WIDTH), Gate()), ROWS


def _keras(ddof: int) -> Any:
    import keras
    from keras import ops

    class CustomNorm(keras.layers.Layer):
        def build(self, shape: Any) -> None:
            self.gamma = self.add_weight(shape=(shape[-1],), initializer="ones", name="gamma")
            self.beta = self.add_weight(shape=(shape[-1],), initializer="zeros", name="beta")

        def call(self, x: Any) -> Any:
            d = x - ops.mean(x, -1, keepdims=True)
            var = ops.sum(ops.square(d), -1, keepdims=True) / (WIDTH - ddof)
            return self.gamma * d / ops.sqrt(var + 1e-6) + self.beta

    norm = CustomNorm(name="custom")
    return keras.Sequential([keras.Input((7, WIDTH)), norm, keras.layers.Dense(3)]), ROWS


@sick("keras", at="custom")
def unbiased_keras() -> Any:
    return _keras(1)


@healthy("keras")
def as_usual_keras() -> Any:
    return _keras(0)


def _onnx(divisor: str) -> Any:
    text = f"""
        m = ReduceMean <axes = [-1]> (x)
        d = Sub (x, m)
        q = Mul (d, d)
        v = ReduceMean <axes = [-1]> (q)
        {divisor}
        n = Div (d, s)
        y = Mul (n, w)
    """
    return onnx_model(
        text, ROWS.shape, layer="block.ln", eps=np.float32(1e-4), w=RNG.uniform(0.5, 2, WIDTH)
    )


@sick("onnx", at="block.ln")
def eps_outside_onnx() -> Any:
    return _onnx("r = Sqrt (v) s = Add (r, eps)")


@healthy("onnx")
def as_usual_onnx() -> Any:
    return _onnx("r = Add (v, eps) s = Sqrt (r)")


def _jax(ddof: int) -> Any:
    import jax
    import jax.numpy as jnp
    from flax import linen as nn

    class Norm(nn.Module):
        @nn.compact
        def __call__(self, x: Any) -> Any:
            scale = self.param("scale", nn.initializers.ones, (WIDTH,))
            bias = self.param("bias", nn.initializers.zeros, (WIDTH,))
            centred = x - x.mean(-1, keepdims=True)
            return centred / jnp.sqrt(x.var(-1, keepdims=True, ddof=ddof) + 1e-6) * scale + bias

    class Net(nn.Module):
        @nn.compact
        def __call__(self, x: Any) -> Any:
            return nn.Dense(3)(Norm(name="norm")(x))

    net = Net()
    return net.bind(net.init(jax.random.key(0), ROWS)), ROWS


@sick("jax", at="norm")
def unbiased_jax() -> Any:
    return _jax(1)


@healthy("jax")
def as_usual_jax() -> Any:
    return _jax(0)


def measured(finding: Finding, given: Given) -> None:
    """N - 1 changes a row by sqrt(15 / 16), eps of 1e-5 hardly; twice the input tells the power."""
    found = finding.evidence
    if "power" in found:
        assert found["power"] in (2, 1, -0.5)
        assert found["twice"] == 2 * 4.0 ** -found["power"]
        return
    deviation = np.sqrt(WIDTH / (WIDTH - found["ddof"]))
    divisor = np.sqrt(deviation**2 + found["eps"]) + found["eps_outside"]
    standard = np.sqrt(1 + found["eps"] + found["eps_outside"])
    assert np.isclose(found["difference"], abs(1 - standard / divisor), rtol=1e-6, atol=1e-12)
    assert found["elements"] == WIDTH
    assert (finding.severity == "warning") is bool(found["ddof"])

"""NS705: one batch norm for two inputs; twins that concatenate, share one input, or recur."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from normscope.audit.finding import Finding
from rule_fixtures import Given, healthy, sick

RNG = np.random.default_rng(0)
REAL = RNG.normal(3.0, 1.0, size=(16, 8)).astype("float32")
OTHER = RNG.normal(-1.0, 1.0, size=(16, 8)).astype("float32")
NOT_IN = {"onnx": "a file of ONNX is made for inference, and shows no layer that is called twice"}


def _torch(way: str) -> Any:
    import torch
    from torch import nn

    class Body(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.bn, self.fc = nn.BatchNorm1d(8), nn.Linear(8, 8)

        def forward(self, x: Any) -> Any:
            return self.fc(self.bn(x)).relu()

    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.way = way
            self.body, self.second = Body(), Body()
            self.generator, self.head = nn.Linear(8, 8), nn.Linear(8, 1)

        def forward(self, source: Any, target: Any) -> Any:
            if way == "apart":
                return self.head(self.body(source)) - self.head(self.body(target))
            if way == "generated":
                return self.head(self.body(source)), self.head(self.body(self.generator(target)))
            if way == "concatenated":
                both = self.head(self.body(torch.cat([source, target])))
                return both[: len(source)] - both[len(source) :]
            if way == "two norms":
                return self.head(self.body(source)) - self.head(self.second(target))
            if way == "same input":
                x = source + target
                return self.head(self.body(x)) - self.head(self.body(2 * x))
            h = source
            for _ in range(3):
                h = self.body(h) + target
            return self.head(h)

    return Net(), (REAL, OTHER)


@sick("torch", at="body.bn")
def two_domains_torch() -> Any:
    return _torch("apart")


@sick("torch", at="body.bn")
def generated_torch() -> Any:
    return _torch("generated")


@healthy("torch")
def concatenated_torch() -> Any:
    return _torch("concatenated")


@healthy("torch")
def two_norms_torch() -> Any:
    return _torch("two norms")


@healthy("torch")
def same_input_torch() -> Any:
    return _torch("same input")


@healthy("torch")
def recurrence_torch() -> Any:
    return _torch("recurrence")


@healthy("torch")
def layer_norm_torch() -> Any:
    from torch import nn

    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.norm = nn.LayerNorm(8)

        def forward(self, source: Any, target: Any) -> Any:
            return self.norm(source) - self.norm(target)

    return Net(), (REAL, OTHER)


def _keras(shared: bool) -> Any:
    import keras

    kinds = keras.layers
    left, right = keras.Input((8,), name="left"), keras.Input((8,), name="right")
    dense = kinds.Dense(8, name="dense")
    norms = [kinds.BatchNormalization(name="norm")]
    norms.append(norms[0] if shared else kinds.BatchNormalization(name="other"))
    ends = [norm(dense(x)) for norm, x in zip(norms, (left, right), strict=True)]
    return keras.Model([left, right], kinds.Subtract()(ends)), [REAL, OTHER]


@sick("keras", at="norm")
def siamese_keras() -> Any:
    return _keras(True)


@healthy("keras")
def two_norms_keras() -> Any:
    return _keras(False)


def _jax(shared: bool) -> Any:
    from flax import nnx

    rngs = nnx.Rngs(0)

    class Net(nnx.Module):
        def __init__(self) -> None:
            self.norm = nnx.BatchNorm(8, rngs=rngs)
            self.other = self.norm if shared else nnx.BatchNorm(8, rngs=rngs)
            self.head = nnx.Linear(8, 1, rngs=rngs)

        def __call__(self, real: Any, fake: Any) -> Any:
            return self.head(self.norm(real)), self.head(self.other(fake))

    return Net(), (REAL, OTHER)


@sick("jax", at="norm")
def real_and_fake_jax() -> Any:
    return _jax(True)


@healthy("jax")
def two_norms_jax() -> Any:
    return _jax(False)


def measured(finding: Finding, given: Given) -> None:
    """Two calls; batches that reach the norm as they are given are 4 standard deviations apart."""
    assert finding.evidence["calls"] == 2
    distance = finding.evidence["distance"]
    if hasattr(given.model, "get_layer"):
        dense = given.model.get_layer("dense")
        batches = [np.asarray(dense(x)) for x in (REAL, OTHER)]
    elif getattr(given.model, "way", "") != "generated":
        batches = [REAL, OTHER]
    else:
        import torch

        with torch.no_grad():
            batches = [REAL, given.model.generator(torch.tensor(OTHER)).numpy()]
    spread = np.sqrt((batches[0].var(0) + batches[1].var(0)) / 2)
    expected = np.mean(np.abs(batches[0].mean(0) - batches[1].mean(0)) / spread)
    assert distance == pytest.approx(expected, rel=1e-3)

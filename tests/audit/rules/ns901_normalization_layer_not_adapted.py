"""NS901: input scalings that were never adapted, or adapted along the wrong axis."""

from __future__ import annotations

from typing import Any

import numpy as np

from normscope.audit.finding import Finding
from rule_fixtures import Given, healthy, sick

RNG = np.random.default_rng(0)
ROWS = (RNG.normal(size=(16, 5)) * 3 + 7).astype("float32")
IMAGES = RNG.uniform(0, 255, size=(4, 8, 6, 3)).astype("float32")


def _keras(adapt: Any = None, **settings: Any) -> Any:
    import keras

    scaling = keras.layers.Normalization(name="scaling", **settings)
    if adapt is not None:
        scaling.adapt(adapt)
    layers = [scaling, keras.layers.Dense(8, activation="relu"), keras.layers.Dense(1)]
    return keras.Sequential([keras.Input((5,)), *layers])


@sick("keras", at="scaling")
def never_adapted_keras() -> Any:
    return _keras(), ROWS


@healthy("keras")
def adapted_keras() -> Any:
    return _keras(ROWS), ROWS


@healthy("keras")
def told_keras() -> Any:
    return _keras(mean=7.0, variance=9.0), ROWS


@sick("keras", at="scaling")
def constant_feature_keras() -> Any:
    rows = ROWS.copy()
    rows[:, 2] = 4.0
    return _keras(rows), ROWS


def _keras_images(axis: int) -> Any:
    import keras

    scaling = keras.layers.Normalization(axis=axis, name="scaling")
    scaling.adapt(IMAGES)
    return keras.Sequential([keras.Input((8, 6, 3)), scaling, keras.layers.Conv2D(4, 3)])


@sick("keras", at="scaling")
def adapted_to_rows_keras() -> Any:
    return _keras_images(1), IMAGES


@healthy("keras")
def adapted_to_channels_keras() -> Any:
    return _keras_images(-1), IMAGES


def _torch(mean: float, std: float) -> Any:
    import torch
    from torch import nn

    class Scaler(nn.Module):
        mean: torch.Tensor
        std: torch.Tensor

        def __init__(self) -> None:
            super().__init__()
            self.register_buffer("mean", torch.full((5,), mean))
            self.register_buffer("std", torch.full((5,), std))

        def forward(self, x: Any) -> Any:
            return (x - self.mean) / self.std

    return nn.Sequential(Scaler(), nn.Linear(5, 8), nn.ReLU(), nn.Linear(8, 1))


@sick("torch", at="0")
def buffers_as_made_torch() -> Any:
    return _torch(0.0, 1.0), ROWS


@healthy("torch")
def buffers_that_were_set_torch() -> Any:
    return _torch(7.0, 3.0), ROWS


@healthy("torch")
def learned_factor_torch() -> Any:
    import torch
    from torch import nn

    class Affine(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.alpha = nn.Parameter(torch.ones(5))
            self.beta = nn.Parameter(torch.zeros(5))

        def forward(self, x: Any) -> Any:
            return self.alpha * x + self.beta

    return nn.Sequential(Affine(), nn.Linear(5, 8)), ROWS


NOT_IN = {"onnx": "exporters fold a subtraction of 0 and a division by 1 away, and names are lost"}


def _nnx(mean: float, std: float) -> Any:
    import jax.numpy as jnp
    from flax import nnx

    class Net(nnx.Module):
        def __init__(self) -> None:
            self.obs_mean = nnx.BatchStat(jnp.full((5,), mean))
            self.obs_std = nnx.BatchStat(jnp.full((5,), std))
            self.fc = nnx.Linear(5, 2, rngs=nnx.Rngs(0))

        def __call__(self, x: Any) -> Any:
            return self.fc((x - self.obs_mean[...]) / self.obs_std[...])

    return Net()


@sick("jax", at="")
def statistics_as_made_jax() -> Any:
    return _nnx(0.0, 1.0), ROWS


@healthy("jax")
def statistics_that_were_set_jax() -> Any:
    return _nnx(7.0, 3.0), ROWS


def measured(finding: Finding, given: Given) -> None:
    """An untouched input; the root of a variance that is not there; the rows of the images."""
    evidence = finding.evidence
    if "features" in evidence:
        assert evidence["features"] == 1
        assert "1 feature of 5" in finding.message
        assert evidence["scale"] >= 1e6
    elif "axis" in evidence:
        assert evidence["shape"][evidence["axis"]] == 8
        assert evidence["shape"][evidence["channel_axis"]] == 3
    else:
        assert (evidence["scale"], evidence["shift"]) == (1.0, 0.0)

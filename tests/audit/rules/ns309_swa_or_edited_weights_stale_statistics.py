"""NS309: weights that were changed after the statistics were taken, seen on data."""

from __future__ import annotations

from typing import Any

import numpy as np

from normscope.audit.finding import Finding
from rule_fixtures import Given, healthy, sick

NOT_IN = {"onnx": "the arrays in a file are told, what its nodes are given is not observed yet"}

DATA = np.random.default_rng(0).normal(1, 2, size=(256, 6)).astype("float32")
MEAN, VAR = DATA.mean(0), DATA.var(0)


def _torch(pruned: bool, data: bool = True) -> Any:
    import torch
    from torch import nn

    torch.manual_seed(0)
    body = nn.Sequential(nn.Linear(6, 6), nn.BatchNorm1d(6, momentum=None), nn.ReLU())
    model = nn.Sequential(body, nn.Linear(6, 2))
    with torch.no_grad():
        model(torch.from_numpy(DATA))
        if pruned:
            body[0].weight.mul_(body[0].weight.abs() > 0.2).mul_(0.4)
    return model, DATA[:4], {"data": DATA} if data else {}


@sick("torch", at="0.1")
def pruned_torch() -> Any:
    return _torch(pruned=True)


@healthy("torch")
def whole_torch() -> Any:
    return _torch(pruned=False)


@healthy("torch")
def random_inputs_torch() -> Any:
    """Without data nothing is said."""
    return _torch(pruned=True, data=False)


@healthy("torch")
def just_made_torch() -> Any:
    from torch import nn

    return nn.Sequential(nn.Linear(6, 6), nn.BatchNorm1d(6)), DATA[:4], {"data": DATA}


def _keras(mean: Any) -> Any:
    import keras

    norm = keras.layers.BatchNormalization(name="bn")
    model = keras.Sequential([keras.Input((6,)), norm, keras.layers.Dense(2)])
    norm.moving_mean.assign(mean)
    norm.moving_variance.assign(VAR)
    return model, None, {"data": DATA}


@sick("keras", at="bn")
def shifted_keras() -> Any:
    return _keras(MEAN + 5)


@healthy("keras")
def matching_keras() -> Any:
    return _keras(MEAN)


def _nnx(var: Any) -> Any:
    import jax.numpy as jnp
    from flax import nnx

    norm = nnx.BatchNorm(6, rngs=nnx.Rngs(0))
    norm.mean.set_value(jnp.asarray(MEAN))
    norm.var.set_value(jnp.asarray(var))
    return nnx.Sequential(norm), DATA[:4], {"data": DATA}


@sick("jax", at="layers.0")
def widened_jax() -> Any:
    return _nnx(VAR * 30)


@healthy("jax")
def matching_jax() -> Any:
    return _nnx(VAR)


def measured(finding: Finding, given: Given) -> None:
    """The first layer of the model of Keras and of Flax is given the data themselves."""
    assert finding.evidence["values"] == len(DATA)
    if finding.path == "bn":
        shift = np.sqrt(np.mean(25 / (VAR + 1e-3)))
        assert np.isclose(finding.evidence["shift"], shift, rtol=1e-4)
    elif finding.path == "layers.0":
        assert np.isclose(finding.evidence["factor"], 30, rtol=1e-3)
    else:
        import torch

        x = given.model[0][0](torch.from_numpy(DATA)).detach().double()
        norm = given.model[0][1]
        deviation = (norm.running_var.double() + norm.eps).sqrt()
        shift = ((x.mean(0) - norm.running_mean) / deviation).square().mean().sqrt()
        assert np.isclose(finding.evidence["shift"], float(shift), rtol=1e-4)

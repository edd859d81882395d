"""NS313: averages of weights, with and without their running statistics."""

from __future__ import annotations

from typing import Any

import numpy as np

from normscope.audit.finding import Finding
from rule_fixtures import Given, healthy, sick

NOT_IN = {"onnx": "a file to predict is made of one model; its student is not beside it"}

X = np.random.default_rng(0).normal(2, 3, size=(32, 6)).astype("float32")


def _teacher(buffers: str) -> Any:
    """A student, and the average of its weights as many write it."""
    import copy

    import torch
    from torch import nn

    torch.manual_seed(0)
    student = nn.Sequential(nn.Linear(6, 6), nn.Sequential(nn.BatchNorm1d(6), nn.Linear(6, 1)))
    teacher = copy.deepcopy(student).requires_grad_(False)
    optimizer = torch.optim.SGD(student.parameters(), 0.05)
    for _ in range(5):
        optimizer.zero_grad()
        student(torch.from_numpy(X)).square().mean().backward()
        optimizer.step()
        with torch.no_grad():
            for mean, new in zip(teacher.parameters(), student.parameters(), strict=True):
                mean.lerp_(new, 0.1)
            if buffers == "averaged":
                for mean, new in zip(teacher.buffers(), student.buffers(), strict=True):
                    mean.copy_(mean.double().lerp(new.double(), 0.1))
    return teacher, X, {"against": student}


@sick("torch", at="1.0")
def parameters_alone_torch() -> Any:
    return _teacher("initial")


@healthy("torch")
def with_buffers_torch() -> Any:
    return _teacher("averaged")


@healthy("torch")
def average_of_an_average_torch() -> Any:
    import torch
    from torch.optim.swa_utils import AveragedModel

    teacher, _, options = _teacher("averaged")
    average = AveragedModel(teacher, use_buffers=True)  # type: ignore[no-untyped-call]
    average.update_parameters(teacher)
    torch.optim.swa_utils.update_bn([torch.from_numpy(X)], average)
    return average, X, options


def _keras(statistics: str) -> Any:
    import keras

    models = []
    for factor in (1.0, 0.9):
        norm = keras.layers.BatchNormalization(name="bn")
        models.append(keras.Sequential([keras.Input((6,)), norm]))
        norm.set_weights(
            [np.full(6, factor) + 0.1 * np.arange(6), np.full(6, 0.2), X[0], X[1] ** 2]
        )
    student, teacher = models
    if statistics == "initial":
        teacher.get_layer("bn").moving_mean.assign(np.zeros(6))
        teacher.get_layer("bn").moving_variance.assign(np.ones(6))
    if statistics == "averaged":
        teacher.get_layer("bn").moving_mean.assign(0.9 * X[0])
    return teacher, X, {"against": student}


@sick("keras", at="bn")
def teacher_keras() -> Any:
    return _keras("initial")


@healthy("keras")
def teacher_with_statistics_keras() -> Any:
    return _keras("averaged")


def _nnx(initial: bool) -> Any:
    import jax.numpy as jnp
    from flax import nnx

    models = []
    for factor in (1.0, 0.9):
        norm = nnx.BatchNorm(6, rngs=nnx.Rngs(0))
        norm.scale.set_value(jnp.asarray(factor + 0.1 * np.arange(6), jnp.float32))  # type: ignore[union-attr]
        norm.bias.set_value(jnp.full(6, 0.2))  # type: ignore[union-attr]
        if factor == 1 or not initial:
            norm.mean.set_value(jnp.asarray(factor * X[0]))
            norm.var.set_value(jnp.asarray(factor * X[1] ** 2))
        models.append(nnx.Sequential(norm))
    return models[1], X, {"against": models[0]}


@sick("jax", at="layers.0")
def teacher_jax() -> Any:
    return _nnx(initial=True)


@healthy("jax")
def teacher_with_statistics_jax() -> Any:
    return _nnx(initial=False)


def measured(finding: Finding, given: Given) -> None:
    """All six channels begin with 0 and 1."""
    assert finding.evidence == {"statistics": "initial", "values": 6}

"""Memory that no array shows: it is noticed, and never taken for statistics of the batch."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
import torch

from normscope import NormSpec
from normscope.identify import Kind, identify

Floats = np.ndarray
Layer = Callable[..., Any]
SHAPE = (8, 5)


def batch_norm(x: Floats) -> Floats:
    return (x - x.mean(0)) / np.sqrt(x.var(0) + 1e-5)


class Scaler:
    """As of scikit-learn; `partial_fit` averages over all batches."""

    def __init__(self) -> None:
        self.mean: Floats | None = None
        self.var: Floats | None = None
        self.count = 0

    def fit(self, x: Floats) -> Scaler:
        self.mean, self.var = x.mean(0), x.var(0)
        return self

    def partial_fit(self, x: Floats) -> Scaler:
        self.count += 1
        old = 1 - 1 / self.count
        self.mean = x.mean(0) if self.mean is None else old * self.mean + x.mean(0) / self.count
        self.var = x.var(0) if self.var is None else old * self.var + x.var(0) / self.count
        return self

    def transform(self, x: Floats) -> Floats:
        if self.mean is None or self.var is None:
            raise RuntimeError("fit it first")
        return (x - self.mean) / np.sqrt(self.var + 1e-5)


def fitted_in_a_closure() -> Layer:
    scaler = Scaler().fit(np.arange(40.0).reshape(SHAPE))

    def layer(x: Floats, training: bool = False) -> Floats:
        return (scaler.fit(x) if training else scaler).transform(x)

    return layer


def not_yet_fitted() -> Layer:
    scaler = Scaler()
    return lambda x, training=False: (scaler.fit(x) if training else scaler).transform(x)


def fitted_in_parts() -> Layer:
    scaler = Scaler()

    def layer(x: Floats, training: bool = False) -> Floats:
        if training:
            scaler.partial_fit(x)
            return batch_norm(x)
        return scaler.transform(x)

    return layer


def moving_average() -> Layer:
    mean, var = np.zeros(5), np.ones(5)

    def layer(x: Floats, training: bool = False) -> Floats:
        nonlocal mean, var
        if training:
            mean, var = 0.9 * mean + 0.1 * x.mean(0), 0.9 * var + 0.1 * x.var(0)
            return batch_norm(x)
        return (x - mean) / np.sqrt(var + 1e-5)

    return layer


def moving_average_in_place() -> Layer:
    stored = {"mean": np.zeros(5), "var": np.ones(5)}

    def layer(x: Floats, training: bool = False) -> Floats:
        if training:
            stored["mean"] += 0.1 * (x.mean(0) - stored["mean"])
            stored["var"] += 0.1 * (x.var(0) - stored["var"])
            return batch_norm(x)
        return (x - stored["mean"]) / np.sqrt(stored["var"] + 1e-5)

    return layer


def attributes_of_the_function() -> Layer:
    def layer(x: Floats, training: bool = False) -> Floats:
        if training:
            layer.mean, layer.var = x.mean(0), x.var(0)  # type: ignore[attr-defined]
        return (x - layer.mean) / np.sqrt(layer.var + 1e-5)  # type: ignore[attr-defined]

    return layer


class Holder:
    """Its scaler is in a list in an attribute."""

    def __init__(self) -> None:
        self.parts = [{"scaler": Scaler().fit(np.arange(40.0).reshape(SHAPE))}]

    def __call__(self, x: Floats, training: bool = False) -> Floats:
        scaler = self.parts[0]["scaler"]
        return (scaler.fit(x) if training else scaler).transform(x)


class OutOfReach:
    __slots__ = ("mean", "var")


def out_of_reach() -> Layer:
    stored = OutOfReach()
    stored.mean, stored.var = np.zeros(5), np.ones(5)

    def layer(x: Floats, training: bool = False) -> Floats:
        if training:
            stored.mean, stored.var = x.mean(0), x.var(0)
        return (x - stored.mean) / np.sqrt(stored.var + 1e-5)

    return layer


def in_a_generator() -> Layer:
    def steps() -> Iterator[Any]:
        mean, var, y = 0.0, 1.0, None
        while True:
            x, training = yield y
            if training:
                mean, var = x.mean(0), x.var(0)
            y = (x - mean) / np.sqrt(var + 1e-5)

    running = steps()
    next(running)
    return lambda x, training=False: running.send((x, training))


def tensors_in_a_closure() -> Layer:
    mean, var = torch.zeros(5), torch.ones(5)

    def layer(x: torch.Tensor, training: bool = False) -> torch.Tensor:
        x = torch.as_tensor(x)
        if training:
            mean.mul_(0.9).add_(0.1 * x.mean(0))
            var.mul_(0.9).add_(0.1 * x.var(0))
            return (x - x.mean(0)) / (x.var(0, correction=0) + 1e-5).sqrt()
        return (x - mean) / (var + 1e-5).sqrt()

    return layer


class PlainAttributes(torch.nn.Module):
    """A module of torch whose memory is an array of NumPy."""

    def __init__(self) -> None:
        super().__init__()
        self.mean, self.var = np.zeros(5, np.float32), np.ones(5, np.float32)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if self.training:
            self.mean, self.var = x.mean(0).numpy(), x.var(0, correction=0).numpy()
        mean, var = torch.from_numpy(self.mean), torch.from_numpy(self.var)
        return (x - mean) / (var + 1e-5).sqrt()


LAYERS: list[Callable[[], Layer]] = [
    fitted_in_a_closure,
    not_yet_fitted,
    fitted_in_parts,
    moving_average,
    moving_average_in_place,
    attributes_of_the_function,
    Holder,
    out_of_reach,
    in_a_generator,
    tensors_in_a_closure,
    PlainAttributes,
]


@pytest.mark.parametrize("make", LAYERS)
def test_inference_does_not_use_the_batch(make: Callable[[], Layer]) -> None:
    found = identify(make(), SHAPE, "b c")
    assert found.train == NormSpec("[b] c")
    assert found.infer is None
    assert found.sample_independent == {"train": False, "infer": True}
    assert "it remembers" in str(found)
    assert "training and inference give the same outputs" not in str(found)


def uses_what_it_stores() -> Layer:
    mean = np.zeros(5)

    def layer(x: Floats, training: bool = False) -> Floats:
        nonlocal mean
        if training:
            mean = 0.9 * mean + 0.1 * x.mean(0)
        return x - mean

    return layer


def first_batch() -> Layer:
    """Normalizes by the first batch that it ever saw."""
    stored = OutOfReach()

    def layer(x: Floats) -> Floats:
        if not hasattr(stored, "mean"):
            stored.mean, stored.var = x.mean(0), x.var(0)
        return (x - stored.mean) / np.sqrt(stored.var + 1e-5)

    return layer


@pytest.mark.parametrize("make", [uses_what_it_stores, first_batch])
def test_a_mode_that_uses_its_own_memory_has_no_spec(make: Callable[[], Layer]) -> None:
    found = identify(make(), SHAPE, "b c")
    assert found.train is None
    assert found.kind is not Kind.NORMALIZATION


@pytest.mark.parametrize(
    "layer", [lambda x, training=False: batch_norm(x), lambda x: batch_norm(x)]
)
def test_what_remembers_nothing_is_the_same_in_both(layer: Layer) -> None:
    found = identify(layer, SHAPE, "b c")
    assert found.train == found.infer == NormSpec("[b] c")
    assert "remembers" not in str(found)


def test_what_a_function_holds_is_left_as_found() -> None:
    for make in (moving_average, moving_average_in_place, fitted_in_a_closure, not_yet_fitted):
        layer, twin = make(), make()
        identify(layer, SHAPE, "b c")
        x = np.random.default_rng(0).normal(size=SHAPE)
        for training in (True, False):
            np.testing.assert_array_equal(layer(x, training=training), twin(x, training=training))
    holder = Holder()
    mean = holder.parts[0]["scaler"].mean
    identify(holder, SHAPE)
    assert holder.parts[0]["scaler"].mean is mean
    function = attributes_of_the_function()
    identify(function, SHAPE)
    assert not vars(function)


def test_also_when_it_is_interrupted() -> None:
    log: list[int] = []
    calls = itertools.count()  # which nothing can put back
    mean = torch.zeros(5)

    def layer(x: torch.Tensor, training: bool = False) -> torch.Tensor:
        x = torch.as_tensor(x)
        log.append(1)
        mean.add_(x.mean(0))
        if next(calls) > 5:
            raise KeyboardInterrupt
        return x - x.mean(0)

    found = mean
    with pytest.raises(KeyboardInterrupt):
        identify(layer, SHAPE)
    assert not log
    assert mean is found
    assert not mean.any()
    assert mean._version == 0

"""What must hold for every native layer, whichever way it was made."""

from __future__ import annotations

from typing import Any

import numpy as np

from frameworks.native_layers import Arrays, call, weights
from normscope import NormSpec, reference
from normscope.reference import running_update

TOLERANCE = {"rtol": 2e-4, "atol": 2e-5}  # float32, sets of a few dozen values of mean 1, std 2


def made_up_weights(spec: NormSpec, shape: tuple[int, ...], seed: int = 3) -> Arrays:
    """Random weights in the shapes that the spec names."""
    rng = np.random.default_rng(seed)
    layout = spec.layout(shape)
    found = {
        name: rng.normal(1, 0.3, layout.place(layout.named(names)).shape)
        for name, names in (("scale", spec.scale), ("bias", spec.bias))
        if names is not None
    }
    if spec.running is not None:
        kept = [layout.known_sizes[i] for i in layout.kept if layout.axes[i].dim > 0]
        found["mean"] = rng.normal(1, 1, kept)
        found["var"] = rng.uniform(0.5, 2, kept)
    return found


def statistics(spec: NormSpec, shape: tuple[int, ...], values: np.ndarray) -> np.ndarray:
    """Running statistics, repeated for each sample where the spec keeps samples apart."""
    layout = spec.layout(shape)
    kept = [layout.known_sizes[i] for i in layout.kept]
    per_sample = len([i for i in layout.kept if layout.axes[i].dim == 0])
    return np.broadcast_to(values.reshape(kept[per_sample:]), kept).ravel()


def check(layer: Any, train: NormSpec, infer: NormSpec, shape: tuple[int, ...]) -> None:
    """The layer computes these specs: outputs of both modes, and what a step leaves behind."""
    x = np.random.default_rng(7).normal(1, 2, shape).astype(np.float32)
    own = weights(layer)
    learned = {key: own[key] for key in ("scale", "bias") if key in own}
    remembered = {}
    if infer.pattern is None:
        remembered = {key: statistics(train, shape, own[key]) for key in ("mean", "var")}
    wanted = reference(x, train if infer.pattern is None else infer, **learned, **remembered)
    np.testing.assert_allclose(call(layer, x, training=False), wanted, **TOLERANCE)

    wanted = reference(x, train, **learned)
    np.testing.assert_allclose(call(layer, x, training=True), wanted, **TOLERANCE)
    check_memory(layer, train, x, own)


def check_memory(layer: Any, train: NormSpec, x: np.ndarray, before: Arrays) -> None:
    after = weights(layer)
    if train.running is None:
        for key in before:
            np.testing.assert_array_equal(after[key], before[key], err_msg=key)
        return
    shape = x.shape
    mean, var = running_update(
        x,
        train,
        statistics(train, shape, before["mean"]),
        statistics(train, shape, before["var"]),
    )
    samples = mean.size // before["mean"].size
    for key, values in (("mean", mean), ("var", var)):
        wanted = values.reshape(samples, -1).mean(0)
        np.testing.assert_allclose(after[key].ravel(), wanted, rtol=1e-4, atol=1e-5, err_msg=key)

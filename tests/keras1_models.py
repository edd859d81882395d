"""Small Keras 1 model files, written as Keras 1.2.2 writes them, for the tests of the rules."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from normscope.keras1.files import read_weights

Layer = tuple[str, dict[str, Any]]


def conv(filters: int = 4, ordering: str = "th", **config: Any) -> Layer:
    return "Convolution2D", {
        "nb_filter": filters,
        "nb_row": 3,
        "nb_col": 3,
        "dim_ordering": ordering,
        "border_mode": "same",
        "subsample": [1, 1],
        "activation": "linear",
        "bias": True,
        **config,
    }


def dense(units: int = 4, **config: Any) -> Layer:
    return "Dense", {"output_dim": units, "activation": "linear", "bias": True, **config}


def norm(mode: int = 0, axis: int = -1, epsilon: float = 1e-3, **config: Any) -> Layer:
    return "BatchNormalization", {
        "mode": mode,
        "axis": axis,
        "epsilon": epsilon,
        "momentum": 0.99,
        **config,
    }


def activation(kind: str = "relu") -> Layer:
    return "Activation", {"activation": kind}


def sequential(shape: tuple[int | None, ...], *layers: Layer) -> dict[str, Any]:
    """A Sequential model on a batch of inputs of one shape; `shape` has the batch axis too."""
    written = []
    for number, (kind, config) in enumerate(layers, start=1):
        config = {"name": f"{kind.lower()}_{number}", "trainable": True, **config}
        if number == 1:
            config["batch_input_shape"] = list(shape)
        written.append({"class_name": kind, "config": config})
    return {"class_name": "Sequential", "config": written, "keras_version": "1.2.2"}


def write_json(path: Path, model: dict[str, Any]) -> Path:
    path.write_text(json.dumps(model))
    return path


def write_h5(
    path: Path, model: dict[str, Any], arrays: dict[str, list[np.ndarray]], suffix: str = ":0"
) -> Path:
    """`arrays`: of each BatchNormalization gamma, beta, running mean, running std."""
    with h5py.File(path, "w") as file:
        file.attrs["keras_version"] = b"1.2.2"
        file.attrs["model_config"] = json.dumps(model).encode()
        weights = file.create_group("model_weights")
        names = [layer["config"]["name"] for layer in model["config"]]
        weights.attrs["layer_names"] = np.array([name.encode() for name in names])
        for name in names:
            group = weights.create_group(name)
            roles = ("gamma", "beta", "running_mean", "running_std")
            stored = {
                f"{name}_{role}{suffix}": array
                for role, array in zip(roles, arrays.get(name, []), strict=False)
            }
            group.attrs["weight_names"] = (
                np.array([key.encode() for key in stored]) if stored else np.zeros(0)
            )
            for key, array in stored.items():
                group[key] = array
    return path


def stored_arrays(path: Path, layer: str) -> Mapping[str, np.ndarray]:
    """The weights of one layer in a file, by name; none for a layer without weights."""
    return {stored.name: stored.arrays for stored in read_weights(path)}.get(layer, {})

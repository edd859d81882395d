"""Files of Keras 1.2.2, written: `model.save("m.h5")`, `save_weights` and `to_json`.

They hold what Keras 1.2.2 on TensorFlow wrote, but for two things: a function of a `Lambda` is
named and not stored as code, and a loss or metric of one's own by its name.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import h5py
import keras
import numpy as np

from normscope.errors import SpecError
from normscope.keras1.files import StrPath
from normscope.keras1.live.architecture import RELEASE, architecture
from normscope.keras1.live.conventions import normalizations
from normscope.keras1.live.training.optimizers import Optimizer
from normscope.keras1.live.weights import Slot, ordered_layers, stored_order


def to_json(model: keras.Model, **options: Any) -> str:
    """The architecture of a model as JSON.

    Args:
        model: of live Keras 1 layers.
        **options: of `json.dumps`.

    >>> from normscope.keras1 import Dense, Sequential, model_from_json
    >>> model_from_json(to_json(Sequential([Dense(2, input_dim=3)]))).output_shape
    (None, 2)
    """
    entry = {**architecture(model), "keras_version": release_of(model)}
    return json.dumps(entry, default=_plain, **options)


def release_of(model: keras.Model) -> str:
    """The release that a file says it is of: that by which its batch normalizations compute.

    Raises:
        SpecError: they compute by different ones, which one file cannot say.
    """
    found = sorted({layer.release for layer in normalizations(model)}) or [RELEASE]
    if len(found) > 1:
        raise SpecError(
            f"the model has BatchNormalization of the releases {' and '.join(found)}, and a file "
            "of Keras 1 is of one; save the model as .keras"
        )
    return found[0]


def save_model(model: Any, path: StrPath, overwrite: bool = True) -> None:
    """Write architecture, weights and training of a model.

    Raises:
        SpecError: the file exists and is not to be overwritten, or the model has a layer that is
            not of Keras 1.
    """
    text, release = to_json(model), release_of(model)
    with _new_file(path, overwrite) as file:
        file.attrs["keras_version"] = release.encode()
        file.attrs["model_config"] = text.encode()
        _write_weights(file.create_group("model_weights"), model)
        if model.compiled and isinstance(model.optimizer, Optimizer):
            file.attrs["training_config"] = json.dumps(_training(model), default=_plain).encode()
            state = list(_state(model))
            if model.optimizer.built and state:
                group = file.create_group("optimizer_weights")
                group.attrs["weight_names"] = _names([name for name, _ in state])
                for name, array in state:
                    group.create_dataset(name, data=array)


def save_weights(model: keras.Model, path: StrPath, overwrite: bool = True) -> None:
    """Write the weights of a model.

    Raises:
        SpecError: the file exists and is not to be overwritten.
    """
    release = release_of(model)
    with _new_file(path, overwrite) as file:
        file.attrs["keras_version"] = release.encode()
        _write_weights(file, model)


def _new_file(path: StrPath, overwrite: bool) -> h5py.File:
    if not overwrite and os.path.exists(path):
        raise SpecError(f"{os.fspath(path)} exists; write overwrite=True to replace it")
    try:
        return h5py.File(Path(path), "w")
    except OSError as error:
        raise SpecError(f"{os.fspath(path)} cannot be written: {error}") from None


def _write_weights(group: h5py.Group, model: keras.Model) -> None:
    layers = ordered_layers(model)
    group.attrs["layer_names"] = _names([layer.name for layer in layers])
    for layer in layers:
        slots = stored_order(layer)
        names = list(_weight_names(slots))
        member = group.create_group(layer.name)
        member.attrs["weight_names"] = _names(names)
        for slot, name in zip(slots, names, strict=True):
            member.create_dataset(name, data=keras.ops.convert_to_numpy(slot.variable))


def _weight_names(slots: Sequence[Slot]) -> Iterator[str]:
    """The names `<layer>_<weight>:0` of TensorFlow, each once."""
    seen: dict[str, int] = {}
    for slot in slots:
        name = slot.variable.name.replace("/", "_")
        if not name.startswith(f"{slot.layer.name}_"):
            name = f"{slot.layer.name}_{name}"
        seen[name] = seen.get(name, 0) + 1
        yield f"{name}:0" if seen[name] == 1 else f"{name}_{seen[name] - 1}:0"


def _names(names: Sequence[str]) -> np.ndarray[Any, Any]:
    return np.array([name.encode() for name in names], dtype="S") if names else np.zeros(0)


def _training(model: Any) -> dict[str, Any]:
    optimizer = model.optimizer
    return {
        "optimizer_config": {
            "class_name": type(optimizer).__name__,
            "config": optimizer.get_config(),
        },
        "loss": model._compiled["loss"],
        "metrics": model._compiled["metrics"] or [],
        "sample_weight_mode": None,
        "loss_weights": model._compiled["loss_weights"],
    }


def _state(model: Any) -> Iterator[tuple[str, Any]]:
    """The state of the optimizer as `Optimizer.set_state` takes it back."""
    optimizer: Optimizer = model.optimizer
    if optimizer.counts:
        yield (
            "iterations:0",
            np.asarray(keras.ops.convert_to_numpy(optimizer.iterations), "float32"),
        )
    names = _stored_names(model)
    variables = model.trainable_variables
    order = sorted(range(len(variables)), key=lambda k: names.get(id(variables[k]), ""))
    for slot, kept in zip(optimizer.slots, optimizer.kept, strict=False):
        for place, index in enumerate(order):
            yield f"{slot}_{place}:0", keras.ops.convert_to_numpy(kept[index])


def _stored_names(model: keras.Model) -> dict[int, str]:
    """The name in the file of each weight, by the id of its variable."""
    found: dict[int, str] = {}
    for layer in ordered_layers(model):
        own = stored_order(layer)
        for slot, name in zip(own, _weight_names(own), strict=True):
            found[id(slot.variable)] = name
    return found


def _plain(value: Any) -> Any:
    """A value of NumPy as JSON has it."""
    if isinstance(value, np.generic | np.ndarray):
        return value.tolist()
    raise SpecError(f"{value!r:.60} cannot be written into a file of Keras 1")

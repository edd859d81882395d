"""Files of Keras 1.2.2, written: `model.save("m.h5")`, `save_weights` and `to_json`.

They hold what Keras 1.2.2 on TensorFlow wrote, but for two things: a function of a `Lambda` is
named and not stored as code, and a loss or metric of one's own by its name.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any

import keras
import numpy as np

from normscope.errors import SpecError
from normscope.keras1.files import StoredLayer, StrPath
from normscope.keras1.files.writing import write_model_file, write_weights
from normscope.keras1.live.architecture import RELEASE, architecture
from normscope.keras1.live.conventions import normalizations
from normscope.keras1.live.training.optimizer import Optimizer
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
    training, state = None, {}
    if model.compiled and isinstance(model.optimizer, Optimizer):
        training = json.dumps(_training(model), default=_plain)
        state = dict(_state(model)) if model.optimizer.built else {}
    write_model_file(path, overwrite, release, text, _stored_layers(model), training, state)


def save_weights(model: keras.Model, path: StrPath, overwrite: bool = True) -> None:
    """Write the weights of a model.

    Raises:
        SpecError: the file exists and is not to be overwritten.
    """
    write_weights(path, overwrite, release_of(model), _stored_layers(model))


def _stored_layers(model: keras.Model) -> Iterator[StoredLayer]:
    """The layers of a model with their weights as Keras 1 stored them, one after the other."""
    for layer in ordered_layers(model):
        slots = stored_order(layer)
        arrays = {
            name: keras.ops.convert_to_numpy(slot.variable)
            for slot, name in zip(slots, _weight_names(slots), strict=True)
        }
        yield StoredLayer(layer.name, arrays)


def _weight_names(slots: Sequence[Slot]) -> Iterator[str]:
    """The names `<layer>_<weight>:0` of TensorFlow, each once."""
    seen: dict[str, int] = {}
    for slot in slots:
        name = slot.variable.name.replace("/", "_")
        if not name.startswith(f"{slot.layer.name}_"):
            name = f"{slot.layer.name}_{name}"
        seen[name] = seen.get(name, 0) + 1
        yield f"{name}:0" if seen[name] == 1 else f"{name}_{seen[name] - 1}:0"


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
    for slot, variables_of_slot in zip(optimizer.slots, optimizer.slot_variables, strict=False):
        for place, index in enumerate(order):
            yield f"{slot}_{place}:0", keras.ops.convert_to_numpy(variables_of_slot[index])


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

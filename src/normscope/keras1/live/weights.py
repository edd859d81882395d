"""The weights of a file in the layers of a live model.

Weights are set by position, as in Keras 1; layers without weights are skipped on both sides.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import keras
import numpy as np

from normscope.errors import ModelFileError
from normscope.keras1.files import (
    Backend,
    StoredLayer,
    StrPath,
    backend_of,
    read_weights,
    stated_release,
)
from normscope.keras1.files.weights import Array
from normscope.keras1.live.conventions import (
    LoadWarning,
    Told,
    adopt,
    backend_of_origin,
    normalizations,
    say_assumptions,
)
from normscope.keras1.live.layers.wrappers import Bidirectional, TimeDistributed
from normscope.wording import counted

Variable: TypeAlias = Any


@dataclass(frozen=True, eq=False)
class Slot:
    """One weight of a live model, with the layer that it belongs to."""

    layer: keras.layers.Layer
    variable: Variable


def load_weights(
    model: keras.Model,
    path: StrPath,
    *,
    backend: str | None = None,
    by_name: bool = False,
    release: str | None = None,
) -> None:
    """Set the weights of a model of Keras 1 layers to those of a file.

    Args:
        model: built in Python, or made by `model_from_json`.
        path: of an HDF5 file of `model.save_weights()` or `model.save()`, or of the older layout.
        backend: the one that wrote the file, where the names of its weights do not tell it; without
            it the one that `model_from_json` was given, which counts before those names.
        by_name: set the layers that the file knows by name, and leave the others as they are.
        release: the release of Keras 1 that wrote the file. Without it, that which the file says
            it is of (a file of `model.save()`), else that of the layers; a `BatchNormalization`
            that was given none is taken for one of 1.2.2, with a warning.

    Raises:
        ModelFileError: the file is damaged, or its layers and shapes are not those of the model.
        SpecError: there is no such release or backend.

    Warns:
        LoadWarning: what the file holds depends on a release or a backend that nothing tells; with
            how the outputs would differ otherwise.
    """
    told = Told.by_user(backend, release)
    file = os.fspath(path)
    file_release = stated_release(path)
    stored = read_weights(path)
    by_user = told.origin or getattr(model, "user_origin", None)
    origin = by_user or backend_of(stored) or getattr(model, "stored_origin", None)
    set_weights(model, stored, backend_of_origin(origin), file, by_name)
    adopt(model, Told(origin, told.release), file_release, file)
    feature_wise = [layer for layer in normalizations(model) if layer.mode == 0]
    say_assumptions(file, model, feature_wise, stored=True)


def set_weights(
    model: keras.Model,
    stored: Sequence[StoredLayer],
    backend: Backend | None,
    path: str,
    by_name: bool = False,
) -> dict[int, str]:
    """Set the weights of a live model to those of a file.

    Layers are matched by name if all names agree, else by position.

    Args:
        model: of live Keras 1 layers, built.
        stored: as `read_weights` gives it.
        backend: who wrote them; the kernels of Theano are turned by 180 degrees.
        path: of the file, for the messages.
        by_name: set the layers that the file knows by name, and leave the others.

    Returns:
        the name in the file of each weight, by the id of its variable.

    Raises:
        ModelFileError: the layers or the shapes are not those of the model.
    """
    layers = [layer for layer in ordered_layers(model) if layer.weights]
    if backend is None and any(_kernels(layers)):
        raise ModelFileError(
            path,
            "it does not say which backend wrote it, and Theano stores kernels turned by 180 "
            'degrees; write backend="theano" or backend="tensorflow"',
        )
    names: dict[int, str] = {}
    assignments: list[tuple[Variable, Array]] = []
    for layer, entry in _matched(layers, stored, path, by_name):
        slots = stored_order(layer)
        if len(slots) != len(entry.arrays):
            raise ModelFileError(
                path,
                f"layer {layer.name!r} has {counted(len(slots), 'weight')}, "
                f"{entry.name!r} in the file has {len(entry.arrays)}",
            )
        for slot, (name, array) in zip(slots, entry.arrays.items(), strict=True):
            assignments.append((slot.variable, _fitted(slot, array, backend, path)))
            names[id(slot.variable)] = name
    for variable, array in assignments:  # only now that all fit
        variable.assign(array)
    return names


def ordered_layers(model: keras.Model) -> list[keras.layers.Layer]:
    """The layers of a model in the order in which Keras 1 stores them.

    A model made from a file has that order with it, as `stored_order`. A Merge at the head of a
    Sequential is stored as the layers of its branches.
    """
    order = getattr(model, "stored_order", ())
    place = {name: index for index, name in enumerate(order)}
    layers: list[keras.layers.Layer] = []
    for layer in sorted(model.layers, key=lambda layer: place.get(layer.name, len(place))):
        branches = getattr(layer, "branches", ())
        layers += [inner for branch in branches for inner in ordered_layers(branch)] or [layer]
    return list({id(layer): layer for layer in layers}.values())


def stored_order(layer: keras.layers.Layer) -> list[Slot]:
    """The weights of a layer as Keras 1 stores them: of a nested model the untrained ones last."""
    trained, frozen = _parts(layer)
    return trained + frozen


def _parts(layer: keras.layers.Layer) -> tuple[list[Slot], list[Slot]]:
    inside = _inside(layer)
    if inside is None:
        trained = [Slot(layer, weight) for weight in layer.weights if weight.trainable]
        frozen = [Slot(layer, weight) for weight in layer.weights if not weight.trainable]
    else:
        parts = [_parts(inner) for inner in inside]
        trained = [slot for part, _ in parts for slot in part]
        frozen = [slot for _, part in parts for slot in part]
    return (trained, frozen) if layer.trainable else ([], trained + frozen)


def _inside(layer: keras.layers.Layer) -> list[keras.layers.Layer] | None:
    """The layers inside a nested model or a wrapper."""
    if isinstance(layer, TimeDistributed):
        return [layer.layer]
    if isinstance(layer, Bidirectional):
        return [layer.forward_layer, layer.backward_layer]
    return ordered_layers(layer) if isinstance(layer, keras.Model) else None


def _kernels(layers: Iterable[keras.layers.Layer]) -> Iterator[Slot]:
    for layer in layers:
        for slot in stored_order(layer):
            if getattr(slot.layer, "flips_kernels", False) and len(slot.variable.shape) > 3:
                yield slot


def _matched(
    layers: Sequence[keras.layers.Layer],
    stored: Sequence[StoredLayer],
    path: str,
    by_name: bool,
) -> Iterator[tuple[keras.layers.Layer, StoredLayer]]:
    named = {entry.name: entry for entry in stored}
    if by_name or named.keys() == {layer.name for layer in layers}:
        return ((layer, named[layer.name]) for layer in layers if layer.name in named)
    if len(layers) != len(stored):
        raise ModelFileError(
            path,
            f"the file has {counted(len(stored), 'layer')} with weights "
            f"({_listed(entry.name for entry in stored)}), "
            f"the model has {len(layers)} ({_listed(layer.name for layer in layers)})",
        )
    return zip(layers, stored, strict=True)


def _listed(names: Iterable[str]) -> str:
    shown = [*names]
    return ", ".join(shown[:6]) + (", ..." if len(shown) > 6 else "")


def _fitted(slot: Slot, array: Array, backend: Backend | None, path: str) -> Array:
    """The array as the live layer holds it."""
    shape = tuple(slot.variable.shape)
    turned = getattr(slot.layer, "flips_kernels", False) and array.ndim > 3
    if turned and array.shape != shape and _is_older_kernel(slot, array):
        array = np.transpose(array, (2, 3, 1, 0))
    if turned and backend == "theano" and array.shape == shape:
        first = 2 if getattr(slot.layer, "dim_ordering", "tf") == "th" else 0
        array = np.flip(array, axis=tuple(range(first, first + array.ndim - 2)))
    if type(slot.layer).__name__ == "PReLU" and _is_shared(array.shape, shape):
        warnings.warn(
            f"layer {slot.layer.name!r} (PReLU): its slopes are shared along some axes, which its "
            "config does not say; they are copied, so that training will tell them apart. "
            "load_model(path) on a file of model.save() keeps them shared",
            LoadWarning,
            stacklevel=2,
        )
        array = np.broadcast_to(array, shape)
    if array.shape != shape:
        raise ModelFileError(
            path,
            f"layer {slot.layer.name!r}: the weight {slot.variable.name!r} has the shape {shape}, "
            f"in the file {array.shape}",
        )
    return array


def _is_older_kernel(slot: Slot, array: Array) -> bool:
    """Whether this is a kernel of Convolution1D as (out, in, length, 1)."""
    length, _, inputs, outputs = slot.variable.shape if array.ndim == 4 else (0, 0, 0, 0)
    one_dimensional = type(slot.layer).__name__.endswith("Convolution1D")
    return one_dimensional and array.shape == (outputs, inputs, length, 1)


def _is_shared(stored: tuple[int, ...], wanted: tuple[int, ...]) -> bool:
    pairs = zip(stored, wanted, strict=False)
    return stored != wanted and len(stored) == len(wanted) and all(a in (1, b) for a, b in pairs)

"""The weights in the files of Keras 1, in each layout, and their way into live layers.

Layouts: of `model.save()` (in the group `model_weights`), of `model.save_weights()` (the same at
the root), and an older one (groups `layer_0`, `layer_1`, ... of arrays `param_0`, `param_1`, ...).
Weights are set by position, as in Keras 1; layers without weights are skipped on both sides.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import h5py
import keras
import numpy as np
import numpy.typing as npt

from normscope.errors import ModelFileError
from normscope.files.hdf5 import MAX_NAMES, Hdf5, open_hdf5
from normscope.keras1.files import Backend, StrPath
from normscope.keras1.live.layers.wrappers import Bidirectional, TimeDistributed
from normscope.wording import counted

Array: TypeAlias = npt.NDArray[np.generic]
Variable: TypeAlias = Any

MARKS = ("layer_names", "layer_names0", "nb_layers")
"""The attributes by which a group of weights is known."""


@dataclass(frozen=True)
class StoredLayer:
    """The arrays of one layer in a file, by name, in the order of the file."""

    name: str
    arrays: Mapping[str, Array]


@dataclass(frozen=True, eq=False)
class Slot:
    """One weight of a live model, with the layer that it belongs to."""

    layer: keras.layers.Layer
    variable: Variable


class LoadWarning(UserWarning):
    """Something of a file was assumed or left out; the message says what."""


# -------------------------------------------------------------------------------------- reading


def read_weights(path: StrPath) -> tuple[StoredLayer, ...]:
    """The layers of a file that have weights, in its order, whichever layout it has.

    Raises:
        ModelFileError: not a file of Keras 1 weights, damaged, or beyond the bounds of `hdf5`.
    """
    with open_hdf5(os.fspath(path)) as file:
        root = file.weights_group() if "model_weights" in file.file else file.file
        if "nb_layers" in root.attrs:
            layers = list(_older_layout(file, root))
        elif any(key in root.attrs for key in MARKS):
            layers = list(_layout(file, root))
        else:
            raise file.error("an HDF5 file, but not of Keras 1 weights: it has no layer_names")
    return tuple(layer for layer in layers if layer.arrays)


def holds_weights(path: StrPath) -> bool:
    """Whether a file is an HDF5 file with weights of Keras 1."""
    if not h5py.is_hdf5(os.fspath(path)):
        return False
    with open_hdf5(os.fspath(path)) as file:
        return "model_weights" in file.file or any(key in file.file.attrs for key in MARKS)


def backend_of(layers: Iterable[StoredLayer]) -> Backend | None:
    """Who wrote the weights: the names of TensorFlow end in `:0`. The older layout does not tell.

    >>> import numpy as np
    >>> backend_of([StoredLayer("dense_1", {"dense_1_W": np.zeros(3)})])
    'theano'
    """
    names = [name for layer in layers for name in layer.arrays]
    if not names or all(name.startswith("param_") for name in names):
        return None
    return "tensorflow" if all(name.endswith(":0") for name in names) else "theano"


def _layout(file: Hdf5, root: h5py.Group) -> Iterator[StoredLayer]:
    seen: set[str] = set()
    total = 0
    for name in file.names(root, "layer_names"):
        if name in seen:
            raise file.error(f"layer_names has {name!r} twice")
        seen.add(name)
        group = file.group(root, name)
        keys = file.names(group, "weight_names")
        total += len(keys)
        if total > MAX_NAMES:
            raise file.error(f"more than {MAX_NAMES} weights")
        yield StoredLayer(name, {key: file.array(group, key) for key in keys})


def _older_layout(file: Hdf5, root: h5py.Group) -> Iterator[StoredLayer]:
    total = 0
    for k in range(_count(file, root, "nb_layers")):
        group = file.group(root, f"layer_{k}")
        keys = [f"param_{p}" for p in range(_count(file, group, "nb_params"))]
        total += len(keys)
        if total > MAX_NAMES:
            raise file.error(f"more than {MAX_NAMES} weights")
        yield StoredLayer(f"layer_{k}", {key: file.array(group, key) for key in keys})


def _count(file: Hdf5, group: h5py.Group, key: str) -> int:
    stored = group.attrs.get_id(key) if key in group.attrs else None
    if stored is None or stored.shape != () or stored.dtype.kind not in "iu":
        raise file.error(f"the attribute {key} of {group.name!r} is not one whole number")
    value = int(group.attrs[key])
    if not 0 <= value <= MAX_NAMES:
        raise file.error(f"the attribute {key} of {group.name!r} is no number up to {MAX_NAMES}")
    return value


# -------------------------------------------------------------------------------------- setting


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
    pairs: list[tuple[Variable, Array]] = []
    for layer, entry in _matched(layers, stored, path, by_name):
        slots = stored_order(layer)
        if len(slots) != len(entry.arrays):
            raise ModelFileError(
                path,
                f"layer {layer.name!r} has {counted(len(slots), 'weight')}, "
                f"{entry.name!r} in the file has {len(entry.arrays)}",
            )
        for slot, (name, array) in zip(slots, entry.arrays.items(), strict=True):
            pairs.append((slot.variable, _fitted(slot, array, backend, path)))
            names[id(slot.variable)] = name
    for variable, array in pairs:  # only now that all fit
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

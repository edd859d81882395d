"""The weights in the files of Keras 1, in each layout.

Layouts: of `model.save()` (in the group `model_weights`), of `model.save_weights()` (the same at
the root), and an older one (groups `layer_0`, `layer_1`, ... of arrays `param_0`, `param_1`, ...).
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Literal, TypeAlias

import h5py
import numpy as np
import numpy.typing as npt

from normscope.files.hdf5 import MAX_NAMES, Hdf5, holds, open_hdf5

Array: TypeAlias = npt.NDArray[np.generic]
Backend: TypeAlias = Literal["tensorflow", "theano"]
StrPath: TypeAlias = str | os.PathLike[str]

WEIGHTS = "model_weights"
"""The group in a file of `model.save()` that holds one group per layer."""

MARKS = ("layer_names", "layer_names0", "nb_layers")
"""The attributes by which a group of weights is known."""


@dataclass(frozen=True)
class StoredLayer:
    """The arrays of one layer in a file, by name, in the order of the file."""

    name: str
    arrays: Mapping[str, Array]


def read_weights(path: StrPath) -> tuple[StoredLayer, ...]:
    """The layers of a file that have weights, in its order, whichever layout it has.

    Raises:
        ModelFileError: not a file of Keras 1 weights, damaged, or beyond the bounds of `hdf5`.
    """
    with open_hdf5(os.fspath(path)) as file:
        root = file.group(file.file, WEIGHTS) if holds(file.file, WEIGHTS) else file.file
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
        return holds(file.file, WEIGHTS) or any(key in file.file.attrs for key in MARKS)


def weight_names(file: Hdf5, root: h5py.Group) -> dict[str, tuple[str, ...]]:
    """The names of the weights of each top-level layer in a group of weights.

    Raises:
        ModelFileError: a layer is there twice, or there are too many weights.
    """
    weights: dict[str, tuple[str, ...]] = {}
    total = 0
    for layer in file.names(root, "layer_names"):
        if layer in weights:
            raise file.error(f"layer_names has {layer!r} twice")
        weights[layer] = file.names(file.group(root, layer), "weight_names")
        total += len(weights[layer])
        if total > MAX_NAMES:
            raise file.error(f"more than {MAX_NAMES} weights")
    return weights


def backend_of(layers: Iterable[StoredLayer]) -> Backend | None:
    """The backend that wrote some weights; the older layout does not tell it.

    >>> import numpy as np
    >>> backend_of([StoredLayer("dense_1", {"dense_1_W": np.zeros(3)})])
    'theano'
    """
    names = [name for layer in layers for name in layer.arrays]
    if all(name.startswith("param_") for name in names):
        return None
    return backend_of_names(names)


def backend_of_names(names: Iterable[str]) -> Backend | None:
    """The backend that wrote weights of these names: those of TensorFlow end in `:0`.

    >>> backend_of_names(["dense_1_W:0", "dense_1_b:0"])
    'tensorflow'
    """
    endings = {name.endswith(":0") for name in names}
    if not endings:
        return None
    return "tensorflow" if endings == {True} else "theano"


def _layout(file: Hdf5, root: h5py.Group) -> Iterator[StoredLayer]:
    for layer, names in weight_names(file, root).items():
        group = file.group(root, layer)
        yield StoredLayer(layer, {name: file.array(group, name) for name in names})


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

"""Files of Keras 1.2.2, written: a whole model, or its weights."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from normscope.errors import SpecError
from normscope.keras1.files.weights import WEIGHTS, Array, StoredLayer, StrPath


def write_model_file(
    path: StrPath,
    overwrite: bool,
    release: str,
    architecture: str,
    layers: Iterable[StoredLayer],
    training: str | None = None,
    state: Mapping[str, Array] | None = None,
) -> None:
    """Write what `model.save()` wrote.

    Args:
        path: of the file.
        overwrite: whether an existing file is replaced.
        release: the release of Keras 1 that the file says it is of.
        architecture, training: JSON.
        layers: those with the weights, and those without.
        state: of the optimizer.

    Raises:
        SpecError: the file exists and is not to be overwritten, or cannot be written.
    """
    with _new_file(path, overwrite) as file:
        file.attrs["keras_version"] = release.encode()
        file.attrs["model_config"] = architecture.encode()
        _write_layers(file.create_group(WEIGHTS), layers)
        if training is not None:
            file.attrs["training_config"] = training.encode()
        if state:
            _write_arrays(file.create_group("optimizer_weights"), state)


def write_weights(
    path: StrPath, overwrite: bool, release: str, layers: Iterable[StoredLayer]
) -> None:
    """Write what `model.save_weights()` wrote, and the release.

    Args:
        path: of the file.
        overwrite: whether an existing file is replaced.
        release: the release of Keras 1 that the file says it is of.
        layers: those with the weights, and those without.

    Raises:
        SpecError: the file exists and is not to be overwritten, or cannot be written.
    """
    with _new_file(path, overwrite) as file:
        file.attrs["keras_version"] = release.encode()
        _write_layers(file, layers)


def _new_file(path: StrPath, overwrite: bool) -> h5py.File:
    if not overwrite and os.path.exists(path):
        raise SpecError(f"{os.fspath(path)} exists; write overwrite=True to replace it")
    try:
        return h5py.File(Path(path), "w")
    except OSError as error:
        raise SpecError(f"{os.fspath(path)} cannot be written: {error}") from None


def _write_layers(group: h5py.Group, layers: Iterable[StoredLayer]) -> None:
    names = []
    for layer in layers:
        names.append(layer.name)
        _write_arrays(group.create_group(layer.name), layer.arrays)
    group.attrs["layer_names"] = _encoded(names)


def _write_arrays(group: h5py.Group, arrays: Mapping[str, Array]) -> None:
    group.attrs["weight_names"] = _encoded(list(arrays))
    for name, array in arrays.items():
        group.create_dataset(name, data=array)


def _encoded(names: Sequence[str]) -> np.ndarray[Any, Any]:
    return np.array([name.encode() for name in names], dtype="S") if names else np.zeros(0)

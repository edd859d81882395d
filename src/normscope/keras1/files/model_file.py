"""Model files of Keras 1 (1.0 to 1.2.2), read as data: nothing in them is run or followed.

A file is untrusted. Every size is bounded before anything of that size is made, links lead nowhere
but into the file itself, and whatever is wrong ends in one `ModelFileError`.
"""

from __future__ import annotations

import os
from bisect import bisect_left
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import h5py

from normscope.files.hdf5 import holds, open_hdf5
from normscope.files.json import read_json
from normscope.files.readable import neither, not_read
from normscope.files.recognition import HDF5, JSON, KERAS_TODAY_JSON, KERAS_TODAY_WEIGHTS, recognise
from normscope.keras1.files.architecture import (
    KERAS_1,
    READS,
    checked_architecture,
    checked_release,
    decode_architecture,
)
from normscope.keras1.files.weights import (
    MARKS,
    WEIGHTS,
    Backend,
    StrPath,
    backend_of_names,
    weight_names,
)

NEITHER = neither(KERAS_1)


@dataclass(frozen=True)
class ModelFile:
    """What a file says: the architecture, who wrote it, and the names of the stored weights.

    `weights` maps the name of each top-level layer to the names of its weights. A nested model is
    one entry with the weights of all its layers; `open_arrays` reads the arrays.
    `release` and `backend` are None where the file does not tell.
    """

    path: str
    architecture: Mapping[str, object]
    release: str | None
    backend: Backend | None
    weights: Mapping[str, tuple[str, ...]]
    format: Literal["hdf5", "json"] = "json"

    @cached_property
    def _sorted_names(self) -> list[tuple[str, int, str]]:
        """Each name of a weight, the place of its entry in the file, and that entry, sorted."""
        entries = enumerate(self.weights.items())
        return sorted((name, place, key) for place, (key, names) in entries for name in names)

    @cached_property
    def _first_entries(self) -> dict[str, str | None]:
        """What `entry_of_prefix` found."""
        return {}

    @cached_property
    def _names(self) -> dict[str, dict[str, str]]:
        """What `stored_name` has looked at."""
        return {}

    def stored_name(self, entry: str, name: str) -> str | None:
        """The name in the file of a weight of one entry: TensorFlow adds `:0`."""
        if entry not in self._names:
            self._names[entry] = {key.removesuffix(":0"): key for key in self.weights[entry]}
        return self._names[entry].get(name)

    def entry_of_prefix(self, prefix: str) -> str | None:
        """The first entry in which the name of a weight begins so."""
        if prefix not in self._first_entries:
            found: list[tuple[int, str]] = []
            for index in range(bisect_left(self._sorted_names, (prefix,)), len(self._sorted_names)):
                name, place, key = self._sorted_names[index]
                if not name.startswith(prefix):
                    break
                found.append((place, key))
            self._first_entries[prefix] = min(found)[1] if found else None
        return self._first_entries[prefix]


def read_model_file(path: StrPath) -> ModelFile:
    """Read a file of `model.save()` or `model.to_json()`; the content decides which it is.

    Raises: ModelFileError: not a model file of Keras 1, damaged, or beyond the bounds above.

    >>> import pathlib, tempfile
    >>> path = pathlib.Path(tempfile.mkdtemp()) / "model.json"
    >>> _ = path.write_text('{"class_name": "Sequential", "config": [], "keras_version": "1.2.2"}')
    >>> read_model_file(path).release
    '1.2.2'
    """
    file_path = os.fspath(path)
    kind = recognise(file_path)
    if kind is HDF5:
        return _read_hdf5(file_path)
    if kind is JSON:
        return _read_json(file_path)
    raise not_read(file_path, kind, KERAS_1)


def stated_release(path: StrPath) -> str | None:
    """The release that an HDF5 file says it is of; files of weights alone do not say.

    Raises:
        ModelFileError: the file is not HDF5, or says that it is of another Keras.
    """
    with open_hdf5(os.fspath(path)) as file:
        return checked_release(os.fspath(path), file.text("keras_version"))


def weights_entry(model: ModelFile, layer_path: str) -> str | None:
    """The key of `model.weights` that holds the weights of the layer `layer_path` of the network.

    That is the layer or the nested model around it. A Sequential inside a Sequential has no name in
    the architecture, so its entry is known by the weights in it, which begin with the layer's name.

    >>> saved = ModelFile("m.h5", {}, None, None, {"inner": ("bn_gamma",), "dense": ("dense_W",)})
    >>> weights_entry(saved, "inner/bn"), weights_entry(saved, "sequential_1/bn")
    ('inner', 'inner')
    """
    parts = layer_path.split("/")
    for stop in range(len(parts), 0, -1):
        if (entry := "/".join(parts[:stop])) in model.weights:
            return entry
    for start in range(1, len(parts)):
        found = model.entry_of_prefix("/".join(parts[start:]) + "_")
        if found is not None:
            return found
    return None


def _read_json(path: str) -> ModelFile:
    architecture = checked_architecture(path, read_json(path, NEITHER), "the file")
    release = checked_release(path, architecture.get("keras_version"), KERAS_TODAY_JSON)
    return ModelFile(path, architecture, release, None, {})


def _read_hdf5(path: str) -> ModelFile:
    with open_hdf5(path) as file:
        release = checked_release(path, file.text("keras_version"))
        config = file.text("model_config")
        if config is None:
            raise file.error(_why_no_architecture(file.file))
        weights = weight_names(file, file.group(file.file, WEIGHTS))
    architecture = decode_architecture(path, config, "its attribute model_config")
    if release is None:
        release = checked_release(path, architecture.get("keras_version"))
    return ModelFile(
        path,
        architecture,
        release,
        backend_of_names(name for names in weights.values() for name in names),
        weights,
        "hdf5",
    )


def _why_no_architecture(file: h5py.File) -> str:
    if any(mark in file.attrs for mark in MARKS):
        return (
            "a file of weights only, as model.save_weights() writes it, has no architecture; "
            "write the model with model.save(), or its architecture with model.to_json()"
        )
    if holds(file, "layers") or holds(file, "_layer_checkpoint_dependencies"):
        return (
            f"a file of weights of Keras 3, without an architecture; {READS}. "
            f"What to do: {KERAS_TODAY_WEIGHTS}"
        )
    return "an HDF5 file, but not of a Keras model: it has no attribute model_config"

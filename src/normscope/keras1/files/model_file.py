"""Model files of Keras 1 (1.0 to 1.2.2), read as data: nothing in them is run or followed.

A file is untrusted. Every size is bounded before anything of that size is made, links lead nowhere
but into the file itself, and whatever is wrong ends in one `ModelFileError`.
"""

from __future__ import annotations

import json
import math
import os
import re
import sys
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import Literal, TypeAlias

import h5py
import numpy as np
import numpy.typing as npt

from normscope.errors import ModelFileError
from normscope.files.hdf5 import MAX_TEXT_BYTES, MOST_DEFLATED, Hdf5, open_hdf5
from normscope.files.readable import Readable, neither, not_read, only
from normscope.files.recognition import (
    HDF5,
    JSON,
    KERAS_TODAY,
    KERAS_TODAY_JSON,
    KERAS_TODAY_WEIGHTS,
    recognise,
)

Backend: TypeAlias = Literal["tensorflow", "theano"]
StrPath: TypeAlias = str | os.PathLike[str]

MAX_JSON_DEPTH = 100

KERAS_1 = Readable(
    "files of Keras 1",
    (".h5 of model.save()", ".json of model.to_json()"),
    {
        "an HDF5 model file, as model.save() of Keras 1 writes it": "it has no HDF5 signature",
        "JSON, as model.to_json() writes it": "",
    },
)
NEITHER = neither(KERAS_1)
READS = only(KERAS_1)


@dataclass(frozen=True)
class ModelFile:
    """What a file says: the architecture, who wrote it, and the names of the stored weights.

    `weights` maps the name of each top-level layer to the names of its weights. A nested model is
    one entry with the weights of all its layers; the arrays are read by `read_arrays`.
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


class StoredArrays:
    """The arrays of an open model file, each read when it is asked for, once."""

    def __init__(self, file: Hdf5) -> None:
        self.file = file
        self.root = file.weights_group()
        self.groups: dict[str, h5py.Group] = {}
        self.read: dict[tuple[str, str], npt.NDArray[np.generic]] = {}

    def check_sizes(self, weights: Mapping[str, Sequence[str]]) -> None:
        """Refuse a file whose arrays claim more together than it can hold; no data is read.

        Raises:
            ModelFileError: they do, or an array is missing.
        """
        whole = in_pieces = 0
        for entry, names in weights.items():
            group = self._group(entry)
            for name in names:
                found = self.file.dataset(group, name)
                size = math.prod(found.shape) * found.dtype.itemsize
                if found.chunks is None:
                    whole += size
                else:
                    in_pieces += size
        length = len(self.file.data)
        if whole > length or in_pieces > MOST_DEFLATED * length:
            raise self.file.error(
                f"its arrays claim {whole + in_pieces} bytes together, which a file of {length} "
                "bytes cannot hold"
            )

    def shape(self, entry: str, name: str) -> tuple[int, ...]:
        """The shape of a weight of one entry of `ModelFile.weights`; no data is read."""
        shape: tuple[int, ...] = self.file.dataset(self._group(entry), name).shape
        return shape

    def array(self, entry: str, name: str) -> npt.NDArray[np.generic]:
        """A weight of one entry of `ModelFile.weights`."""
        if (entry, name) not in self.read:
            self.read[entry, name] = self.file.array(self._group(entry), name)
        return self.read[entry, name]

    def _group(self, entry: str) -> h5py.Group:
        if entry not in self.groups:
            self.groups[entry] = self.file.group(self.root, entry)
        return self.groups[entry]


@contextmanager
def open_arrays(model: ModelFile, most: int = sys.maxsize) -> Iterator[StoredArrays]:
    """The arrays of a model file that has some; at most so many bytes of them are read."""
    with open_hdf5(model.path, most) as file:
        yield StoredArrays(file)


def read_arrays(path: StrPath, layer_name: str) -> dict[str, npt.NDArray[np.generic]]:
    """The weights of one entry of `ModelFile.weights`, by weight name, in the order of the file."""
    file_path = os.fspath(path)
    with open_hdf5(file_path) as file:
        layer = file.group(file.weights_group(), layer_name)
        return {name: file.array(layer, name) for name in file.names(layer, "weight_names")}


def stated_release(path: StrPath) -> str | None:
    """The release that an HDF5 file says it is of; files of weights alone do not say.

    Raises:
        ModelFileError: it is no HDF5 file, or says that it is of another Keras.
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


# --------------------------------------------------------------------------- plain files and JSON


def _read_json(path: str) -> ModelFile:
    try:
        with open(path, "rb") as stream:
            text = stream.read(MAX_TEXT_BYTES + 1)
    except OSError as error:
        raise ModelFileError(path, f"cannot be read: {error.strerror}") from error
    if len(text) > MAX_TEXT_BYTES:
        raise ModelFileError(path, f"{NEITHER}, of at most {MAX_TEXT_BYTES} bytes")
    architecture = decode_architecture(path, text, "the file", NEITHER)
    release = checked_release(path, architecture.get("keras_version"), KERAS_TODAY_JSON)
    return ModelFile(path, architecture, release, None, {})


def decode_architecture(
    path: str, text: bytes | str, what: str, if_not: str = "not valid JSON"
) -> dict[str, object]:
    """The JSON of a model, bounded in depth; `path` and `what` name it in the messages.

    `if_not` says what it is not if it is no JSON.

    Raises:
        ModelFileError: it is no JSON, nested too deep, or not of a model.
    """
    try:
        value = json.loads(
            text if isinstance(text, str) else text.decode("utf-8-sig"),
            object_pairs_hook=_without_doubles,
        )
    except _TwiceError as error:
        raise ModelFileError(path, f"{what} says {str(error)!r:.60} twice in one object") from error
    except RecursionError as error:
        raise ModelFileError(path, f"{what} is nested too deep") from error
    except ValueError as error:  # also no text, or an integer of more digits than Python takes
        raise ModelFileError(path, f"{what} is {if_not}: {error}") from error
    _check_depth(path, value, what)
    if isinstance(value, dict) and "class_name" in value and value.keys() & KERAS_3_KEYS:
        raise _newer(path, f"{what} is JSON of a model of Keras 3")
    if not isinstance(value, dict) or not {"class_name", "config"} <= value.keys():
        raise ModelFileError(
            path, f'{what} is JSON, but not a model: expected an object with "class_name", "config"'
        )
    if value["class_name"] == "Functional" or (
        value["class_name"] == "Sequential" and isinstance(value["config"], dict)
    ):
        checked_release(path, value.get("keras_version"), KERAS_TODAY_JSON)
        raise _newer(path, f"{what} is JSON of a model of Keras 2 or 3")
    return value


def _newer(path: str, what: str) -> ModelFileError:
    return ModelFileError(path, f"{what}; {READS}. What to do: {KERAS_TODAY_JSON}")


KERAS_3_KEYS = {"module", "registered_name", "build_config"}
"""What Keras 3 writes beside class_name and config, and Keras 1 does not."""


class _TwiceError(Exception):
    """An object has a key twice, so that readers differ in what it says."""


def _without_doubles(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise _TwiceError(Counter(key for key, _ in pairs).most_common(1)[0][0])
    return found


def _check_depth(path: str, value: object, what: str) -> None:
    level = [value]
    for _ in range(MAX_JSON_DEPTH):
        level = [child for parent in level for child in _children(parent)]
        if not level:
            return
    raise ModelFileError(path, f"{what} is nested more than {MAX_JSON_DEPTH} deep")


def _children(value: object) -> Iterator[object]:
    if isinstance(value, dict):
        yield from value.values()
    elif isinstance(value, list):
        yield from value


def checked_release(path: str, version: object, advice: str = KERAS_TODAY) -> str | None:
    """The release that wrote a model, None if it does not say.

    `advice` says what to do with what another Keras wrote.

    Raises:
        ModelFileError: it is no release, or none of Keras 1.
    """
    if version is None:
        return None
    if not isinstance(version, str) or not re.fullmatch(r"\d{1,3}(\.[\w.+-]{1,40})?", version):
        raise ModelFileError(path, f"keras_version is {version!r:.60}, expected such as '1.2.2'")
    if version.split(".")[0] != "1":
        raise ModelFileError(
            path, f"{READS}. What to do: {advice}. This one was written by Keras {version}"
        )
    return version


def _read_hdf5(path: str) -> ModelFile:
    with open_hdf5(path) as file:
        release = checked_release(path, file.text("keras_version"))
        config = file.text("model_config")
        if config is None:
            raise file.error(_why_no_architecture(file.file))
        weights = file.all_names()
    architecture = decode_architecture(path, config, "its attribute model_config")
    if release is None:
        release = checked_release(path, architecture.get("keras_version"))
    return ModelFile(path, architecture, release, _backend(weights), weights, "hdf5")


def _why_no_architecture(file: h5py.File) -> str:
    if any(name in file.attrs for name in ("layer_names", "layer_names0", "nb_layers")):
        return (
            "a file of weights only, as model.save_weights() writes it, has no architecture; "
            "write the model with model.save(), or its architecture with model.to_json()"
        )
    if "layers" in file or "_layer_checkpoint_dependencies" in file:
        return (
            f"a file of weights of Keras 3, without an architecture; {READS}. "
            f"What to do: {KERAS_TODAY_WEIGHTS}"
        )
    return "an HDF5 file, but not of a Keras model: it has no attribute model_config"


def _backend(weights: Mapping[str, Sequence[str]]) -> Backend | None:
    names = [name for layer in weights.values() for name in layer]
    if not names:
        return None
    return "tensorflow" if all(name.endswith(":0") for name in names) else "theano"

"""Model files of Keras 1 (1.0 to 1.2.2), read as data: nothing in them is run or followed.

A file is untrusted. Every size is bounded before anything of that size is made, links lead nowhere
but into the file itself, and whatever is wrong ends in one `ModelFileError`.
"""

from __future__ import annotations

import json
import os
import re
import stat
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias

import h5py
import numpy as np
import numpy.typing as npt

from normscope.errors import ModelFileError
from normscope.keras1.hdf5 import MAX_TEXT_BYTES, open_hdf5

Backend: TypeAlias = Literal["tensorflow", "theano"]
StrPath: TypeAlias = str | os.PathLike[str]

HDF5_MAGIC = b"\x89HDF\r\n\x1a\n"
ZIP_MAGIC = b"PK\x03\x04"
MAX_JSON_DEPTH = 100

HDF5_FILE = "an HDF5 model file, as model.save() of Keras 1 writes it"
JSON_FILE = "JSON, as model.to_json() writes it"
NEITHER = f"neither {HDF5_FILE} (it has no HDF5 signature), nor {JSON_FILE}"


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


def read_model_file(path: StrPath) -> ModelFile:
    """Read a file of `model.save()` or `model.to_json()`; the content decides which it is.

    Raises: ModelFileError: not a model file of Keras 1, damaged, or beyond the bounds above.

    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "model.json"
    >>> _ = path.write_text('{"class_name": "Sequential", "config": [], "keras_version": "1.2.2"}')
    >>> read_model_file(path).release
    '1.2.2'
    """
    file_path = os.fspath(path)
    start = _read_start(file_path)
    if start.startswith(HDF5_MAGIC):
        return _read_hdf5(file_path)
    if start.startswith(ZIP_MAGIC):
        raise ModelFileError(
            file_path, "this is a .keras archive of Keras 3; this reader knows the files of Keras 1"
        )
    return _read_json(file_path)


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
        prefix = "/".join(parts[start:]) + "_"
        for entry, names in model.weights.items():
            if any(name.startswith(prefix) for name in names):
                return entry
    return None


# --------------------------------------------------------------------------- plain files and JSON


def _read_start(path: str) -> bytes:
    try:
        mode = os.stat(path).st_mode
        if not stat.S_ISREG(mode):
            kind = "a folder" if stat.S_ISDIR(mode) else "a device, a pipe or a socket"
            raise ModelFileError(
                path, f"{kind}, not a regular file; give the path of {HDF5_FILE}, or of {JSON_FILE}"
            )
        with open(path, "rb") as stream:
            return stream.read(len(HDF5_MAGIC))
    except ModelFileError:
        raise
    except (OSError, ValueError) as error:  # ValueError: a path with a null character
        raise ModelFileError(path, f"cannot be opened: {error}") from error


def _read_json(path: str) -> ModelFile:
    size = os.stat(path).st_size
    if size > MAX_TEXT_BYTES:
        raise ModelFileError(path, f"{NEITHER}, of at most {MAX_TEXT_BYTES} bytes: it has {size}")
    architecture = decode_architecture(path, Path(path).read_bytes(), "the file", NEITHER)
    release = checked_release(path, architecture.get("keras_version"))
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
        value = json.loads(text if isinstance(text, str) else text.decode("utf-8-sig"))
    except RecursionError as error:
        raise ModelFileError(path, f"{what} is nested too deep") from error
    except ValueError as error:  # also no text, or an integer of more digits than Python takes
        raise ModelFileError(path, f"{what} is {if_not}: {error}") from error
    _check_depth(path, value, what)
    if not isinstance(value, dict) or not {"class_name", "config"} <= value.keys():
        raise ModelFileError(
            path, f'{what} is JSON, but not a model: expected an object with "class_name", "config"'
        )
    return value


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


def checked_release(path: str, version: object) -> str | None:
    """The release that wrote a model, None if it does not say.

    Raises:
        ModelFileError: it is no release, or none of Keras 1.
    """
    if version is None:
        return None
    if not isinstance(version, str) or not re.fullmatch(r"\d{1,3}(\.[\w.+-]{1,40})?", version):
        raise ModelFileError(path, f"keras_version is {version!r:.60}, expected such as '1.2.2'")
    if version.split(".")[0] != "1":
        raise ModelFileError(
            path,
            f"this reader knows the files of Keras 1 (1.0 to 1.2.2), "
            f"this one was written by Keras {version}",
        )
    return version


def _read_hdf5(path: str) -> ModelFile:
    with open_hdf5(path) as file:
        release = checked_release(path, file.text("keras_version"))
        config = file.text("model_config")
        if config is None:
            raise file.error(_why_no_architecture(file.file.attrs))
        weights = file.all_names()
    architecture = decode_architecture(path, config, "its attribute model_config")
    if release is None:
        release = checked_release(path, architecture.get("keras_version"))
    return ModelFile(path, architecture, release, _backend(weights), weights)


def _why_no_architecture(attributes: h5py.AttributeManager) -> str:
    if any(name in attributes for name in ("layer_names", "layer_names0", "nb_layers")):
        return (
            "a file of weights only, as model.save_weights() writes it, has no architecture; "
            "write the model with model.save(), or its architecture with model.to_json()"
        )
    return "an HDF5 file, but not of a Keras model: it has no attribute model_config"


def _backend(weights: Mapping[str, Sequence[str]]) -> Backend | None:
    names = [name for layer in weights.values() for name in layer]
    if not names:
        return None
    return "tensorflow" if all(name.endswith(":0") for name in names) else "theano"

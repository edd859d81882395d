"""`KerasFile`: a model in a file of Keras 2 or 3, rebuilt without running any code of the file."""

from __future__ import annotations

import re
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from zipfile import BadZipFile, ZipFile

from normscope.errors import ModelFileError
from normscope.files.archive import open_archive
from normscope.files.hdf5 import holds, open_hdf5
from normscope.files.json import MAX_BYTES, decode_json, read_json
from normscope.files.recognition import HDF5, JSON, KERAS_ARCHIVE, SAVED_MODEL, recognise
from normscope.files.regular import open_regular
from normscope.frameworks.keras.saved.metadata import root_model
from normscope.frameworks.keras.saved.rebuilding import Rebuilt
from normscope.frameworks.keras.saved.weights import load_keras2, load_keras3, unpacked

CONFIG, METADATA, WEIGHTS = "config.json", "metadata.json", "model.weights.h5"
_NO_WEIGHTS = "the file holds no weights, so that the model has fresh ones"


@dataclass(frozen=True, eq=False)
class KerasFile:
    """A model in a file.

    Attributes:
        path: of the file.
        model: of Keras 3, rebuilt; it can be traced, and run where nothing in it is unknown.
        unknown: the placeholders in it, by the path of the layer.
        version: of the Keras that wrote it; "" if it does not tell.
        notes: what the reader of a report should know.
    """

    path: str
    model: Any
    unknown: Mapping[str, Any] = field(default_factory=dict)
    version: str = ""
    notes: tuple[str, ...] = ()


def read(path: Path) -> KerasFile:
    """The model in a file of Keras 2 or 3: .keras, .h5, .json, or a SavedModel with its settings.

    Raises:
        ModelFileError: the file cannot be read, or its model not be rebuilt.
    """
    text = str(path)
    kind = recognise(text)
    if kind is KERAS_ARCHIVE:
        return _of_archive(text)
    if kind is HDF5:
        return _of_hdf5(text)
    if kind is JSON:
        return _rebuilt(text, read_json(text), "", [_NO_WEIGHTS])
    if kind is SAVED_MODEL:
        serialized, version = root_model(path)
        note = "the weights of a SavedModel are not read, so that the model has fresh ones"
        return _rebuilt(text, serialized, version, [note])
    raise ModelFileError(text, f"this is {kind.name}, and no model of Keras 2 or 3")


def _rebuilt(path: str, serialized: Any, version: str, notes: list[str]) -> KerasFile:
    model = serialized if isinstance(serialized, Mapping) else {}
    if "class_name" not in model:
        raise ModelFileError(path, f"{recognise(path).name}, but it holds no settings of a model")
    version = version or _version(model.get("keras_version"))
    made = Rebuilt(path, model)
    return KerasFile(path, made.model, made.unknown, version, (*made.notes, *notes))


def _version(text: object) -> str:
    return text if isinstance(text, str) and re.fullmatch(r"[\w.+-]{1,40}", text) else ""


def _of_archive(path: str) -> KerasFile:
    with open_regular(path) as stream:
        archive = open_archive(stream)
        if archive is None:
            raise ModelFileError(path, "a damaged or very large zip archive")
        with archive:
            names = archive.namelist()
            if names.count(CONFIG) != 1:
                raise ModelFileError(path, f"an archive of Keras 3 without one {CONFIG}")
            config = decode_json(path, _member(path, archive, CONFIG), CONFIG)
            about = (
                decode_json(path, _member(path, archive, METADATA), METADATA)
                if METADATA in names
                else {}
            )
            version = _version(about.get("keras_version") if isinstance(about, dict) else None)
            found = _rebuilt(path, config, version, [])
            if WEIGHTS not in names:
                return _noted(found, _NO_WEIGHTS)
            with unpacked(path, archive, WEIGHTS) as weights:
                try:
                    return _noted(found, *load_keras3(weights, found.model))
                except ModelFileError as error:
                    raise ModelFileError(path, f"{WEIGHTS} in it: {error.reason}") from error


def _noted(found: KerasFile, *notes: str) -> KerasFile:
    return KerasFile(found.path, found.model, found.unknown, found.version, (*found.notes, *notes))


def _member(path: str, archive: ZipFile, name: str) -> bytes:
    """What is in an archive under a name, bounded."""
    try:
        with archive.open(name) as member:
            content = member.read(MAX_BYTES + 1)
    # what zipfile raises of damaged, encrypted or unknown members
    except (BadZipFile, zlib.error, OSError, EOFError, NotImplementedError, RuntimeError) as error:
        raise ModelFileError(path, f"{name} in it is damaged: {error}") from error
    if len(content) > MAX_BYTES:
        raise ModelFileError(path, f"{name} in it has more than {MAX_BYTES} bytes")
    return content


def _of_hdf5(path: str) -> KerasFile:
    with open_hdf5(path) as file:
        config = file.text("model_config")
        if config is None:
            raise file.error(
                "an HDF5 file of weights, without the settings of a model. What to do: build the "
                "model in Python, load them with model.load_weights, and give it: ns.audit(model)"
            )
        version = _version(file.text("keras_version"))
        found = _rebuilt(path, decode_json(path, config, "model_config"), version, [])
        root = file.file
        if holds(root, "model_weights"):
            root = file.group(root, "model_weights")
        if "layer_names" not in root.attrs and "layer_names0" not in root.attrs:
            return _noted(found, _NO_WEIGHTS)
        return _noted(found, *load_keras2(file, root, found.model))

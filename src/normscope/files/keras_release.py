"""Which Keras wrote a model file, told by its content."""

from __future__ import annotations

from collections.abc import Mapping

from normscope.errors import ModelFileError
from normscope.files.json import read_json
from normscope.files.recognition import HDF5, JSON, FileKind

_OF_KERAS_3 = frozenset(("module", "registered_name", "build_config"))


def keras_release(path: str, kind: FileKind) -> int | None:
    """1, 2 or 3; None where the file holds no model, or does not tell which Keras wrote it.

    Args:
        path: of the file.
        kind: what it is.
    """
    try:
        if kind is HDF5:
            return _of_hdf5(path)
        return _of_settings(read_json(path)) if kind is JSON else None
    except (ModelFileError, ImportError):  # whoever reads it says what is wrong
        return None


def _of_hdf5(path: str) -> int | None:
    from normscope.files.hdf5 import open_hdf5

    with open_hdf5(path) as file:
        version = file.text("keras_version")
        return _major(version) if "model_config" in file.file.attrs else None


def _of_settings(model: object) -> int | None:
    if not isinstance(model, Mapping) or not {"class_name", "config"} <= model.keys():
        return None
    if model.keys() & _OF_KERAS_3:
        return 3
    if "keras_version" in model:
        return _major(model["keras_version"])
    # Keras 1 called it Model, and a Sequential a list of layers
    whole = model["class_name"] == "Sequential" and isinstance(model["config"], Mapping)
    return 2 if whole or model["class_name"] == "Functional" else None


def _major(version: object) -> int | None:
    """The first number of a version.

    >>> _major("2.13.1-tf")
    2
    """
    first = version.split(".")[0] if isinstance(version, str) else ""
    return int(first) if first in ("1", "2", "3") else None

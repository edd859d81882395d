"""The `.keras` archives of Keras 3, looked at before Keras loads them.

Keras makes what the config of an archive names. Here it is seen to first that this is only what
Keras or the user has, and no code, and that nothing in the archive is larger than a file of its
size can hold.
"""

from __future__ import annotations

import json
import os
import zipfile
from collections.abc import Mapping
from typing import Any

import h5py
import keras

from normscope.errors import ModelFileError
from normscope.files.archive import open_archive
from normscope.files.hdf5 import DAMAGE, MAX_INFLATED_BYTES, MAX_TEXT_BYTES, MOST_DEFLATED
from normscope.keras1.files.model_file import MAX_JSON_DEPTH

CONFIG, WEIGHTS = "config.json", ".weights.h5"
PACKAGES = ("keras", "keras_hub", "keras_cv", "keras_nlp", "builtins")
CODE = ("Lambda", "__lambda__")
MAX_OBJECTS = 200_000


def load_archive(path: str, custom_objects: Mapping[str, Any] | None) -> keras.Model:
    """The model of a `.keras` archive.

    Raises:
        ModelFileError: it is damaged, holds code, or names what neither Keras nor the user has.
    """
    if not path.endswith(".keras"):
        raise ModelFileError(
            path,
            "a .keras archive, which Keras loads only where its name ends so: rename it",
        )
    _check(path, custom_objects or {})
    try:
        return keras.saving.load_model(path, custom_objects=custom_objects)
    except Exception as error:  # whatever Keras and its backend raise where a setting is wrong
        said = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise ModelFileError(path, f"Keras cannot load it: {said[:300]}") from error


def _check(path: str, custom_objects: Mapping[str, Any]) -> None:
    try:
        with open(path, "rb") as stream:
            archive = open_archive(stream)
            if archive is None:
                raise ModelFileError(path, "a damaged .keras archive: its list of files is missing")
            with archive:
                _check_members(path, archive, os.fstat(stream.fileno()).st_size)
                _check_config(path, archive, custom_objects)
                for member in archive.infolist():
                    if member.filename.endswith(WEIGHTS):
                        _check_weights(path, archive, member)
    except ModelFileError:
        raise
    except (*DAMAGE, zipfile.BadZipFile, NotImplementedError, EOFError) as error:
        raise ModelFileError(path, f"a damaged .keras archive: {error}") from error


def _check_members(path: str, archive: zipfile.ZipFile, length: int) -> None:
    names = archive.namelist()
    if CONFIG not in names or not any(name.endswith(WEIGHTS) for name in names):
        raise ModelFileError(path, "a .keras archive without config.json or without weights")
    if len(set(names)) < len(names):
        raise ModelFileError(path, "a .keras archive that has a file twice")
    for name in names:
        if (
            name.startswith(("/", "\\"))
            or ".." in name.replace("\\", "/").split("/")
            or ":" in name
        ):
            raise ModelFileError(path, f"a .keras archive with a file outside it: {name!r:.100}")
    total = sum(member.file_size for member in archive.infolist())
    if total > length + MAX_INFLATED_BYTES:
        raise ModelFileError(
            path, f"a .keras archive of {length} bytes whose files claim {total} bytes"
        )


def _check_config(path: str, archive: zipfile.ZipFile, custom_objects: Mapping[str, Any]) -> None:
    if archive.getinfo(CONFIG).file_size > MAX_TEXT_BYTES:
        raise ModelFileError(path, f"its config.json has more than {MAX_TEXT_BYTES} bytes")
    try:
        level = [json.loads(archive.read(CONFIG).decode("utf-8"))]
    except (ValueError, RecursionError) as error:
        raise ModelFileError(path, f"its config.json is not JSON: {error}") from error
    for _ in range(MAX_JSON_DEPTH):
        for value in level:
            if isinstance(value, dict):
                _check_object(path, value, custom_objects)
        level = [
            child
            for value in level
            if isinstance(value, dict | list)
            for child in (value.values() if isinstance(value, dict) else value)
        ]
        if not level:
            return
    raise ModelFileError(path, f"its config.json is nested more than {MAX_JSON_DEPTH} deep")


def _check_object(path: str, value: dict[str, Any], custom_objects: Mapping[str, Any]) -> None:
    """Refuse an object of the config that is code, or of a module that is not Keras's."""
    kind, module = value.get("class_name"), value.get("module")
    if kind in CODE:
        raise ModelFileError(
            path,
            f"its config has a {kind}, whose function is stored as code, which is never run; "
            "build the model in Python, then call model.load_weights(path)",
        )
    if not isinstance(module, str) or "class_name" not in value:
        return
    registered = value.get("registered_name")
    names = [name for name in (registered, kind) if isinstance(name, str)]
    if module.split(".")[0] in PACKAGES or any(
        keras.saving.get_registered_object(name, custom_objects) is not None for name in names
    ):
        return
    raise ModelFileError(
        path,
        f"its config names {kind!r:.60} of the module {module!r:.60}, which is not imported from a "
        f"file; give the class: custom_objects={{{kind!r:.60}: ...}}",
    )


def _check_weights(path: str, archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> None:
    """Refuse arrays that claim more than their file can hold, and links that lead out of it."""
    whole = in_pieces = objects = 0
    with archive.open(member) as stream, h5py.File(stream, "r") as file:
        pending: list[h5py.Group] = [file]
        while pending:
            group = pending.pop()
            for name in group:
                objects += 1
                link = group.get(name, getlink=True)
                if objects > MAX_OBJECTS or not isinstance(link, h5py.HardLink):
                    raise ModelFileError(
                        path, f"its weights have a link, or too many objects, at {name!r:.100}"
                    )
                found = group[name]
                if isinstance(found, h5py.Group):
                    pending.append(found)
                elif not isinstance(found, h5py.Dataset) or found.is_virtual or found.external:
                    raise ModelFileError(path, f"its weights have no array in {name!r:.100}")
                elif found.chunks is None:
                    whole += found.nbytes
                else:
                    in_pieces += found.nbytes
    if whole > member.file_size or in_pieces > MOST_DEFLATED * member.file_size:
        raise ModelFileError(
            path,
            f"its weights claim {whole + in_pieces} bytes, which a file of {member.file_size} "
            "bytes cannot hold",
        )

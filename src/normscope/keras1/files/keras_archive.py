"""The `.keras` archives of Keras 3, looked at before Keras loads them.

Keras makes what the config of an archive names. Here it is seen to first that this is only what
Keras or the user has, and no code, and that nothing in the archive is larger than a file of its
size can hold.
"""

from __future__ import annotations

import os
import zipfile
from collections.abc import Callable
from typing import Any

import h5py

from normscope.errors import ModelFileError
from normscope.files.archive import open_archive
from normscope.files.hdf5 import DAMAGE, MAX_INFLATED_BYTES, MOST_DEFLATED
from normscope.files.json import MAX_BYTES, children, decode_json
from normscope.files.regular import open_regular

CONFIG, WEIGHTS = "config.json", ".weights.h5"
PACKAGES = ("keras", "keras_hub", "keras_cv", "keras_nlp", "builtins")
CODE = ("Lambda", "__lambda__")
MAX_OBJECTS = 200_000

# NotImplementedError: a compression that zipfile does not know; EOFError: one that ends too early.
ARCHIVE_DAMAGE = (zipfile.BadZipFile, NotImplementedError, EOFError)


def check_archive(path: str, is_known: Callable[[str], bool]) -> None:
    """Refuse a `.keras` archive that would do harm if Keras loaded it.

    Args:
        path: of the archive.
        is_known: whether Keras or the user has a class of a name, so that nothing is imported.

    Raises:
        ModelFileError: it is damaged, holds code, or names what neither Keras nor the user has.
    """
    try:
        with open_regular(path) as stream:
            archive = open_archive(stream)
            if archive is None:
                raise ModelFileError(path, "a damaged .keras archive: its list of files is missing")
            with archive:
                _check_members(path, archive, os.fstat(stream.fileno()).st_size)
                _check_config(path, archive, is_known)
                for member in archive.infolist():
                    if member.filename.endswith(WEIGHTS):
                        _check_weights(path, archive, member)
    except ModelFileError:
        raise
    except (*DAMAGE, *ARCHIVE_DAMAGE) as error:
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


def _check_config(path: str, archive: zipfile.ZipFile, is_known: Callable[[str], bool]) -> None:
    if archive.getinfo(CONFIG).file_size > MAX_BYTES:
        raise ModelFileError(path, f"its config.json has more than {MAX_BYTES} bytes")
    level = [decode_json(path, archive.read(CONFIG), "its config.json", "not JSON")]
    while level:
        for value in level:
            if isinstance(value, dict):
                _check_object(path, value, is_known)
        level = [child for value in level for child in children(value)]


def _check_object(path: str, value: dict[str, Any], is_known: Callable[[str], bool]) -> None:
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
    if module.split(".")[0] in PACKAGES or any(map(is_known, names)):
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

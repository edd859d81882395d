"""The numbers of a model of Keras, read from a file as data and given to its variables."""

from __future__ import annotations

import os
import tempfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from zipfile import ZIP_STORED, BadZipFile, ZipFile

import h5py
import keras
import numpy as np
from keras.src.saving.saving_lib import H5IOStore, _load_state

from normscope.errors import ModelFileError
from normscope.files.hdf5 import DAMAGE, Hdf5, holds, open_hdf5
from normscope.frameworks.keras.saved.unknown import UnknownLayer

MOST_BYTES = 2**32
"""Of the weights in an archive."""

UNPACKED, TIMES = 2**28, 16
"""So many bytes are unpacked at least, and so many times as many as they are packed in."""

_PIECE = 2**20


@contextmanager
def unpacked(path: str, archive: ZipFile, name: str) -> Iterator[str]:
    """A file of its own with what is in an archive, as long as it is needed.

    Raises:
        ModelFileError: it is too large, or damaged.
    """
    listed = archive.getinfo(name)
    size = listed.file_size
    if listed.compress_type != ZIP_STORED and size > max(UNPACKED, TIMES * listed.compress_size):
        raise ModelFileError(path, f"{name} in it has {size} bytes, far more than it is packed in")
    if size > MOST_BYTES:
        raise ModelFileError(path, f"{name} in it has {size} bytes; at most {MOST_BYTES} are read")
    handle, found = tempfile.mkstemp(suffix=".h5")
    try:
        with os.fdopen(handle, "wb") as copy, archive.open(name) as member:
            remaining = size
            while piece := member.read(min(_PIECE, remaining + 1)):
                remaining -= len(piece)
                if remaining < 0:
                    raise ModelFileError(path, f"{name} in it is longer than it claims")
                copy.write(piece)
        yield found
    # what zipfile raises of damaged, encrypted or unknown members
    except (BadZipFile, zlib.error, OSError, EOFError, NotImplementedError, RuntimeError) as error:
        raise ModelFileError(path, f"{name} in it is damaged: {error}") from error
    finally:
        os.unlink(found)


def load_keras3(path: str, model: Any) -> list[str]:
    """Give a model the numbers in a weights file of Keras 3; which layers got none, in words.

    Raises:
        ModelFileError: the file is damaged.
    """
    errors: dict[int, Any] = {}
    with open_hdf5(path) as file:
        store = _Store(file)
        try:
            _load_state(
                model,
                weights_store=store,
                assets_store=None,
                inner_path="",
                skip_mismatch=True,
                visited_saveables=set(),
                failed_saveables=set(),
                error_msgs=errors,
            )
        except ModelFileError:
            raise
        except Exception as error:  # another release of Keras may want another store
            return [f"the weights in the file could not be read: {error!s:.200}"]
    failed = {
        part.name: None
        for part, _ in errors.values()
        if isinstance(part, keras.layers.Layer) and part.variables and not _is_generator(part)
    }
    return _without_weights(list(failed))


def _is_generator(part: Any) -> bool:
    return isinstance(part, keras.random.SeedGenerator)


class _Store(H5IOStore):  # type: ignore[misc]
    """The arrays of a file, of which each is bounded before it is read; links are not followed."""

    def __init__(self, file: Hdf5) -> None:
        self._file = file
        self._group: h5py.Group | None = None

    def __bool__(self) -> bool:
        return True

    def get(self, path: str) -> _Store:
        """The arrays of one layer."""
        found = _Store(self._file)
        whole = f"{path}/vars" if path else "vars"
        if self.has_path(whole):
            found._group = self._file.group(self._file.file, whole)
        return found

    def has_path(self, path: str) -> bool:
        """Whether there is a group of this name."""
        try:
            return holds(self._file.file, path)
        except DAMAGE:
            return False

    def keys(self) -> list[str]:
        """The names of the arrays."""
        return [] if self._group is None else list(self._group)

    def __len__(self) -> int:
        return len(self.keys())

    def __contains__(self, name: object) -> bool:
        return name in self.keys()

    def __getitem__(self, name: str) -> Any:
        if self._group is None:
            raise KeyError(name)
        return self._file.array(self._group, name)


def load_keras2(file: Hdf5, root: h5py.Group, model: Any) -> list[str]:
    """Give a model the numbers that Keras 2 has stored; which layers got none, in words.

    Raises:
        ModelFileError: the file is damaged.
    """
    layers = {layer.name: layer for layer in model.layers}
    failed = []
    for name in file.names(root, "layer_names"):
        group = file.group(root, name)
        names = file.names(group, "weight_names") if "weight_names" in group.attrs else ()
        layer = layers.get(name)
        if not names or layer is None or isinstance(layer, UnknownLayer):
            continue
        variables = [
            variable
            for variable in layer.trainable_weights + layer.non_trainable_weights
            if "seed" not in variable.path
        ]
        arrays = [file.array(group, one) for one in names]
        if len(arrays) != len(variables) or not all(map(_fits, variables, arrays)):
            failed.append(name)
            continue
        for variable, array in zip(variables, arrays, strict=True):
            variable.assign(np.asarray(array).reshape(variable.shape))
    return _without_weights(failed)


def _fits(variable: Any, array: Any) -> bool:
    return tuple(array.shape) == tuple(variable.shape)


def _without_weights(names: list[str]) -> list[str]:
    if not names:
        return []
    more = f" and {len(names) - 8} more" if len(names) > 8 else ""
    return [f"the stored weights of these layers do not fit them: {', '.join(names[:8])}{more}"]

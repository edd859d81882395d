"""Model files of Keras 1 (1.0 to 1.2.2), read as data: nothing in them is run or followed.

A file is untrusted. Every size is bounded before anything of that size is made, links lead nowhere
but into the file itself, and whatever is wrong ends in one `ModelFileError`.
"""

from __future__ import annotations

import json
import math
import mmap
import os
import re
import stat
import struct
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path
from typing import Literal, TypeAlias

import h5py
import numpy as np
import numpy.typing as npt

from normscope.errors import ModelFileError

Backend: TypeAlias = Literal["tensorflow", "theano"]
StrPath: TypeAlias = str | os.PathLike[str]

HDF5_MAGIC = b"\x89HDF\r\n\x1a\n"
ZIP_MAGIC = b"PK\x03\x04"
MAX_JSON_BYTES = 8 * 2**20  # a thousand layers are about half a MiB
MAX_JSON_DEPTH = 100
MAX_NAMES = 10_000
MAX_NAME_BYTES = 1_000
MAX_UNPACKED = 500_000  # records of an HDF5 file looked at one by one
MAX_ARRAY_BYTES = 2**31
MAX_INFLATED_BYTES = 64 * 2**20


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
    with _open_hdf5(file_path) as file:
        layer = file.group(file.weights_group(), layer_name)
        return {name: file.array(layer, name) for name in file.names(layer, "weight_names")}


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
        if not stat.S_ISREG(os.stat(path).st_mode):
            raise ModelFileError(path, "not a regular file")
        with open(path, "rb") as stream:
            return stream.read(len(HDF5_MAGIC))
    except ModelFileError:
        raise
    except (OSError, ValueError) as error:  # ValueError: a path with a null character
        raise ModelFileError(path, f"cannot be opened: {error}") from error


def _read_json(path: str) -> ModelFile:
    size = os.stat(path).st_size
    if size > MAX_JSON_BYTES:
        raise ModelFileError(
            path, f"neither HDF5 nor a JSON text of at most {MAX_JSON_BYTES} bytes: it has {size}"
        )
    architecture = _decode(path, Path(path).read_bytes(), "the file")
    release = _release(path, architecture.get("keras_version"))
    return ModelFile(path, architecture, release, None, {})


def _decode(path: str, text: bytes | str, what: str) -> dict[str, object]:
    try:
        value = json.loads(text if isinstance(text, str) else text.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        raise ModelFileError(path, f"{what} is neither HDF5 nor JSON: {error}") from error
    except RecursionError as error:
        raise ModelFileError(path, f"{what} is nested too deep") from error
    except ValueError as error:  # also an integer of more digits than Python takes
        raise ModelFileError(path, f"{what} is not valid JSON: {error}") from error
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


def _release(path: str, version: object) -> str | None:
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


# --------------------------------------------------------------------------------------- HDF5


class _Hdf5:
    """An open HDF5 file, read so that a damaged one costs neither time nor memory nor the process.

    libhdf5 does the reading, with one exception. A text of variable length is looked up in the
    bytes of the file, as libhdf5 (2.0.0, and before) may loop without end, allocate 4 GiB or crash
    where a single bit of such a text or of its heap is wrong.
    """

    def __init__(self, path: str, file: h5py.File, data: mmap.mmap) -> None:
        self.path = path
        self.file = file
        self.data = data
        self.heaps: dict[int, dict[int, tuple[int, int]]] = {}
        self.unpacked = 0
        if file.id.get_create_plist().get_sizes() != (8, 8):
            raise self.error("an HDF5 file whose addresses are not of 8 bytes")

    def error(self, reason: str) -> ModelFileError:
        return ModelFileError(self.path, reason)

    def text(self, key: str) -> str | None:
        """The text in an attribute of the root."""
        if key not in self.file.attrs:
            return None
        texts = self._strings(self.file, key, 1, MAX_JSON_BYTES)
        return texts[0] if texts else ""

    def all_names(self) -> dict[str, tuple[str, ...]]:
        weights: dict[str, tuple[str, ...]] = {}
        group, total = self.weights_group(), 0
        for layer in self.names(group, "layer_names"):
            if layer in weights:
                raise self.error(f"layer_names has {layer!r} twice")
            weights[layer] = self.names(self.group(group, layer), "weight_names")
            total += len(weights[layer])
            if total > MAX_NAMES:
                raise self.error(f"more than {MAX_NAMES} weights")
        return weights

    def names(self, group: h5py.Group, key: str) -> tuple[str, ...]:
        """A list of names, in one attribute or, if too long for one, in `key0`, `key1`, ..."""
        keys = [key]
        if key not in group.attrs:
            parts = (f"{key}{part}" for part in range(MAX_NAMES))
            keys = list(takewhile(lambda part: part in group.attrs, parts))
        names = [name for part in keys for name in self._strings(group, part)]
        if not keys or not all(name.isprintable() for name in names):
            raise self.error(f"{group.name!r} has no readable attribute {key}")
        return tuple(names)

    def weights_group(self) -> h5py.Group:
        return self.group(self.file, "model_weights")

    def group(self, parent: h5py.Group, name: str) -> h5py.Group:
        found = self._member(parent, name)
        if not isinstance(found, h5py.Group):
            raise self.error(f"{name!r} in {parent.name!r} is not a group")
        return found

    def array(self, group: h5py.Group, name: str) -> npt.NDArray[np.generic]:
        found = self._member(group, name)
        where = f"{name!r} in {group.name!r}"
        if not isinstance(found, h5py.Dataset) or found.dtype.kind not in "fiu":
            raise self.error(f"{where} is not an array of numbers")
        if found.is_virtual or found.external:
            raise self.error(f"{where} is stored outside the file, which is not followed")
        filtered = found.id.get_create_plist().get_nfilters() > 0
        limit = MAX_INFLATED_BYTES if filtered else min(len(self.data), MAX_ARRAY_BYTES)
        size = math.prod(found.shape or (0,)) * found.dtype.itemsize
        if size > limit:
            raise self.error(f"{where} claims {size} bytes, the most it can have is {limit}")
        return np.asarray(found[()])

    def _member(self, group: h5py.Group, name: str) -> h5py.Group | h5py.Dataset:
        """The object under `name`, each `/` of which is a sub-group, without following a link."""
        found = group
        for part in name.split("/"):
            if not isinstance(found, h5py.Group) or not part or part not in found:
                raise self.error(f"{group.name!r} has no member {name!r}")
            if not isinstance(found.get(part, getlink=True), h5py.HardLink):
                raise self.error(f"{name!r} in {group.name!r} is a link, which is not followed")
            found = found[part]
        return found

    def _strings(
        self, group: h5py.Group, key: str, most: int = MAX_NAMES, longest: int = MAX_NAME_BYTES
    ) -> list[str]:
        """The texts in an attribute, whichever of the ways of h5py 2 and 3 they are stored in."""
        stored = group.attrs.get_id(key)
        count = math.prod(stored.shape)
        if count == 0:  # h5py 2 wrote an empty list as an array of float64
            return []
        kind = h5py.check_string_dtype(stored.dtype)
        if (
            kind is None
            or count > most
            or (kind.length or 0) > min(longest, MAX_JSON_BYTES // count)
        ):
            raise self.error(f"the attribute {key} of {group.name!r} is too large, or not of texts")
        if kind.length is None:
            texts = self._variable_texts(group, key, count, longest)
        else:
            texts = np.ravel(group.attrs[key]).tolist()
        return [text.decode("utf-8") for text in texts]

    def _variable_texts(self, group: h5py.Group, key: str, count: int, longest: int) -> list[bytes]:
        """An attribute of `count` texts of variable length: 4 bytes length, 8 heap, 4 index."""
        start = self._attribute_data(h5py.h5o.get_info(group.id).addr, key.encode())
        texts = []
        for position in range(start, start + 16 * count, 16):
            length, heap, index = self._unpack("<IQI", position)
            begin, size = self._heap(heap).get(index, (0, 0))
            if length > min(size, longest):
                raise self.error(f"damaged HDF5 file: a text of the attribute {key} is not there")
            texts.append(self.data[begin : begin + length])
        return texts

    def _attribute_data(self, header: int, key: bytes) -> int:
        """Where the data of an attribute begin: after its name, its type and its shape."""
        for message in self._attribute_messages(header):
            form, shared, *sizes = self._unpack("<BBHHH", message)
            name = message + (9 if form == 3 else 8)
            if self.data[name : name + len(key) + 1] == key + b"\0" and not (form > 1 and shared):
                return name + sum(_padded(size) if form == 1 else size for size in sizes)
        raise self.error(f"its attribute {key.decode()} is stored in a way not known here")

    def _attribute_messages(self, header: int) -> Iterator[int]:
        """The attributes in an object header, which is blocks of messages: type, size, flags, data.

        Type 12 is an attribute, type 16 leads to a further block. Version 2 has a signature.
        """
        if self.data[header : header + 4] == b"OHDR":
            (flags,) = self._unpack("<B", header + 5)
            start = header + 6 + (16 if flags & 32 else 0) + (4 if flags & 16 else 0)
            width = 1 << (flags & 3)
            blocks = [(start + width, int.from_bytes(self.data[start : start + width], "little"))]
            form, head, signature = "<BH", 6 if flags & 4 else 4, 4
        else:
            _, length = self._unpack("<B7xI", header)
            blocks = [(header + 16, length)]
            form, head, signature = "<HH", 8, 0
        for position, length in blocks:
            stop = position + length
            while position + head <= stop:
                kind, size = self._unpack(form, position)
                position += head
                if kind == 12:
                    yield position
                elif kind == 16:
                    start, length = self._unpack("<QQ", position)
                    blocks.append((start + signature, length - 2 * signature))
                position += size

    def _unpack(self, form: str, position: int) -> tuple[int, ...]:
        self.unpacked += 1
        if self.unpacked > MAX_UNPACKED:
            raise self.error("damaged HDF5 file: the records of its texts have no end")
        return struct.unpack_from(form, self.data, position)

    def _heap(self, address: int) -> dict[int, tuple[int, int]]:
        """Begin and size of each object in a global heap.

        A heap is `GCOL`, version 1, its size, and for each object an index (2 bytes; index 0 is
        free space and last), 6 bytes, the size (8 bytes) and the data, padded to 8 bytes.
        """
        if address in self.heaps:
            return self.heaps[address]
        objects: dict[int, tuple[int, int]] = {}
        if self.data[address : address + 5] == b"GCOL\x01":
            stop = min(address + self._unpack("<Q", address + 8)[0], len(self.data))
            position = address + 16
            while position + 16 <= stop:
                index, size = self._unpack("<H6xQ", position)
                position += 16
                if index == 0 or position + size > stop:
                    break
                objects[index] = (position, size)
                position += _padded(size)
        self.heaps[address] = objects
        return objects


def _padded(size: int) -> int:
    return -(-size // 8) * 8


@contextmanager
def _open_hdf5(path: str) -> Iterator[_Hdf5]:
    """The open file; whatever a damaged one makes h5py or struct raise is a `ModelFileError`."""
    try:
        with (
            open(path, "rb") as stream,
            mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as data,
            h5py.File(path, "r") as file,
        ):
            yield _Hdf5(path, file, data)
    except ModelFileError:
        raise
    except (OSError, RuntimeError, KeyError, ValueError, TypeError, struct.error) as error:
        raise ModelFileError(path, f"damaged HDF5 file: {error}") from error


def _read_hdf5(path: str) -> ModelFile:
    with _open_hdf5(path) as file:
        release = _release(path, file.text("keras_version"))
        config = file.text("model_config")
        if config is None:
            raise file.error(_why_no_architecture(file.file.attrs))
        weights = file.all_names()
    architecture = _decode(path, config, "its attribute model_config")
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

"""What `torch.save` wrote, read as data: the arrays by name; no code is run, torch is not needed.

Since torch 1.6 it is a zip archive with a pickle, and the numbers of each storage as one member;
before, four pickles and the storages one after the other.
"""

from __future__ import annotations

import os
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from io import BytesIO
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from normscope.errors import ModelFileError
from normscope.files.archive import inflated, member_bytes, open_archive, stored_place
from normscope.files.pickle import MAX_BYTES, Made, Name, Persistent, PickleError, read_pickle
from normscope.files.regular import open_regular
from normscope.files.stored_array import (
    ITEM_BYTES,
    MAX_RANK,
    StoredArray,
    from_bytes,
    reach,
    strided,
)

MAX_DEPTH = 20
MAX_INFLATED_BYTES = 2**28  # of all storages that are compressed
MAX_NAME = 1000
_LEGACY_PICKLES = 3  # before that of the arrays: a number, a version, the machine

_STORAGES = {
    **{"Float": "float32", "Double": "float64", "Half": "float16", "BFloat16": "bfloat16"},
    **{"Long": "int64", "Int": "int32", "Short": "int16", "Char": "int8", "Byte": "uint8"},
    **{"Bool": "bool", "ComplexFloat": "complex64", "ComplexDouble": "complex128"},
    "Untyped": "uint8",
}
_BUILDERS = {
    "torch._utils._rebuild_tensor": (4, None),
    "torch._utils._rebuild_tensor_v2": (6, None),
    "torch._utils._rebuild_tensor_v3": (7, 6),
}
"""What makes a tensor of a storage: how many arguments it has at least, and which is a dtype."""
_WRAPPERS = frozenset(
    ("torch._utils._rebuild_parameter", "torch._utils._rebuild_parameter_with_state")
)
"""What makes a tensor of another one, its first argument."""
_SUBCLASS = "torch._tensor._rebuild_from_type_v2"
"""What calls its first argument with its third, and makes it an object of its second."""


@dataclass
class Checkpoint:
    """What is in a checkpoint.

    Attributes:
        arrays: by name; those in a container in it have its name before theirs: "model.fc.weight".
        objects: the classes of objects in it, which are not looked into, and how many of each.
        module: the class of a module of torch that is pickled as a whole; "" if there is none.
    """

    arrays: dict[str, StoredArray] = field(default_factory=dict)
    objects: dict[str, int] = field(default_factory=dict)
    module: str = ""


Read = Callable[[str, int, int, str], NDArray[Any]]
"""Reads of a storage, by its key, from one number to another, of a dtype."""


def read_checkpoint(path: str) -> Checkpoint:
    """The arrays in a checkpoint; their numbers are read when they are asked for.

    Raises:
        ModelFileError: it cannot be read, or is damaged.
    """
    try:
        with open_regular(path) as stream:
            head = stream.read(4)
            found, read = (_zipped if head.startswith(b"PK") else _legacy)(path, stream)
    except OSError as error:
        raise ModelFileError(path, f"cannot be read: {error.strerror or error}") from error
    # what zipfile raises of damaged, encrypted or unknown members
    except (PickleError, zipfile.BadZipFile, EOFError, NotImplementedError) as error:
        raise ModelFileError(path, f"a damaged checkpoint: {error}") from error
    return _Walk(path, read).checkpoint(found)


# --- the two forms ------------------------------------------------------------------------------


def _zipped(path: str, stream: BinaryIO) -> tuple[object, Read]:
    archive = open_archive(stream)
    if archive is None:
        raise ModelFileError(path, "a damaged or very large zip archive")
    members = {member.filename: member for member in archive.infolist()}
    pickled = next((name for name in members if name.rpartition("/")[2] == "data.pkl"), None)
    if pickled is None or members[pickled].file_size > MAX_BYTES:
        raise ModelFileError(path, f"has no data.pkl of at most {MAX_BYTES} bytes")
    prefix = pickled.removesuffix("data.pkl")
    found = read_pickle(BytesIO(_member(stream, members[pickled])))
    order = members.get(f"{prefix}byteorder")
    little = order is None or _member(stream, order) != b"big"
    unpacked = _Inflated(path)

    def read(key: str, start: int, stop: int, dtype: str) -> NDArray[Any]:
        member = members.get(f"{prefix}data/{key}")
        item = ITEM_BYTES[dtype]
        if member is None or member.file_size < stop * item:
            raise ModelFileError(path, f"the storage {key!r:.40} is missing or too short")
        try:
            with open_regular(path) as again:
                if member.compress_type == zipfile.ZIP_STORED:
                    begin, _ = stored_place(again, member)
                    again.seek(begin + start * item)
                    data = again.read((stop - start) * item)
                else:
                    data = unpacked.of(again, member)[start * item : stop * item]
        except (zipfile.BadZipFile, OSError) as error:
            raise ModelFileError(
                path, f"the storage {key!r:.40} cannot be read: {error}"
            ) from error
        return from_bytes(path, data, dtype, little)

    return found, read


def _member(stream: BinaryIO, member: zipfile.ZipInfo) -> bytes:
    return member_bytes(stream, member, MAX_BYTES, checked=False)


class _Inflated:
    """Storages that are deflated, as where somebody packed an archive anew; bounded together."""

    def __init__(self, path: str) -> None:
        self.path = path
        self._left = MAX_INFLATED_BYTES
        self._last: tuple[str, bytes] = ("", b"")

    def of(self, stream: BinaryIO, member: zipfile.ZipInfo) -> bytes:
        """The bytes of a storage; the last one is kept, as arrays may share it.

        Raises:
            ModelFileError: all of them have too many bytes.
            BadZipFile: it is damaged.
        """
        if member.filename != self._last[0]:
            self._left -= member.file_size
            if self._left < 0:
                raise ModelFileError(
                    self.path,
                    f"its compressed arrays have more than {MAX_INFLATED_BYTES} bytes together; "
                    "unpack it, and store it without compression",
                )
            self._last = (member.filename, inflated(stream, member))
        return self._last[1]


def _legacy(path: str, stream: BinaryIO) -> tuple[object, Read]:
    stream.seek(0)
    start = BytesIO(stream.read(MAX_BYTES))
    for _ in range(_LEGACY_PICKLES):
        read_pickle(start)
    found, keys = read_pickle(start), read_pickle(start)
    if not isinstance(keys, list) or not all(isinstance(key, str | bytes) for key in keys):
        raise PickleError("no list of storages")
    places: dict[str, tuple[int, int]] = {}
    types = dict(_storages(found))
    place, size = start.tell(), stream.seek(0, os.SEEK_END)
    for key in map(_text, keys):
        stream.seek(place)
        count = int.from_bytes(stream.read(8), "little")
        place += 8
        item = ITEM_BYTES.get(types.get(key, ""), 0)
        if count * item > size - place or not item:
            raise PickleError("a storage is cut off")
        places[key] = (place, count)
        place += count * item

    def read(key: str, start: int, stop: int, dtype: str) -> NDArray[Any]:
        at, count = places.get(key, (0, 0))
        item = ITEM_BYTES[dtype]
        if stop > count:
            raise ModelFileError(path, f"the storage {key!r:.40} is missing or too short")
        with open_regular(path) as again:
            again.seek(at + start * item)
            return from_bytes(path, again.read((stop - start) * item), dtype)

    return found, read


def _storages(found: object) -> Iterator[tuple[str, str]]:
    """The storages that a pickle speaks of, with their dtypes."""
    for value in _everything(found):
        if isinstance(value, Persistent) and (storage := _storage(value)) is not None:
            yield storage


def _everything(root: object) -> Iterator[object]:
    """All values in a value, containers and what would be made included; each once."""
    seen: set[int] = set()
    stack = [root]
    while stack:
        value = stack.pop()
        if id(value) in seen:
            continue
        yield value
        if isinstance(value, dict | list | tuple | Made | Persistent):
            seen.add(id(value))
            stack += _parts(value)


def _parts(value: object) -> Iterator[object]:
    if isinstance(value, dict):
        yield from value.values()
    elif isinstance(value, list | tuple):
        yield from value
    elif isinstance(value, Made):
        yield from (value.arguments, value.state, value.elements, value.entries)


# --- from what a pickle says to arrays ----------------------------------------------------------


class _Walk:
    """The containers of a checkpoint, each looked into once."""

    def __init__(self, path: str, read: Read) -> None:
        self.path = path
        self.read = read
        self.found = Checkpoint()

    def checkpoint(self, root: object) -> Checkpoint:
        """All arrays in plain containers."""
        seen: set[int] = set()
        stack: list[tuple[str, object, int]] = [("", root, 0)]
        while stack:
            name, value, depth = stack.pop()
            array = self._array(value)
            if array is not None:
                self.found.arrays[name] = array
            elif isinstance(value, Made):
                self._object(value)
            elif isinstance(value, dict | list | tuple) and id(value) not in seen:
                seen.add(id(value))
                if depth == MAX_DEPTH:
                    raise ModelFileError(self.path, f"is nested more than {MAX_DEPTH} deep")
                inner = [(_joined(name, key), part, depth + 1) for key, part in _entries(value)]
                stack += reversed(inner)
        return self.found

    def _object(self, value: Made) -> None:
        kind = _kind(value)
        self.found.objects[kind] = self.found.objects.get(kind, 0) + 1
        if isinstance(value.state, dict) and {"_modules", "_parameters"} <= value.state.keys():
            self.found.module = self.found.module or kind

    def _array(self, value: object) -> StoredArray | None:
        """The array that a call would make; None for anything else."""
        for _ in range(4):  # a parameter of a tensor, of a subclass
            if not isinstance(value, Made) or not isinstance(value.arguments, tuple):
                return None
            arguments: tuple[Any, ...] = value.arguments
            if value.path in _BUILDERS:
                return self._tensor(arguments, *_BUILDERS[value.path])
            if value.path in _WRAPPERS and arguments:
                value = arguments[0]
            elif value.path == _SUBCLASS and len(arguments) > 2:
                value = Made(arguments[0], arguments[2])
            else:
                return None
        return None

    def _tensor(self, given: tuple[Any, ...], count: int, typed: int | None) -> StoredArray:
        storage = _storage(given[0]) if len(given) >= count else None
        place = None if storage is None else _sizes([given[1]])
        shape, strides = (None, None) if place is None else map(_sizes, given[2:4])
        if storage is None or place is None or shape is None or strides is None:
            raise ModelFileError(self.path, "a damaged checkpoint: a tensor without a storage")
        key, dtype = storage
        if typed is not None:  # by its own dtype, of a storage of bytes
            name = given[typed].path if isinstance(given[typed], Name) else ""
            dtype = name.removeprefix("torch.")
        (offset,) = place
        if len(shape) != len(strides) or dtype not in ITEM_BYTES:
            raise ModelFileError(self.path, f"a tensor of an unknown dtype, {dtype!r:.40}")
        spanned = reach(shape, strides)

        def numbers() -> NDArray[Any]:
            if spanned == 0:
                return np.zeros(shape, np.float32)
            row = self.read(key, offset, offset + spanned, dtype)
            if len(row) < spanned:
                raise ModelFileError(self.path, f"the storage {key!r:.40} is cut off")
            return strided(row, 0, shape, strides)

        return StoredArray(dtype, shape, numbers)


def _kind(value: Made) -> str:
    """The class of an object; before torch 1.6 it stood beside its source text."""
    match value.maker.id if isinstance(value.maker, Persistent) else None:
        case (_, Name() as kind, *_):
            return kind.path
    return value.path or "something unnamed"


def _storage(value: object) -> tuple[str, str] | None:
    """The key and the dtype of a storage."""
    match value.id if isinstance(value, Persistent) else None:
        case ("storage" | b"storage", Name() as kind, str() | bytes() as key, *_):
            name = kind.path.rpartition(".")[2].removesuffix("Storage")
            return (_text(key), _STORAGES[name]) if name in _STORAGES else None
    return None


def _sizes(value: object) -> tuple[int, ...] | None:
    """Lengths, a `torch.Size` of them too; None for anything else."""
    match value:
        case Made(arguments=(inner,)) if value.path == "torch.Size":
            value = inner
    if not isinstance(value, tuple | list) or len(value) > MAX_RANK:
        return None
    fits = all(type(item) is int and 0 <= item < 2**48 for item in value)
    return tuple(value) if fits else None


def _entries(container: Mapping[Any, object] | Sequence[object]) -> Iterator[tuple[str, object]]:
    if isinstance(container, Mapping):
        for key, value in container.items():
            if isinstance(key, str | bytes | int):
                yield _text(key), value
    else:
        yield from ((str(number), value) for number, value in enumerate(container))


def _joined(name: str, key: str) -> str:
    return (f"{name}.{key}" if name else key)[:MAX_NAME]


def _text(word: str | bytes | int) -> str:
    text = word[:MAX_NAME].decode("utf-8", "replace") if isinstance(word, bytes) else str(word)
    return text[:MAX_NAME]

"""What `torch.export.save` wrote (.pt2), read as data: the program as JSON, its tensors as bytes.

A .pt2 file is a zip archive: `models/model.json` is the program, `data/weights` and
`data/constants` hold its tensors, each a member of raw bytes, and a JSON that says their dtypes and
shapes. It may hold pickles too, of sample inputs and of what is no plain tensor: these are left
alone.
"""

from __future__ import annotations

import math
import mmap
import re
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, BinaryIO

from normscope.errors import ModelFileError
from normscope.files.archive import open_archive, stored_place
from normscope.files.json import decode_json
from normscope.files.regular import open_regular
from normscope.files.stored_array import ITEM_BYTES, MAX_RANK, reach

MAX_PROGRAM_BYTES = 2**27  # fifty thousand operators
MAX_REPEATED = 2**24  # numbers of a tensor whose storage has fewer
MAX_DEPTH = 400  # of branches in branches

DTYPES = {
    **{1: "uint8", 2: "int8", 3: "int16", 4: "int32", 5: "int64", 6: "float16", 7: "float32"},
    **{8: "float64", 9: "complex32", 10: "complex64", 11: "complex128", 12: "bool", 13: "bfloat16"},
    **{28: "uint16", 34: "uint32", 35: "uint64"},
    **{29: "float8_e4m3fn", 30: "float8_e5m2", 31: "float8_e4m3fnuz", 32: "float8_e5m2fnuz"},
    33: "float8_e8m0fnu",
}
"""The numbers of dtypes in the schema of torch.export, version 8."""

SCHEMA = 8
_STRIDED = 7


@dataclass(frozen=True, eq=False)
class StoredTensor:
    """A tensor in the file.

    Attributes:
        data: the bytes of its storage, which it may share with others.
        dtype: by its common name.
        shape, strides, offset: where its elements stand, in numbers, not in bytes; they lie within
            the data.
        trained: whether it is a parameter.
    """

    data: memoryview
    dtype: str
    shape: tuple[int, ...]
    strides: tuple[int, ...]
    offset: int
    trained: bool


@dataclass(frozen=True, eq=False)
class ExportedFile:
    """What is in a .pt2 file.

    Attributes:
        path: of the file.
        program: as in `models/model.json`.
        weights: parameters and buffers by name.
        constants: other tensors by name.
        left_out: the names of constants that are no plain tensors.
    """

    path: str
    program: Mapping[str, Any]
    weights: Mapping[str, StoredTensor]
    constants: Mapping[str, StoredTensor]
    left_out: tuple[str, ...]


def read_exported(path: str) -> ExportedFile:
    """The one program in a .pt2 file.

    Raises:
        ModelFileError: the file cannot be read, holds no program or several, or one of another
            version; or its tensors are pickled.
    """
    try:
        with open_regular(path) as stream:
            return _Archive(path, stream).read()
    except OSError as error:
        raise ModelFileError(path, f"cannot be read: {error.strerror or error}") from error
    # what zipfile raises of damaged, encrypted or unknown members
    except (zipfile.BadZipFile, EOFError, NotImplementedError, ValueError) as error:
        if isinstance(error, ModelFileError):
            raise
        raise ModelFileError(path, f"a damaged .pt2 archive: {error}") from error


class _Archive:
    def __init__(self, path: str, stream: BinaryIO) -> None:
        self.path = path
        self.stream = stream
        archive = open_archive(stream)
        if archive is None:
            raise self.error("a damaged or very large zip archive")
        self.archive = archive
        # all members are in one folder; what is outside of it is left alone
        self.members = {m.filename.partition("/")[2]: m for m in archive.infolist()}
        # private: writing to it changes no file, and torch takes only memory that can be written to
        self.memory = memoryview(mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_COPY))

    def error(self, reason: str) -> ModelFileError:
        """The error that names this file."""
        return ModelFileError(self.path, reason)

    def read(self) -> ExportedFile:
        """The program and its tensors."""
        names = [re.fullmatch(r"models/(\w{1,100})\.json", name) for name in self.members]
        models = [found[1] for found in names if found]
        if not models and any(name.startswith("data/aotinductor/") for name in self.members):
            raise self.error(
                "a package that AOTInductor compiled: machine code, which is not run; save the "
                "program itself with torch.export.save"
            )
        if len(models) != 1:
            raise self.error(
                f"holds {len(models)} exported programs in models/, and one is read"
                + ("" if models else "; torch.export.save of torch 2.8 and later writes it")
            )
        program = self._json(f"models/{models[0]}.json")
        version = program.get("schema_version")
        major = version.get("major") if isinstance(version, dict) else None
        if major != SCHEMA:
            raise self.error(
                f"is of version {major!r:.20} of the schema of torch.export, and {SCHEMA} is read; "
                "load it with torch.export.load and give what that returns"
            )
        left_out: list[str] = []
        weights = self._tensors("data/weights", f"{models[0]}_weights_config.json", None)
        constants = self._tensors("data/constants", f"{models[0]}_constants_config.json", left_out)
        return ExportedFile(self.path, program, weights, constants, tuple(left_out))

    def _json(self, name: str) -> dict[str, Any]:
        member = self.members.get(name)
        if member is None or member.file_size > MAX_PROGRAM_BYTES:
            raise self.error(f"has no {name} of at most {MAX_PROGRAM_BYTES} bytes")
        start, stop = stored_place(self.stream, member)
        value = decode_json(self.path, bytes(self.memory[start:stop]), name, max_depth=MAX_DEPTH)
        if not isinstance(value, dict):
            raise self.error(f"{name} is not an object")
        return value

    def _tensors(
        self, folder: str, config: str, left_out: list[str] | None
    ) -> dict[str, StoredTensor]:
        entries = self._json(f"{folder}/{config}").get("config")
        if not isinstance(entries, dict):
            raise self.error(f"{config} lists no tensors")
        found: dict[str, StoredTensor] = {}
        for name, entry in entries.items():
            if not isinstance(entry, dict) or not isinstance(entry.get("path_name"), str):
                raise self.error(f"{config} says nothing of {name!r:.60}")
            if entry.get("use_pickle") is not False or entry.get("tensor_meta") is None:
                if left_out is None:
                    raise self.error(
                        f"the weight {name!r:.60} is pickled, and loading a pickle runs code; if "
                        "you trust the file, give what torch.export.load makes of it"
                    )
                left_out.append(name)
                continue
            found[name] = self._tensor(name, folder, entry)
        return found

    def _tensor(self, name: str, folder: str, entry: Mapping[str, Any]) -> StoredTensor:
        meta = entry["tensor_meta"]
        try:
            dtype = DTYPES[meta["dtype"]]
            shape, strides = (tuple(map(_size, meta[key])) for key in ("sizes", "strides"))
            offset = _size(meta["storage_offset"])
            fits = len(shape) == len(strides) <= MAX_RANK and meta["layout"] == _STRIDED
        except (KeyError, TypeError, ValueError) as error:
            raise self.error(f"the tensor {name!r:.60} has no dtype and shape") from error
        # a name leads to a member of the archive, and nowhere else
        member = self.members.get(f"{folder}/{entry['path_name']}")
        if member is None:
            raise self.error(f"the tensor {name!r:.60} is missing")
        start, stop = stored_place(self.stream, member)
        if not fits or (offset + reach(shape, strides)) * ITEM_BYTES[dtype] > stop - start:
            raise self.error(f"the tensor {name!r:.60} does not fit its bytes")
        count = math.prod(shape)
        if count > max(MAX_REPEATED, (stop - start) // ITEM_BYTES[dtype]):
            raise self.error(f"the tensor {name!r:.60} repeats its numbers {count} times")
        data = self.memory[start:stop]
        trained = entry.get("is_param") is True
        return StoredTensor(data, dtype, shape, strides, offset, trained)


def _size(value: Any) -> int:
    size = value["as_int"]
    if type(size) is not int or not 0 <= size < 2**48:
        raise ValueError("no size")
    return size

"""Safetensors files: a header in JSON, then the numbers; read bounded, by NumPy alone.

The format is at https://github.com/huggingface/safetensors: 8 bytes length of the header, an object
`{name: {"dtype", "shape", "data_offsets"}}`, and the bytes that it speaks of.
"""

from __future__ import annotations

import os
from math import prod
from typing import Any, TypeGuard

import numpy as np

from normscope.errors import ModelFileError
from normscope.files.json import decode_json
from normscope.files.regular import open_regular
from normscope.files.stored_array import ITEM_BYTES, MAX_RANK, StoredArray, from_bytes

MAX_HEADER_BYTES = 2**25
MAX_ARRAYS = 500_000

_DTYPES = {
    "BOOL": "bool",
    "BF16": "bfloat16",
    **{f"F{bits}": f"float{bits}" for bits in (16, 32, 64)},
    **{f"I{bits}": f"int{bits}" for bits in (8, 16, 32, 64)},
    **{f"U{bits}": f"uint{bits}" for bits in (8, 16, 32, 64)},
    "C64": "complex64",
    "F8_E4M3": "float8_e4m3fn",
    "F8_E5M2": "float8_e5m2",
    "F8_E8M0": "float8_e8m0fnu",
}


def read_safetensors(path: str) -> dict[str, StoredArray]:
    """The arrays of a file, by name; their numbers are read when they are asked for.

    Raises:
        ModelFileError: the file cannot be read, or its header does not fit it.
    """
    try:
        with open_regular(path) as stream:
            size = stream.seek(0, os.SEEK_END)
            stream.seek(0)
            length = int.from_bytes(stream.read(8), "little")
            if length > min(MAX_HEADER_BYTES, size - 8):
                raise ModelFileError(
                    path, f"its header should have {length} bytes, which is more than there can be"
                )
            text = stream.read(length)
    except OSError as error:
        raise ModelFileError(path, f"cannot be read: {error.strerror or error}") from error
    header = decode_json(path, text, "the header")
    if not isinstance(header, dict) or len(header) > MAX_ARRAYS:
        raise ModelFileError(path, "the header is not an object of arrays by name")
    return {
        name: _array(path, name, entry, 8 + length, size)
        for name, entry in header.items()
        if name != "__metadata__"
    }


def _array(path: str, name: str, entry: object, start: int, size: int) -> StoredArray:
    if not isinstance(entry, dict):
        raise ModelFileError(path, f"{name!r:.60} is not described by an object")
    dtype, shape = _DTYPES.get(str(entry.get("dtype"))), entry.get("shape")
    place = entry.get("data_offsets")
    if dtype is None or not _are_sizes(shape) or not _are_sizes(place) or len(place) != 2:
        raise ModelFileError(path, f"{name!r:.60} has no dtype, shape and place that are known")
    begin, end = place
    if not begin <= end <= size - start or prod(shape) * ITEM_BYTES[dtype] != end - begin:
        raise ModelFileError(path, f"{name!r:.60} does not fit the bytes of the file")

    def numbers() -> np.ndarray[Any, Any]:
        with open_regular(path) as stream:
            stream.seek(start + begin)
            data = stream.read(end - begin)
        return from_bytes(path, data, dtype).reshape(shape)

    return StoredArray(dtype, tuple(shape), numbers)


def _are_sizes(value: object) -> TypeGuard[list[int]]:
    return (
        isinstance(value, list)
        and len(value) <= MAX_RANK
        and all(type(item) is int and 0 <= item < 2**48 for item in value)
    )

"""Arrays of NumPy in files (.npy, .npz), read bounded; nothing in them is unpickled.

The format is that of `numpy.lib.format`: a signature, a version, the length of a header, the header
as a dict of Python, and the numbers.
"""

from __future__ import annotations

import ast
import os
import re
import zipfile
import zlib
from collections.abc import Mapping
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from normscope.errors import ModelFileError
from normscope.files.archive import member_bytes, open_archive
from normscope.files.regular import open_regular
from normscope.wording import counted, listed

MAGIC = b"\x93NUMPY"
MAX_HEADER_BYTES = 10_000
MAX_RANK = 64
MAX_ARRAYS = 1000
MAX_INFLATED_BYTES = 2**26
"""Of all arrays of an archive that are compressed."""

_LENGTH_BYTES = {1: 2, 2: 4, 3: 4}
_OF_PYTHON_2 = re.compile(r"(\d)L\b")


def read_npy(path: str) -> NDArray[Any]:
    """The array of a file.

    Raises:
        ModelFileError: it cannot be read, or holds no numbers, or several arrays.
    """
    arrays = read_arrays(path)
    if len(arrays) != 1:
        found = f": {listed(list(arrays)[:6])}" if arrays else ""
        raise ModelFileError(path, f"holds {counted(len(arrays), 'array')}{found}; give one")
    (array,) = arrays.values()
    return array


def read_arrays(path: str) -> dict[str, NDArray[Any]]:
    """The arrays of a file by name; that of an .npy file has none.

    Raises:
        ModelFileError: it cannot be read, or holds other things than numbers.
    """
    try:
        with open_regular(path) as stream:
            if stream.read(2) == b"PK":
                return _of_archive(path, stream)
            stream.seek(0)
            head = stream.read(len(MAGIC) + 6 + MAX_HEADER_BYTES)
            dtype, shape, fortran, start = _header(path, head)
            size = stream.seek(0, os.SEEK_END)
            _check_size(path, dtype, shape, size - start)
            stream.seek(start)
            data = stream.read(prod(shape) * dtype.itemsize)
            return {"": _array(path, data, dtype, shape, fortran)}
    except OSError as error:
        raise ModelFileError(path, f"cannot be read: {error.strerror or error}") from error
    # what zipfile raises of damaged, encrypted or unknown members
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError) as error:
        raise ModelFileError(path, f"a damaged .npz archive: {error}") from error


def _of_archive(path: str, stream: Any) -> dict[str, NDArray[Any]]:
    archive = open_archive(stream)
    if archive is None:
        raise ModelFileError(path, "a damaged or very large zip archive")
    members = [member for member in archive.infolist() if not member.is_dir()]
    if len(members) > MAX_ARRAYS:
        raise ModelFileError(path, f"holds more than {MAX_ARRAYS} arrays")
    found: dict[str, NDArray[Any]] = {}
    left = MAX_INFLATED_BYTES
    for member in members:
        data = member_bytes(stream, member, left)
        if member.compress_type != zipfile.ZIP_STORED:
            left -= len(data)
        dtype, shape, fortran, start = _header(path, data)
        _check_size(path, dtype, shape, len(data) - start)
        name = member.filename.removesuffix(".npy")
        found[name] = _array(path, data[start:], dtype, shape, fortran)
    return found


def _header(path: str, head: bytes) -> tuple[np.dtype[Any], tuple[int, ...], bool, int]:
    """Dtype, shape, whether the first axis runs fastest, and where the numbers begin."""
    if not head.startswith(MAGIC) or len(head) < len(MAGIC) + 2:
        raise ModelFileError(path, "no array of NumPy: it has not the first bytes of one")
    version = head[len(MAGIC)]
    width = _LENGTH_BYTES.get(version)
    if width is None:
        raise ModelFileError(path, f"an array of NumPy of version {version}, which is not known")
    begin = len(MAGIC) + 2 + width
    length = int.from_bytes(head[begin - width : begin], "little")
    if length > min(MAX_HEADER_BYTES, len(head) - begin):
        raise ModelFileError(path, f"its header should have {length} bytes, more than there can be")
    text = head[begin : begin + length].decode("utf-8" if version == 3 else "latin-1", "replace")
    try:
        said = ast.literal_eval(_OF_PYTHON_2.sub(r"\1", text).strip())
    # whatever the parser of Python raises of a text that anybody wrote
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError) as error:
        raise ModelFileError(path, "its header is not one of NumPy") from error
    if not isinstance(said, Mapping) or said.keys() != {"descr", "fortran_order", "shape"}:
        raise ModelFileError(path, "its header does not say dtype, order and shape")
    shape, fortran = said["shape"], said["fortran_order"]
    sizes = isinstance(shape, tuple) and len(shape) <= MAX_RANK
    if not sizes or not all(type(n) is int and 0 <= n < 2**48 for n in shape):
        raise ModelFileError(path, f"its header says no shape of an array: {shape!r:.60}")
    if not isinstance(fortran, bool):
        raise ModelFileError(path, f"its header says no order of axes: {fortran!r:.60}")
    return _dtype(path, said["descr"]), shape, fortran, begin + length


def _dtype(path: str, descr: object) -> np.dtype[Any]:
    try:
        dtype = np.dtype(descr) if isinstance(descr, str) and len(descr) < 20 else np.dtype(object)
    except (TypeError, ValueError):
        dtype = np.dtype(object)
    if dtype.kind not in "fiubc":
        raise ModelFileError(path, f"no array of numbers: its dtype is {descr!r:.40}")
    return dtype


def _check_size(path: str, dtype: np.dtype[Any], shape: tuple[int, ...], there: int) -> None:
    wanted = prod(shape) * dtype.itemsize
    if wanted > there:
        raise ModelFileError(
            path, f"its shape is {shape}, which takes {wanted} bytes, and {there} are there"
        )


def _array(
    path: str, data: bytes, dtype: np.dtype[Any], shape: tuple[int, ...], fortran: bool
) -> NDArray[Any]:
    count = prod(shape)
    if len(data) < count * dtype.itemsize:
        raise ModelFileError(path, "is cut off")
    numbers = np.frombuffer(data, dtype, count)
    if any(length > 2**31 for length in shape):  # of an array without elements
        raise ModelFileError(path, f"its header says no shape of an array: {shape}")
    ordered = numbers.reshape(shape[::-1]).T if fortran else numbers.reshape(shape)
    return ordered.astype(dtype.newbyteorder("="))

"""`StoredArray`: an array in a file of weights, whose numbers are read when they are asked for."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import as_strided
from numpy.typing import NDArray

from normscope.errors import ModelFileError

ITEM_BYTES = {
    **{name: np.dtype(name).itemsize for name in ("float16", "float32", "float64", "bool")},
    **{f"{sign}int{bits}": bits // 8 for sign in ("", "u") for bits in (8, 16, 32, 64)},
    **{"bfloat16": 2, "complex32": 4, "complex64": 8, "complex128": 16},
    **{f"float8_{form}": 1 for form in ("e4m3fn", "e5m2", "e4m3fnuz", "e5m2fnuz", "e8m0fnu")},
}
"""The dtypes of stored arrays, and how many bytes a number takes."""

MAX_RANK = 64


@dataclass(frozen=True)
class StoredArray:
    """An array in a file.

    Attributes:
        dtype: by its common name: "float32", "bfloat16".
        shape: its shape.
        numbers: reads it; bfloat16 comes as float32. It raises a `ModelFileError` where the file is
            cut off, or where NumPy has no such dtype.
    """

    dtype: str
    shape: tuple[int, ...]
    numbers: Callable[[], NDArray[Any]]

    @property
    def size(self) -> int:
        """The number of elements."""
        return prod(self.shape)

    @property
    def is_float(self) -> bool:
        """Whether it holds real floating-point numbers that can be read."""
        return self.dtype in ("float16", "bfloat16", "float32", "float64")


def from_bytes(path: str, data: bytes, dtype: str, little: bool = True) -> NDArray[Any]:
    """The numbers in some bytes, as one row.

    Raises:
        ModelFileError: NumPy has no such dtype.

    >>> from_bytes("m", bytes([0, 63, 128, 63]), "bfloat16")
    array([0.5, 1. ], dtype=float32)
    """
    if dtype == "bfloat16":
        halves = from_bytes(path, data, "uint16", little).astype(np.uint32)
        return (halves << 16).view(np.float32)
    if dtype.startswith("float8") or dtype == "complex32":
        raise ModelFileError(path, f"numbers of dtype {dtype} cannot be read")
    native = np.dtype(dtype)
    return np.frombuffer(data, native.newbyteorder("<" if little else ">")).astype(native)


def strided(
    row: NDArray[Any], offset: int, shape: Sequence[int], strides: Sequence[int]
) -> NDArray[Any]:
    """The array of a shape in a row of numbers, which must reach as far; a copy."""
    item = row.itemsize
    steps = [step * item for step in strides]
    return as_strided(row[offset:], shape, steps, writeable=False).copy()


def reach(shape: Sequence[int], strides: Sequence[int]) -> int:
    """How many numbers of a row an array of these strides spans.

    >>> reach((2, 3), (10, 1)), reach((0, 3), (3, 1)), reach((), ())
    (13, 0, 1)
    """
    if 0 in shape:
        return 0
    return 1 + sum((size - 1) * step for size, step in zip(shape, strides, strict=True))

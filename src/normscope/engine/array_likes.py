"""What is one array, whichever library it comes from, and reading parts of it.

An array has a shape. It may lie in a file (h5py, zarr, netCDF), on a device or anywhere else, and
it may be iterable as well: its rows are not what is meant then.
"""

from __future__ import annotations

import operator
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from normscope.errors import DtypeError

Array = NDArray[Any]

_INTERFACES = ("__array__", "__array_interface__", "__array_struct__")


def called(value: object) -> str:
    """The type of a value as a user calls it, with the library it comes from."""
    kind = type(value)
    library = kind.__module__.partition(".")[0]
    return kind.__qualname__ if library == "builtins" else f"{library}.{kind.__qualname__}"


def array_like(value: object) -> Any:
    """What `shape_of` and `read` take, if the value is one array; None if it is anything else.

    Raises:
        DtypeError: it is an array without a shape, such as an empty dataset of HDF5.

    Example:
        >>> array_like([np.zeros(3)]) is None, shape_of(array_like(memoryview(b"abc")))
        (True, (3,))
    """
    if isinstance(value, str | bytes | bytearray | Mapping):
        return None
    if isinstance(value, memoryview):
        return np.asarray(value)
    if _sizes(value) is not None and hasattr(value, "__getitem__"):
        return value
    if hasattr(value, "dtype") and getattr(value, "shape", ()) is None:
        raise DtypeError(f"this {called(value)} is empty: it has no shape")
    if not any(hasattr(value, name) for name in _INTERFACES) and not _is_buffer(value):
        return None
    try:
        found = np.asarray(value)
    except (TypeError, ValueError, RuntimeError) as error:
        raise DtypeError(f"a {called(value)} cannot be read as an array: {_short(error)}") from None
    return found


def _is_buffer(value: object) -> bool:
    try:
        memoryview(value)  # type: ignore[arg-type]  # what is none ends in TypeError
    except TypeError:
        return False
    return True


def _sizes(value: Any) -> tuple[int, ...] | None:
    try:
        return tuple(operator.index(size) for size in value.shape)
    except (AttributeError, TypeError):
        return None


def shape_of(array: Any) -> tuple[int, ...]:
    """The shape of an `array_like`."""
    return _sizes(array) or ()


def chunk_of(array: Any) -> tuple[int, ...] | None:
    """The shape of what is stored together, which is read at a time; None where none is said."""
    chunks: Any = getattr(array, "chunks", None)
    try:  # xarray has the lengths of all chunks along each axis
        found = tuple(max(c) if isinstance(c, tuple) else operator.index(c) for c in chunks)
    except (TypeError, ValueError):
        return None
    fits = len(found) == len(shape_of(array)) and all(n > 0 for n in found)
    return found if fits else None


def itemsize_of(array: Any) -> int:
    """Bytes of an element; 8 where the array does not say."""
    dtype = getattr(array, "dtype", None)
    size = getattr(dtype, "itemsize", None) or getattr(dtype, "size", None)
    return size if isinstance(size, int) and size > 0 else 8


def _short(error: Exception) -> str:
    """The first sentence of what a library says, which may go on for a page."""
    return str(error).partition("\n")[0].partition(". ")[0][:200]


def read(array: Any, index: tuple[slice, ...]) -> Array:
    """A part of an `array_like` as a NumPy array, which may be masked.

    Raises:
        DtypeError: it cannot be read, or is something else than that part.
    """
    wanted = tuple(part.stop - part.start for part in index)
    source = getattr(array, "iloc", array)  # pandas reads by position there
    try:
        found = source[index]
        if hasattr(found, "detach"):  # torch: the numbers alone, from whichever device
            found = found.detach().cpu()
            if str(found.dtype) == "torch.bfloat16":  # which NumPy does not have
                found = found.float()
        if not isinstance(found, np.ndarray):
            found = np.asarray(found)
    # whatever a library raises that cannot slice its arrays, as sparse ones or tables cannot
    except (TypeError, ValueError, IndexError, KeyError, NotImplementedError) as error:
        raise DtypeError(f"a {called(array)} cannot be read in parts: {_short(error)}") from None
    if found.shape != wanted:
        raise DtypeError(
            f"a part of shape {wanted} of a {called(array)} was read with shape {found.shape}: "
            "give a NumPy array, or anything that is indexed as one"
        )
    return found if isinstance(found, np.ma.MaskedArray) else np.asarray(found)

"""Arrays as kernels can read them: native, aligned, not overwritten while they are read."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from normscope.layout import Layout

Array = NDArray[Any]


def address(array: Array) -> int:
    """Where the first element of an array lies."""
    found: int = array.__array_interface__["data"][0]
    return found


def parameter_dtype(dtype: np.dtype[Any], *values: ArrayLike | None) -> np.dtype[Any]:
    """float32 if x and the parameters have no more precision than that, else float64."""
    narrow = ("float32", "float16", "bfloat16")
    names = [np.asarray(v).dtype.name for v in values if v is not None]
    if dtype.name in narrow and all(name in narrow for name in names):
        return np.dtype(np.float32)
    return np.dtype(np.float64)


def written_out(
    layout: Layout, axes: tuple[int, ...], array: Array, wanted: tuple[int, ...]
) -> Array:
    """A parameter along `axes`, repeated so that it lies along the axes `wanted`."""
    place = layout.place(axes)
    sizes = layout.known_sizes
    spread = np.transpose(array, place.order).reshape(place.broadcast)
    full = [size if i in wanted or i in axes else 1 for i, size in enumerate(sizes)]
    rest = [i for i in range(len(sizes)) if i not in wanted]
    return np.transpose(np.broadcast_to(spread, full), (*wanted, *rest))


def is_native(array: Array) -> bool:
    """Whether a kernel can read the array as it lies in memory."""
    return array.dtype.isnative and steps_in_elements(array)


def steps_in_elements(array: Array) -> bool:
    """Whether a kernel can address the array: aligned, and strides of whole elements."""
    return array.flags.aligned and all(s % array.itemsize == 0 for s in array.strides)


def as_plain(array: Array) -> Array:
    """The array, without a subclass."""
    return array if type(array) is np.ndarray else array.view(np.ndarray)


def readable(array: Array, out: Array | None) -> Array:
    """The array, or a copy of one that kernels cannot read or that `out` would overwrite."""
    if not is_native(array):
        return np.array(array, array.dtype.newbyteorder("="), subok=False)
    if out is not None and array is not out and np.may_share_memory(array, out):
        same = array.strides == out.strides and address(array) == address(out)
        if not same:
            return array.copy()
    return array

"""Arrays as kernels can read them: native, aligned, not overwritten while they are read."""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from normscope.notation.layout import Layout

Array = NDArray[Any]


class Kind(Protocol):
    """What is asked of a dtype: NumPy has none for bfloat16 by itself."""

    @property
    def name(self) -> str:
        """One of `normscope.kernels.contract.DTYPES`."""

    @property
    def itemsize(self) -> int:
        """Bytes of an element."""

    def __hash__(self) -> int: ...


SHORT = 2048
"""Parameters of at most so many elements stay in cache as float64, which saves their conversion,"""
FEW = 1 << 14
"""unless x has no more elements than this: then the kernel has little to convert."""


def parameter_dtype(
    dtype: Kind, size: int, elements: int, *values: ArrayLike | None
) -> np.dtype[Any]:
    """How parameters of up to `size` elements lie in memory, for an x of so many elements.

    float32 if x and they have no more precision than that, unless their conversion once, by NumPy,
    costs less than that of each use; else float64.
    """
    if size <= SHORT and elements > FEW:
        return np.dtype(np.float64)
    narrow = ("float32", "float16", "bfloat16")
    names = [np.asarray(v).dtype.name for v in values if v is not None]
    if dtype.name in narrow and all(name in narrow for name in names):
        return np.dtype(np.float32)
    return np.dtype(np.float64)


def is_plain(values: object) -> bool:
    """Whether these are an array of floats as kernels read parameters, but for the dtype."""
    return (
        type(values) is np.ndarray
        and values.flags.c_contiguous
        and values.flags.aligned
        and values.dtype.kind == "f"
        and values.dtype.isnative
    )


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


def memory_order(array: Array) -> tuple[int, ...]:
    """The axes from the outermost in memory to the innermost, as `np.empty_like` lays them out."""
    return tuple(sorted(range(array.ndim), key=lambda axis: (-abs(array.strides[axis]), axis)))


def unless_in_order(axes: tuple[int, ...]) -> tuple[int, ...] | None:
    """These axes; None if they are in their order, as they mostly are."""
    return None if axes == tuple(range(len(axes))) else axes


def dense_strides(shape: tuple[int, ...], order: tuple[int, ...], itemsize: int) -> tuple[int, ...]:
    """The strides, in bytes, of an array without gaps whose axes lie in memory in this order."""
    strides = [0] * len(shape)
    step = itemsize
    for axis in reversed(order):
        strides[axis] = step
        step *= max(1, shape[axis])
    return tuple(strides)


def as_plain(array: Array) -> Array:
    """The array, without a subclass."""
    return array if type(array) is np.ndarray else array.view(np.ndarray)


def readable(array: Array, out: Array | None) -> Array:
    """The array, or a copy of one that kernels cannot read or that `out` would overwrite."""
    if not is_native(array):
        return np.array(array, array.dtype.newbyteorder("="), subok=False)
    return apart(array, out)


def readable_strides(array: Array) -> tuple[int, ...]:
    """The strides of what `readable(array, None)` gives."""
    if is_native(array):
        return array.strides
    return dense_strides(array.shape, memory_order(array), array.itemsize)


def apart(array: Array, out: Array | None) -> Array:
    """The array, or a copy of one that `out` overlaps; if it is the very same, nothing is lost."""
    if out is None or array is out or not np.may_share_memory(array, out):
        return array
    one, other = (a.__array_interface__["data"] for a in (array, out))
    return array if array.strides == out.strides and one[0] == other[0] else array.copy()


def all_apart(out: object, x: Any, other: Any, mask: Any) -> tuple[Any, Any, Any]:
    """The arrays, or copies of those that `out` overlaps: a call is for what is really read.

    Args:
        out: what is written.
        x, other: of its shape; they may be the very same.
        mask: what counts.
    """
    if not isinstance(out, np.ndarray):
        return x, other, mask
    x, other = (apart(a, out) if isinstance(a, np.ndarray) else a for a in (x, other))
    if isinstance(mask, np.ndarray):
        mask = not_overwritten(mask, out)
    return x, other, mask


def not_overwritten(array: Array, out: Array | None) -> Array:
    """The array, or a copy of one that `out` would overwrite."""
    return array.copy() if out is not None and np.may_share_memory(array, out) else array

"""Arrays of any framework as NumPy arrays, and back into what the model was given."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from normscope.frameworks.registry import arrays_of
from normscope.frameworks.trees import Array, arrays_by_name
from normscope.sight.changes import Bools, changes

_HALF_EPS = {"float16": 2.0**-10, "bfloat16": 2.0**-7}


@dataclass(frozen=True)
class Values:
    """The numbers of one array at one moment, and the machine epsilon of its dtype."""

    array: Array
    eps: float

    @property
    def shape(self) -> tuple[int, ...]:
        """Of the array."""
        return self.array.shape

    def changed(self, other: Values) -> Bools:
        """Which elements differ by more than rounding; all, where the shape differs."""
        if self.shape != other.shape:
            return np.ones(self.shape, bool)
        with np.errstate(invalid="ignore"):  # infinities are compared too
            return changes(self.array, other.array, self.eps)


def values_of(leaf: Any) -> Values:
    """A copy of an array's numbers, in double precision.

    >>> values_of(np.float32([1, 2])).array
    array([1., 2.])
    """
    eps = _HALF_EPS.get(_dtype_name(leaf), 0.0)
    array = to_numpy(leaf)
    if not eps and array.dtype.kind in "fc":
        eps = float(np.finfo(array.dtype).eps)
    wide = np.complex128 if array.dtype.kind == "c" else np.float64
    return Values(np.array(array, wide), eps or float(np.finfo(np.float32).eps))


def all_values(tree: Any, name: str) -> dict[str, Values]:
    """The numbers of every array in a nested value, by the path to it."""
    return {path: values_of(leaf) for path, leaf in arrays_by_name(tree, name)}


def to_numpy(leaf: Any) -> Array:
    """A copy of an array of any framework, in NumPy; half precisions as float32, which holds them.

    >>> to_numpy(np.float16([1, 2])).dtype
    dtype('float32')
    """
    home = arrays_of(leaf)
    array: Array = np.array(leaf) if home is None else home.to_numpy(leaf)
    half = array.dtype.kind == "f" and array.itemsize < 4
    return array.astype(np.float32) if half or array.dtype.kind not in "biufc" else array


def like(original: Any, value: Array) -> Any:
    """New values in the type, dtype and place of an array; the model may overwrite them.

    >>> like(np.zeros(2, np.int32), np.array([3.0, 4.0]))
    array([3, 4], dtype=int32)
    """
    home = arrays_of(original)
    return np.array(value).astype(original.dtype) if home is None else home.like(original, value)


def _dtype_name(leaf: Any) -> str:
    dtype = getattr(leaf, "dtype", None)
    return str(getattr(dtype, "name", dtype)).removeprefix("torch.")

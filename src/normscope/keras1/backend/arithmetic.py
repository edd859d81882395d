"""Element by element, reductions and products."""

from __future__ import annotations

import string
from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

from normscope.errors import SpecError
from normscope.keras1.live.layers.base import Tensor

# the names that Keras 1 gave them
__all__ = [
    "abs",
    "all",
    "any",
    "argmax",
    "argmin",
    "batch_dot",
    "cast",
    "clip",
    "cos",
    "dot",
    "equal",
    "exp",
    "greater",
    "greater_equal",
    "lesser",
    "lesser_equal",
    "log",
    "max",
    "maximum",
    "mean",
    "min",
    "minimum",
    "not_equal",
    "ones_like",
    "pow",
    "prod",
    "round",
    "sign",
    "sin",
    "sqrt",
    "square",
    "std",
    "sum",
    "transpose",
    "var",
    "zeros_like",
]

Axis = int | Sequence[int] | None

abs = ops.abs
cos = ops.cos
equal = ops.equal
exp = ops.exp
greater = ops.greater
greater_equal = ops.greater_equal
lesser = ops.less
lesser_equal = ops.less_equal
log = ops.log
maximum = ops.maximum
minimum = ops.minimum
not_equal = ops.not_equal
round = ops.round
sign = ops.sign
sin = ops.sin
square = ops.square


def sqrt(x: Tensor) -> Tensor:
    """The root, of numbers below 0 as of 0.

    >>> float(sqrt(ops.convert_to_tensor(-1.0)))
    0.0
    """
    return ops.sqrt(ops.maximum(x, 0))


def pow(x: Tensor, a: Any) -> Tensor:
    """X ** a."""
    return ops.power(x, a)


def clip(x: Tensor, min_value: float | None, max_value: float | None) -> Tensor:
    """x, at least min_value and at most max_value; of contradicting ones the former counts."""
    if max_value is not None and min_value is not None and max_value < min_value:
        max_value = min_value
    low = -float("inf") if min_value is None else min_value
    return ops.clip(x, low, float("inf") if max_value is None else max_value)


def cast(x: Tensor, dtype: str) -> Tensor:
    """X with another dtype."""
    return ops.cast(x, dtype)


def zeros_like(x: Tensor, dtype: str | None = None, name: str | None = None) -> Tensor:
    """Zeros in the shape of x."""
    return ops.zeros_like(x, dtype=dtype)


def ones_like(x: Tensor, dtype: str | None = None, name: str | None = None) -> Tensor:
    """Ones in the shape of x."""
    return ops.ones_like(x, dtype=dtype)


def _axes(axis: Axis) -> Any:
    return tuple(axis) if isinstance(axis, list) else axis


def _numbers(x: Tensor) -> Tensor:
    """Truth values as numbers."""
    return ops.cast(x, keras.config.floatx()) if _dtype(x) == "bool" else x


def _dtype(x: Any) -> str:
    name: str = keras.backend.standardize_dtype(x.dtype)
    return name


def max(x: Tensor, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """The largest value."""
    return ops.max(x, axis=_axes(axis), keepdims=keepdims)


def min(x: Tensor, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """The smallest value."""
    return ops.min(x, axis=_axes(axis), keepdims=keepdims)


def sum(x: Tensor, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """The sum."""
    return ops.sum(x, axis=_axes(axis), keepdims=keepdims)


def prod(x: Tensor, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """The product."""
    return ops.prod(x, axis=_axes(axis), keepdims=keepdims)


def mean(x: Tensor, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """The mean; of truth values the share of those that are true.

    >>> float(mean(ops.convert_to_tensor([True, False])))
    0.5
    """
    return ops.mean(_numbers(x), axis=_axes(axis), keepdims=keepdims)


def var(x: Tensor, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """The variance, divided by the number of values."""
    return ops.var(_numbers(x), axis=_axes(axis), keepdims=keepdims)


def std(x: Tensor, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """The root of `var`."""
    return ops.sqrt(var(x, axis, keepdims))


def any(x: Tensor, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """1 where any value is not 0, as uint8."""
    found = ops.any(ops.cast(x, "bool"), axis=_axes(axis), keepdims=keepdims)
    return ops.cast(found, "uint8")


def all(x: Tensor, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """1 where all values are not 0, as uint8."""
    found = ops.all(ops.cast(x, "bool"), axis=_axes(axis), keepdims=keepdims)
    return ops.cast(found, "uint8")


def argmax(x: Tensor, axis: int = -1) -> Tensor:
    """Where the largest value is."""
    return ops.argmax(x, axis=axis)


def argmin(x: Tensor, axis: int = -1) -> Tensor:
    """Where the smallest value is."""
    return ops.argmin(x, axis=axis)


def transpose(x: Tensor) -> Tensor:
    """The axes in reverse."""
    return ops.transpose(x)


def dot(x: Tensor, y: Tensor) -> Tensor:
    """The products of the last axis of x and the last but one of y, summed.

    >>> dot(ops.ones((2, 5, 3)), ops.ones((3, 4))).shape[-1]
    4
    """
    second = len(y.shape) - 2 if len(y.shape) > 1 else 0
    return ops.tensordot(x, y, axes=[[len(x.shape) - 1], [second]])


def batch_dot(x: Tensor, y: Tensor, axes: int | Sequence[int] | None = None) -> Tensor:
    """The products of an axis of x and one of y, summed for each sample; at least (batch, 1).

    Args:
        x, y: the batch is their axis 0.
        axes: one for both, or a pair; without it the last of x and the last but one of y.

    >>> batch_dot(ops.ones((2, 5, 3)), ops.ones((2, 3)), axes=[2, 1]).shape[1]
    5
    """
    ranks = len(x.shape), len(y.shape)
    if axes is None:
        axes = (ranks[0] - 1, ranks[1] - 2 if ranks[1] > 2 else ranks[1] - 1)
    first, second = (axes, axes) if isinstance(axes, int) else axes
    letters = iter(string.ascii_lowercase[2:])
    names = [["b", *(next(letters) for _ in range(rank - 1))] for rank in ranks]
    for name, axis in zip(names, (first, second), strict=True):
        if name[axis] == "b":
            raise SpecError("batch_dot sums another axis than that of the batch, 0")
        name[axis] = "a"
    rest = [letter for name in names for letter in name[1:] if letter != "a"]
    left, right = ("".join(name) for name in names)
    product = ops.einsum(f"{left},{right}->b{''.join(rest)}", x, y)
    return product if rest else ops.expand_dims(product, 1)

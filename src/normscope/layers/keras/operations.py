"""The operations of the formula in `keras.ops`: the same on TensorFlow, JAX and torch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from keras import ops
from keras.ops import (
    absolute as absolute,
    broadcast_to as broadcast_to,
    cast as cast,
    isfinite as isfinite,
    maximum as maximum,
    minimum as minimum,
    ones_like as ones_like,
    reshape as reshape,
    rsqrt as rsqrt,
    shape as shape,
    sqrt as sqrt,
    square as square,
    stack as stack,
    stop_gradient as stop_gradient,
    transpose as transpose,
    where as where,
)

from normscope.layers.common.operations import Tensor


def is_number(length: Any) -> bool:
    """Whether a length is known before the run."""
    return isinstance(length, int)


def statistics_dtype(x: Tensor) -> str:
    """The dtype in which statistics of such values are computed.

    >>> from keras import ops
    >>> statistics_dtype(ops.ones(2, "bfloat16")), statistics_dtype(ops.ones(2, "int32"))
    ('float32', 'float32')
    """
    return "float64" if "float64" in str(x.dtype) else "float32"


def sum(x: Tensor, axes: Sequence[int]) -> Tensor:
    """The sum over axes, in two steps: XLA is slow at the last axes together with earlier ones."""
    last_kept = max((i for i in range(len(x.shape)) if i not in axes), default=-1)
    before = tuple(i for i in axes if i < last_kept)
    after = tuple(i for i in axes if i > last_kept)
    for step in (before, after):
        x = ops.sum(x, axis=step, keepdims=True) if step else x
    return x


def mean(x: Tensor, axes: Sequence[int]) -> Any:
    """The mean over axes."""
    return ops.mean(x, axis=tuple(axes), keepdims=True)


def largest(x: Tensor, axes: Sequence[int]) -> Any:
    """The maximum over axes."""
    return ops.max(x, axis=tuple(axes), keepdims=True)


def smallest(x: Tensor, axes: Sequence[int]) -> Any:
    """The minimum over axes."""
    return ops.min(x, axis=tuple(axes), keepdims=True)

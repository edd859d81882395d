"""The operations of the formula in torch: all can be traced, transformed and differentiated."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import (
    Tensor,
    broadcast_to as broadcast_to,
    isfinite as isfinite,
    ones_like as ones_like,
    rsqrt as rsqrt,
    sqrt as sqrt,
    square as square,
    where as where,
)


def shape(x: Tensor) -> tuple[int, ...]:
    """The lengths of the axes."""
    return tuple(x.shape)


def is_number(length: object) -> bool:
    """Whether a length is an integer, or the `SymInt` that stands for one while traced."""
    return not isinstance(length, Tensor)


def statistics_dtype(x: Tensor) -> torch.dtype:
    """The dtype in which statistics of such values are computed.

    >>> statistics_dtype(torch.ones(2, dtype=torch.bfloat16))
    torch.float32
    """
    return torch.float64 if x.dtype == torch.float64 else torch.float32


def cast(x: Tensor, dtype: torch.dtype) -> Tensor:
    """`x` in a dtype."""
    return x if x.dtype == dtype else x.to(dtype)


def reshape(x: Tensor, shape: Sequence[int]) -> Tensor:
    """`x` in another shape."""
    return x.reshape(tuple(shape))


def transpose(x: Tensor, order: Sequence[int]) -> Tensor:
    """`x` with its axes in another order."""
    return x.permute(tuple(order))


def stack(tensors: Sequence[Tensor]) -> Tensor:
    """Tensors of one shape along a new first axis."""
    return torch.stack(list(tensors))


def sum(x: Tensor, axes: Sequence[int]) -> Tensor:
    """The sum over axes; torch takes none as all."""
    return x.sum(tuple(axes), keepdim=True) if axes else x


def mean(x: Tensor, axes: Sequence[int]) -> Tensor:
    """The mean over axes."""
    return x.mean(tuple(axes), keepdim=True) if axes else x


def largest(x: Tensor, axes: Sequence[int]) -> Tensor:
    """The maximum over axes."""
    return x.amax(tuple(axes), keepdim=True) if axes else x


def smallest(x: Tensor, axes: Sequence[int]) -> Tensor:
    """The minimum over axes."""
    return x.amin(tuple(axes), keepdim=True) if axes else x


def maximum(x: Tensor, y: Tensor | float) -> Tensor:
    """The larger of both."""
    return torch.maximum(x, y) if isinstance(y, Tensor) else x.clamp(min=y)


def minimum(x: Tensor, y: Tensor | float) -> Tensor:
    """The smaller of both."""
    return torch.minimum(x, y) if isinstance(y, Tensor) else x.clamp(max=y)


def absolute(x: Tensor) -> Tensor:
    """The magnitude."""
    return x.abs()


def stop_gradient(x: Tensor) -> Tensor:
    """`x` as a constant."""
    return x.detach()

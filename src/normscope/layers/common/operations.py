"""The operations that the formula is written in, as `keras.ops` has them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

Tensor = Any
"""A tensor of any framework."""


class Operations(Protocol):
    """What a framework must bring; a module of functions will do.

    `keepdims=True` is part of every reduction, and no axis reduces nothing.
    """

    def shape(self, x: Tensor, /) -> tuple[Any, ...]:
        """The lengths of the axes; tensors where they are not known before the run."""

    def is_number(self, length: Any, /) -> bool:
        """Whether a length, or a product of lengths, is a number and not a tensor."""

    def statistics_dtype(self, x: Tensor, /) -> Any:
        """The dtype in which the statistics of `x` are computed: float32 or wider."""

    def cast(self, x: Tensor, dtype: Any, /) -> Tensor:
        """`x` in a dtype."""

    def reshape(self, x: Tensor, shape: Sequence[Any], /) -> Tensor:
        """`x` in another shape."""

    def transpose(self, x: Tensor, order: Sequence[int], /) -> Tensor:
        """`x` with its axes in another order."""

    def broadcast_to(self, x: Tensor, shape: Sequence[Any], /) -> Tensor:
        """`x` repeated along axes of length 1."""

    def stack(self, tensors: Sequence[Tensor], /) -> Tensor:
        """Tensors of one shape along a new first axis."""

    def sum(self, x: Tensor, axes: Sequence[int], /) -> Tensor:
        """The sum over axes, which stay with length 1."""

    def mean(self, x: Tensor, axes: Sequence[int], /) -> Tensor:
        """The mean over axes."""

    def largest(self, x: Tensor, axes: Sequence[int], /) -> Tensor:
        """The maximum over axes."""

    def smallest(self, x: Tensor, axes: Sequence[int], /) -> Tensor:
        """The minimum over axes."""

    def where(self, condition: Tensor, x: Tensor, y: Tensor, /) -> Tensor:
        """`x` where the condition holds, else `y`; either may be a number."""

    def isfinite(self, x: Tensor, /) -> Tensor:
        """Where `x` is neither NaN nor infinite."""

    def maximum(self, x: Tensor, y: Tensor, /) -> Tensor:
        """The larger of both; NaN if one is; `y` may be a number."""

    def minimum(self, x: Tensor, y: Tensor, /) -> Tensor:
        """The smaller of both."""

    def absolute(self, x: Tensor, /) -> Tensor:
        """The magnitude."""

    def square(self, x: Tensor, /) -> Tensor:
        """The square."""

    def sqrt(self, x: Tensor, /) -> Tensor:
        """The square root."""

    def rsqrt(self, x: Tensor, /) -> Tensor:
        """One over the square root."""

    def ones_like(self, x: Tensor, /) -> Tensor:
        """Ones of the shape and dtype of `x`."""

    def stop_gradient(self, x: Tensor, /) -> Tensor:
        """`x` as a constant."""

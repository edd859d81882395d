"""The locally connected layers of Keras 1.2.2: a convolution with a kernel for each position.

Theano did not turn these kernels.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import Any, ClassVar

import keras
from keras import ops

from normscope.keras1.live.layers import activations, initializers
from normscope.keras1.live.layers.base import Shape, Tensor, one_of, registered
from normscope.keras1.live.layers.kernel import KernelLayer, sequence_shape
from normscope.keras1.live.layers.ordering import (
    channel_axis,
    channels_last,
    from_channels_last,
    resolve_ordering,
    space_axes,
)


class _LocallyConnected(KernelLayer):
    """Base: a matrix for each position, of what a window holds to the outputs.

    Args:
        nb_filter: how many outputs at each position.
        kernel_size, strides: of each axis of the space.
        border_mode: "valid".
        dim_ordering: "th", "tf" or "default".
        **options: see `KernelLayer`.
    """

    def __init__(
        self,
        nb_filter: int,
        kernel_size: Sequence[int],
        strides: Sequence[int],
        border_mode: str,
        dim_ordering: str = "tf",
        **options: Any,
    ) -> None:
        super().__init__(**options)
        self.nb_filter = nb_filter
        self.kernel_size = tuple(kernel_size)
        self.strides = tuple(strides)
        self.border_mode = one_of("border_mode", border_mode, ("valid",))
        self.dim_ordering = resolve_ordering(dim_ordering)
        self.input_spec = keras.layers.InputSpec(ndim=len(self.kernel_size) + 2)

    def positions(self, sizes: Sequence[int | None]) -> tuple[int | None, ...]:
        """How many windows there are along each axis of the space."""
        return tuple(
            None if size is None else (size - kernel) // stride + 1
            for size, kernel, stride in zip(sizes, self.kernel_size, self.strides, strict=True)
        )

    def windows(self, x: Tensor, counts: Sequence[Any]) -> Tensor:
        """(batch, positions, values of the window), the values as `dim_ordering` has them."""
        offsets = itertools.product(*(range(size) for size in self.kernel_size))
        parts = [x[(slice(None), *self._every_stride(offset, counts))] for offset in offsets]
        stacked = ops.stack(parts, axis=-1 if self.dim_ordering == "th" else -2)
        return ops.reshape(stacked, (-1, math.prod(counts), math.prod(stacked.shape[-2:])))

    def _every_stride(self, offset: Sequence[int], counts: Sequence[Any]) -> list[slice]:
        """Where one entry of the window lies in all windows."""
        return [
            slice(start, start + (count - 1) * stride + 1, stride)
            for start, count, stride in zip(offset, counts, self.strides, strict=True)
        ]

    def connect(self, x: Tensor) -> Tensor:
        """The outputs without bias (batch, space..., outputs), from x with its channels last."""
        counts = self.positions(x.shape[1:-1])
        y = ops.einsum("bpv,pvo->bpo", self.windows(x, counts), self.W)
        return ops.reshape(y, (-1, *counts, self.nb_filter))


@registered
class LocallyConnected1D(_LocallyConnected):
    """`Convolution1D` with a kernel for each step.

    Args:
        nb_filter: how many outputs in each step.
        filter_length: how many steps the kernel covers.
        init, activation, weights: see `KernelLayer` and `Keras1Layer`.
        border_mode: "valid".
        subsample_length: the stride.
        input_dim, input_length: of a first layer.
        **options: the others of `KernelLayer` and `Keras1Layer`.
    """

    settings: ClassVar[tuple[str, ...]] = (
        *("nb_filter", "filter_length", "border_mode", "subsample_length"),
        *KernelLayer.settings,
        *("input_dim", "input_length"),
    )

    def __init__(
        self,
        nb_filter: int,
        filter_length: int,
        init: initializers.Given = "glorot_uniform",
        activation: activations.Given = None,
        weights: Sequence[Any] | None = None,
        border_mode: str = "valid",
        subsample_length: int = 1,
        *,
        input_dim: int | None = None,
        input_length: int | None = None,
        **options: Any,
    ) -> None:
        super().__init__(
            nb_filter,
            (filter_length,),
            (subsample_length,),
            border_mode,
            init=init,
            activation=activation,
            weights=weights,
            **sequence_shape(options, input_dim, input_length),
        )
        self.filter_length = filter_length
        self.subsample_length = subsample_length
        self.input_dim = input_dim
        self.input_length = input_length

    def create_weights(self, input_shape: Shape) -> None:
        """W (steps, length * inputs, outputs), b (steps, outputs)."""
        (steps,) = self.positions(input_shape[1:2])
        values = None if input_shape[2] is None else self.filter_length * input_shape[2]
        self.create_kernel_and_bias((steps, values, self.nb_filter), (steps, self.nb_filter))

    def call(self, x: Tensor) -> Tensor:
        """The output."""
        y = self.connect(x)
        return self.activation(y if self.b is None else y + self.b)


@registered
class LocallyConnected2D(_LocallyConnected):
    """`Convolution2D` with a kernel for each position.

    Args:
        nb_filter: how many outputs at each position.
        nb_row, nb_col: size of the kernel.
        init, activation, weights: see `KernelLayer` and `Keras1Layer`.
        border_mode: "valid".
        subsample: the strides.
        dim_ordering: "th", "tf" or "default".
        **options: the others of `KernelLayer` and `Keras1Layer`.
    """

    settings: ClassVar[tuple[str, ...]] = (
        *("nb_filter", "nb_row", "nb_col", "border_mode", "subsample", "dim_ordering"),
        *KernelLayer.settings,
    )

    def __init__(
        self,
        nb_filter: int,
        nb_row: int,
        nb_col: int,
        init: initializers.Given = "glorot_uniform",
        activation: activations.Given = None,
        weights: Sequence[Any] | None = None,
        border_mode: str = "valid",
        subsample: Sequence[int] = (1, 1),
        dim_ordering: str = "default",
        **options: Any,
    ) -> None:
        super().__init__(
            nb_filter,
            (nb_row, nb_col),
            subsample,
            border_mode,
            dim_ordering,
            init=init,
            activation=activation,
            weights=weights,
            **options,
        )
        self.nb_row = nb_row
        self.nb_col = nb_col
        self.subsample = tuple(subsample)

    def create_weights(self, input_shape: Shape) -> None:
        """W (rows * cols, values of the window, outputs), b (rows, cols, outputs)."""
        channels = input_shape[channel_axis(self.dim_ordering)]
        rows, cols = self.positions(
            [input_shape[axis] for axis in space_axes(self.dim_ordering, 2)]
        )
        places = None if rows is None or cols is None else rows * cols
        values = None if channels is None else self.nb_row * self.nb_col * channels
        self.create_kernel_and_bias((places, values, self.nb_filter), (rows, cols, self.nb_filter))

    def call(self, x: Tensor) -> Tensor:
        """The output.

        With "th" Keras 1 reads the bias (rows, cols, outputs) as if it were (outputs, rows, cols).
        """
        y = self.connect(channels_last(x, self.dim_ordering))
        y = from_channels_last(y, self.dim_ordering)
        if self.b is not None:
            y = y + ops.reshape(self.b, (1, *y.shape[1:]))
        return self.activation(y)

"""`Deconvolution2D` of Keras 1.2.2, the transposed convolution."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

from keras import ops

from normscope.errors import SpecError
from normscope.keras1.live.layers import activations, initializers
from normscope.keras1.live.layers.base import Tensor, registered
from normscope.keras1.live.layers.convolution import Convolution2D


@registered
class Deconvolution2D(Convolution2D):
    """Transposed convolution of images: the gradient of a `Convolution2D`.

    Args:
        nb_filter: how many outputs at each position.
        nb_row, nb_col: size of the kernel.
        output_shape: (None, channels, rows, cols) for "th", (None, rows, cols, channels) for "tf".
            The sizes must be such that a convolution of that output has the size of the input.
        init, activation, weights, border_mode, subsample, dim_ordering: as in `Convolution2D`.
        **options: the others of `KernelLayer` and `Keras1Layer`.
    """

    settings: ClassVar[tuple[str, ...]] = (*Convolution2D.settings, "output_shape")
    output_shape: Any = None  # the argument, as Keras 1 called it; not that of the last call

    def __init__(
        self,
        nb_filter: int,
        nb_row: int,
        nb_col: int,
        output_shape: Sequence[int | None],
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
            nb_row,
            nb_col,
            init,
            activation,
            weights,
            border_mode,
            subsample,
            dim_ordering,
            **options,
        )
        if len(output_shape) != 4:
            raise SpecError(f"output_shape has 4 sizes (None, ...), not {tuple(output_shape)!r}")
        self.output_shape = tuple(output_shape)

    def convolve(self, x: Tensor, kernel: Tensor) -> Tensor:
        """The transposed cross-correlation, cut to the wanted output."""
        y = ops.conv_transpose(
            x,
            ops.swapaxes(kernel, -1, -2),
            strides=self.strides,
            padding="valid",
            data_format="channels_last",
        )
        first = 2 if self.dim_ordering == "th" else 1
        wanted = self.output_shape[first : first + 2]
        for axis, size in enumerate(wanted, start=1):
            before = self._cut_before(axis, ops.shape(x)[axis], size)
            y = _window(y, axis, before, size)
        return self._cut_as_theano(y, x)

    def _cut_before(self, axis: int, inputs: Any, outputs: Any) -> Any:
        """How much the convolution pads before the output, which is cut off here."""
        size, stride = self.kernel_size[axis - 1], self.strides[axis - 1]
        if self.border_mode == "valid":
            return 0
        if self.border_mode == "full":
            return size - 1
        if self.origin != "tensorflow":
            return size // 2
        return max((inputs - 1) * stride + size - outputs, 0) // 2

    def _cut_as_theano(self, y: Tensor, x: Tensor) -> Tensor:
        """With an even kernel Keras 1 cut the output on Theano to ceil(input size / stride)."""
        if self.border_mode != "same" or self.origin == "tensorflow":
            return y
        for axis, size in enumerate(self.kernel_size, start=1):
            if size % 2 == 0:
                stride = self.strides[axis - 1]
                y = _first(y, axis, (ops.shape(x)[axis] + stride - 1) // stride)
        return y


def _window(y: Tensor, axis: int, start: Any, size: Any) -> Tensor:
    """`size` entries of an axis from `start` on, with zeros where there are too few."""
    y = y[(slice(None),) * axis + (slice(start, start + size),)]
    missing = size - ops.shape(y)[axis]
    widths = [(0, 0)] * len(y.shape)
    widths[axis] = (0, missing)
    return ops.pad(y, widths) if missing else y


def _first(y: Tensor, axis: int, size: Any) -> Tensor:
    return y[(slice(None),) * axis + (slice(0, size),)]

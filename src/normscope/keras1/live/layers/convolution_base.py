"""What the convolutions share: a kernel that moves over the space, and what it computes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import keras
from keras import ops

from normscope.keras1.live.layers import border
from normscope.keras1.live.layers.base import Shape, Tensor, one_of
from normscope.keras1.live.layers.kernel import KernelLayer
from normscope.keras1.live.layers.ordering import (
    channel_axis,
    channels_last,
    from_channels_last,
    kernel_channels_last,
    resolve_ordering,
)


class ConvolutionLayer(KernelLayer):
    """Base: a kernel that moves over the space.

    Args:
        nb_filter: how many outputs at each position.
        kernel_size, strides, rates: of each axis of the space.
        border_mode: "valid", "same" or "full"; see `border`.
        dim_ordering: "th", "tf" or "default".
        **options: see `KernelLayer`.
    """

    flips_kernels: ClassVar[bool] = True

    def __init__(
        self,
        nb_filter: int,
        kernel_size: Sequence[int],
        strides: Sequence[int],
        border_mode: str,
        dim_ordering: str = "tf",
        rates: Sequence[int] | None = None,
        **options: Any,
    ) -> None:
        super().__init__(**options)
        self.nb_filter = nb_filter
        self.kernel_size = tuple(kernel_size)
        self.strides = tuple(strides)
        self.rates = tuple(rates or [1] * len(self.kernel_size))
        self.border_mode = one_of("border_mode", border_mode, border.CONVOLUTION_MODES)
        self.dim_ordering = resolve_ordering(dim_ordering)
        self.input_spec = keras.layers.InputSpec(ndim=len(self.kernel_size) + 2)

    def create_weights(self, input_shape: Shape) -> None:
        """W (out, in, space...) for "th", (space..., in, out) for "tf"; b (out,)."""
        shape = kernel_shape(
            self.kernel_size,
            input_shape[channel_axis(self.dim_ordering)],
            self.nb_filter,
            self.dim_ordering,
        )
        self.create_kernel_and_bias(shape, (self.nb_filter,), self.dim_ordering)

    def call(self, x: Tensor) -> Tensor:
        """The output."""
        y = self.convolve(channels_last(x, self.dim_ordering), self.kernel())
        return self.activation(
            from_channels_last(y if self.b is None else y + self.b, self.dim_ordering)
        )

    def kernel(self) -> Tensor:
        """The kernel (space..., in, out)."""
        return kernel_channels_last(self.W, self.dim_ordering)

    def convolve(self, x: Tensor, kernel: Tensor) -> Tensor:
        """The cross-correlation; both with their channels last."""
        return cross_correlation(x, kernel, self.strides, self.rates, self.border_mode, self.origin)


def cross_correlation(
    x: Tensor,
    kernel: Tensor,
    strides: Sequence[int],
    rates: Sequence[int],
    border_mode: str,
    origin: str,
) -> Tensor:
    """X (batch, space..., in) with a kernel (space..., in, out).

    Args:
        x, kernel: as above.
        strides, rates: steps between outputs, and between the elements of the kernel.
        border_mode: "valid", "same" or "full".
        origin: by which backend's convention "same" pads.
    """
    options = {"strides": strides, "data_format": "channels_last", "dilation_rate": rates}
    if border.framework_pads(border_mode, origin):
        return ops.conv(x, kernel, padding=border_mode, **options)
    pads = border.theano_pads(border.dilated(kernel.shape[:-2], rates), border_mode)
    y = ops.conv(border.pad_space(x, pads), kernel, padding="valid", **options)
    return border.cut_to_same(y, x, strides) if border_mode == "same" else y


def kernel_shape(
    sizes: Sequence[int], inputs: int | None, outputs: int, dim_ordering: str
) -> tuple[int | None, ...]:
    """The shape of a kernel in the layout of `dim_ordering`.

    >>> kernel_shape((3, 5), 4, 8, "th"), kernel_shape((3, 5), 4, 8, "tf")
    ((8, 4, 3, 5), (3, 5, 4, 8))
    """
    if dim_ordering == "th":
        return (outputs, inputs, *sizes)
    return (*sizes, inputs, outputs)

"""The convolutions of Keras 1.2.2, with either `dim_ordering`.

All compute a cross-correlation. Theano turned its kernels by 180 degrees: whoever loads them from a
file turns them back (`flips_kernels`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

from keras import ops

from normscope.keras1.live.layers import activations, initializers
from normscope.keras1.live.layers.base import Shape, Tensor, registered
from normscope.keras1.live.layers.convolution_base import ConvolutionLayer
from normscope.keras1.live.layers.kernel import KernelLayer, sequence_shape


@registered
class Convolution1D(ConvolutionLayer):
    """Convolution over time: (batch, time, channels).

    Args:
        nb_filter: how many outputs in each step.
        filter_length: how many steps the kernel covers.
        init, activation, weights: see `KernelLayer` and `Keras1Layer`.
        border_mode: "valid", "same" or "full".
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
        rate: int = 1,
        **options: Any,
    ) -> None:
        super().__init__(
            nb_filter,
            (filter_length,),
            (subsample_length,),
            border_mode,
            rates=(rate,),
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
        """W (length, 1, in, out), whose scale Keras 1 finds as if it were (out, in, ...); b."""
        shape = (self.filter_length, 1, input_shape[2], self.nb_filter)
        self.create_kernel_and_bias(shape, (self.nb_filter,), "th")

    def kernel(self) -> Tensor:
        """The kernel (length, in, out)."""
        return ops.squeeze(self.W, 1)


@registered
class AtrousConvolution1D(Convolution1D):
    """`Convolution1D` with holes: every `atrous_rate`-th step counts."""

    settings: ClassVar[tuple[str, ...]] = (*Convolution1D.settings, "atrous_rate")

    def __init__(
        self,
        nb_filter: int,
        filter_length: int,
        init: initializers.Given = "glorot_uniform",
        activation: activations.Given = None,
        weights: Sequence[Any] | None = None,
        border_mode: str = "valid",
        subsample_length: int = 1,
        atrous_rate: int = 1,
        **options: Any,
    ) -> None:
        super().__init__(
            nb_filter,
            filter_length,
            init,
            activation,
            weights,
            border_mode,
            subsample_length,
            rate=atrous_rate,
            **options,
        )
        self.atrous_rate = atrous_rate


@registered
class Convolution2D(ConvolutionLayer):
    """Convolution over images.

    Args:
        nb_filter: how many outputs at each position.
        nb_row, nb_col: size of the kernel.
        init, activation, weights: see `KernelLayer` and `Keras1Layer`.
        border_mode: "valid", "same" or "full".
        subsample: the strides.
        dim_ordering: "th" (batch, channels, rows, cols), "tf" (batch, rows, cols, channels) or
            "default".
        **options: the others of `KernelLayer` and `Keras1Layer`.

    Example:
        >>> layer = Convolution2D(16, 3, 5, border_mode="same", dim_ordering="th")
        >>> layer.build((None, 3, 32, 32))
        >>> [(weight.name, weight.shape) for weight in layer.weights]
        [('W', (16, 3, 3, 5)), ('b', (16,))]
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


@registered
class AtrousConvolution2D(Convolution2D):
    """`Convolution2D` with holes: every `atrous_rate`-th row and column counts."""

    settings: ClassVar[tuple[str, ...]] = (*Convolution2D.settings, "atrous_rate")

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
        atrous_rate: Sequence[int] = (1, 1),
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
            rates=atrous_rate,
            **options,
        )
        self.atrous_rate = tuple(atrous_rate)


@registered
class Convolution3D(ConvolutionLayer):
    """Convolution over volumes.

    Args:
        nb_filter: how many outputs at each position.
        kernel_dim1, kernel_dim2, kernel_dim3: size of the kernel.
        init, activation, weights: see `KernelLayer` and `Keras1Layer`.
        border_mode: "valid", "same" or "full".
        subsample: the strides.
        dim_ordering: "th", "tf" or "default".
        **options: the others of `KernelLayer` and `Keras1Layer`.
    """

    settings: ClassVar[tuple[str, ...]] = (
        *("nb_filter", "kernel_dim1", "kernel_dim2", "kernel_dim3"),
        *("border_mode", "subsample", "dim_ordering"),
        *KernelLayer.settings,
    )

    def __init__(
        self,
        nb_filter: int,
        kernel_dim1: int,
        kernel_dim2: int,
        kernel_dim3: int,
        init: initializers.Given = "glorot_uniform",
        activation: activations.Given = None,
        weights: Sequence[Any] | None = None,
        border_mode: str = "valid",
        subsample: Sequence[int] = (1, 1, 1),
        dim_ordering: str = "default",
        **options: Any,
    ) -> None:
        super().__init__(
            nb_filter,
            (kernel_dim1, kernel_dim2, kernel_dim3),
            subsample,
            border_mode,
            dim_ordering,
            init=init,
            activation=activation,
            weights=weights,
            **options,
        )
        self.kernel_dim1 = kernel_dim1
        self.kernel_dim2 = kernel_dim2
        self.kernel_dim3 = kernel_dim3
        self.subsample = tuple(subsample)

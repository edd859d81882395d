"""`SeparableConvolution2D` of Keras 1.2.2: a kernel for each channel, then a mix of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import keras
from keras import ops

from normscope.keras1.live.layers import (
    activations,
    border,
    constraints,
    initializers,
    regularizers,
)
from normscope.keras1.live.layers.base import Shape, Tensor, one_of, registered
from normscope.keras1.live.layers.convolution_base import kernel_shape
from normscope.keras1.live.layers.kernel import KernelLayer
from normscope.keras1.live.layers.ordering import (
    channel_axis,
    channels_last,
    from_channels_last,
    kernel_channels_last,
    resolve_ordering,
)


@registered
class SeparableConvolution2D(KernelLayer):
    """A convolution of each channel on its own, then one of 1 x 1 over all.

    Args:
        nb_filter: how many outputs at each position.
        nb_row, nb_col: size of the kernel of each channel.
        init, activation, weights: see `KernelLayer` and `Keras1Layer`.
        border_mode: "valid" or "same".
        subsample: the strides.
        depth_multiplier: how many outputs the convolution of one channel has.
        dim_ordering: "th", "tf" or "default".
        depthwise_regularizer, pointwise_regularizer: penalties on the two kernels.
        depthwise_constraint, pointwise_constraint: constraints on them.
        **options: `b_regularizer`, `b_constraint`, `bias`, and those of `Keras1Layer`.
    """

    settings: ClassVar[tuple[str, ...]] = (
        *("nb_filter", "nb_row", "nb_col", "border_mode", "subsample", "depth_multiplier"),
        *("dim_ordering", "init", "activation", "bias"),
        *("depthwise_regularizer", "pointwise_regularizer", "b_regularizer"),
        *("activity_regularizer", "depthwise_constraint", "pointwise_constraint", "b_constraint"),
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
        depth_multiplier: int = 1,
        dim_ordering: str = "default",
        *,
        depthwise_regularizer: regularizers.Given = None,
        pointwise_regularizer: regularizers.Given = None,
        depthwise_constraint: constraints.Given = None,
        pointwise_constraint: constraints.Given = None,
        **options: Any,
    ) -> None:
        super().__init__(init=init, activation=activation, weights=weights, **options)
        self.nb_filter = nb_filter
        self.nb_row = nb_row
        self.nb_col = nb_col
        self.border_mode = one_of("border_mode", border_mode, border.POOLING_MODES)
        self.subsample = tuple(subsample)
        self.depth_multiplier = depth_multiplier
        self.dim_ordering = resolve_ordering(dim_ordering)
        self.depthwise_regularizer = regularizers.get(depthwise_regularizer)
        self.pointwise_regularizer = regularizers.get(pointwise_regularizer)
        self.depthwise_constraint = constraints.get(depthwise_constraint)
        self.pointwise_constraint = constraints.get(pointwise_constraint)
        self.depthwise_kernel: Tensor = None
        self.pointwise_kernel: Tensor = None
        self.input_spec = keras.layers.InputSpec(ndim=4)

    def create_weights(self, input_shape: Shape) -> None:
        """depthwise_kernel, pointwise_kernel, b; the kernels in the layout of `dim_ordering`."""
        channels = input_shape[channel_axis(self.dim_ordering)]
        between = None if channels is None else channels * self.depth_multiplier
        ordering = self.dim_ordering
        self.depthwise_kernel = self.weight(
            "depthwise_kernel",
            kernel_shape((self.nb_row, self.nb_col), channels, self.depth_multiplier, ordering),
            self.init,
            regularizer=self.depthwise_regularizer,
            constraint=self.depthwise_constraint,
            dim_ordering=ordering,
        )
        self.pointwise_kernel = self.weight(
            "pointwise_kernel",
            kernel_shape((1, 1), between, self.nb_filter, ordering),
            self.init,
            regularizer=self.pointwise_regularizer,
            constraint=self.pointwise_constraint,
            dim_ordering=ordering,
        )
        if self.bias:
            self.b = self.weight(
                "b",
                (self.nb_filter,),
                "zero",
                regularizer=self.b_regularizer,
                constraint=self.b_constraint,
            )

    def call(self, x: Tensor) -> Tensor:
        """The output."""
        y = ops.separable_conv(
            channels_last(x, self.dim_ordering),
            kernel_channels_last(self.depthwise_kernel, self.dim_ordering),
            kernel_channels_last(self.pointwise_kernel, self.dim_ordering),
            strides=self.subsample,
            padding=self.border_mode,
            data_format="channels_last",
        )
        return self.activation(
            from_channels_last(y if self.b is None else y + self.b, self.dim_ordering)
        )

"""Dense layers of Keras 1.2.2: `Dense`, `TimeDistributedDense`, `MaxoutDense`, `Highway`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import keras
from keras import ops

from normscope.keras1.live.layers import activations, initializers
from normscope.keras1.live.layers.base import Shape, Tensor, registered
from normscope.keras1.live.layers.kernel import KernelLayer, sequence_shape, vector_shape


@registered
class Dense(KernelLayer):
    """activation(x W + b), along the last axis.

    Args:
        output_dim: how many outputs.
        init, activation, weights: see `KernelLayer` and `Keras1Layer`.
        input_dim: of a first layer, the number of inputs.
        **options: the others of `KernelLayer` and `Keras1Layer`.

    Example:
        >>> layer = Dense(4, activation="relu", input_dim=3, bias=False)
        >>> layer.get_config()["activation"], layer.batch_input_shape
        ('relu', (None, 3))
    """

    settings: ClassVar[tuple[str, ...]] = ("output_dim", *KernelLayer.settings, "input_dim")

    def __init__(
        self,
        output_dim: int,
        init: initializers.Given = "glorot_uniform",
        activation: activations.Given = None,
        weights: Sequence[Any] | None = None,
        *,
        input_dim: int | None = None,
        **options: Any,
    ) -> None:
        super().__init__(
            init=init,
            activation=activation,
            weights=weights,
            **vector_shape(options, input_dim),
        )
        self.output_dim = output_dim
        self.input_dim = input_dim
        self.input_spec = keras.layers.InputSpec(min_ndim=2)

    def create_weights(self, input_shape: Shape) -> None:
        """W (inputs, outputs), b (outputs,)."""
        self.input_dim = input_shape[-1]
        self.create_kernel_and_bias((input_shape[-1], self.output_dim), (self.output_dim,))

    def call(self, x: Tensor) -> Tensor:
        """The output."""
        return self.activation(_affine(x, self.W, self.b))


@registered
class TimeDistributedDense(KernelLayer):
    """activation(x W + b) in each step of a sequence; `Dense` does the same.

    Args:
        output_dim: how many outputs.
        init, activation, weights: see `KernelLayer` and `Keras1Layer`.
        input_dim, input_length: of a first layer.
        **options: the others of `KernelLayer` and `Keras1Layer`.
    """

    masks_pass: ClassVar[bool] = True
    settings: ClassVar[tuple[str, ...]] = (
        "output_dim",
        *KernelLayer.settings,
        "input_dim",
        "input_length",
    )

    def __init__(
        self,
        output_dim: int,
        init: initializers.Given = "glorot_uniform",
        activation: activations.Given = None,
        weights: Sequence[Any] | None = None,
        *,
        input_dim: int | None = None,
        input_length: int | None = None,
        **options: Any,
    ) -> None:
        super().__init__(
            init=init,
            activation=activation,
            weights=weights,
            **sequence_shape(options, input_dim, input_length),
        )
        self.output_dim = output_dim
        self.input_dim = input_dim
        self.input_length = input_length
        self.input_spec = keras.layers.InputSpec(ndim=3)

    def create_weights(self, input_shape: Shape) -> None:
        """W (inputs, outputs), b (outputs,)."""
        self.create_kernel_and_bias((input_shape[2], self.output_dim), (self.output_dim,))

    def call(self, x: Tensor) -> Tensor:
        """The output."""
        return self.activation(_affine(x, self.W, self.b))


@registered
class MaxoutDense(KernelLayer):
    """The maximum of `nb_feature` linear layers, element by element.

    Args:
        output_dim: how many outputs.
        nb_feature: how many linear layers.
        init, weights: see `KernelLayer` and `Keras1Layer`.
        input_dim: of a first layer, the number of inputs.
        **options: the others of `KernelLayer` (but for `activation`) and `Keras1Layer`.
    """

    settings: ClassVar[tuple[str, ...]] = (
        "output_dim",
        "nb_feature",
        *(key for key in KernelLayer.settings if key != "activation"),
        "input_dim",
    )

    def __init__(
        self,
        output_dim: int,
        nb_feature: int = 4,
        init: initializers.Given = "glorot_uniform",
        weights: Sequence[Any] | None = None,
        *,
        input_dim: int | None = None,
        **options: Any,
    ) -> None:
        super().__init__(init=init, weights=weights, **vector_shape(options, input_dim))
        self.output_dim = output_dim
        self.nb_feature = nb_feature
        self.input_dim = input_dim
        self.input_spec = keras.layers.InputSpec(ndim=2)

    def create_weights(self, input_shape: Shape) -> None:
        """W (features, inputs, outputs), b (features, outputs)."""
        self.create_kernel_and_bias(
            (self.nb_feature, input_shape[1], self.output_dim), (self.nb_feature, self.output_dim)
        )

    def call(self, x: Tensor) -> Tensor:
        """The output."""
        y = ops.einsum("bi,fio->bfo", x, self.W)
        return ops.max(y if self.b is None else y + self.b, axis=1)


@registered
class Highway(KernelLayer):
    """t * activation(x W + b) + (1 - t) * x, with t = sigmoid(x W_carry + b_carry).

    Args:
        init, activation, weights: see `KernelLayer` and `Keras1Layer`.
        input_dim: of a first layer, the number of inputs.
        transform_bias: not used, as in Keras 1.2.2.
        **options: the others of `KernelLayer` and `Keras1Layer`.
    """

    settings: ClassVar[tuple[str, ...]] = (*KernelLayer.settings, "input_dim")

    def __init__(
        self,
        init: initializers.Given = "glorot_uniform",
        activation: activations.Given = None,
        weights: Sequence[Any] | None = None,
        *,
        input_dim: int | None = None,
        transform_bias: Any = None,
        **options: Any,
    ) -> None:
        super().__init__(
            init=init,
            activation=activation,
            weights=weights,
            **vector_shape(options, input_dim),
        )
        self.input_dim = input_dim
        self.input_spec = keras.layers.InputSpec(ndim=2)
        self.W_carry: Tensor = None
        self.b_carry: Tensor = None

    def create_weights(self, input_shape: Shape) -> None:
        """W and W_carry (inputs, inputs), b and b_carry (inputs,)."""
        width = input_shape[1]
        self.W = self.weight(
            "W",
            (width, width),
            self.init,
            regularizer=self.W_regularizer,
            constraint=self.W_constraint,
        )
        self.W_carry = self.weight("W_carry", (width, width), self.init)
        if self.bias:
            self.b = self.weight(
                "b", (width,), "zero", regularizer=self.b_regularizer, constraint=self.b_constraint
            )
            self.b_carry = self.weight("b_carry", (width,), "one")

    def call(self, x: Tensor) -> Tensor:
        """The output."""
        transform = ops.sigmoid(_affine(x, self.W_carry, self.b_carry))
        return self.activation(_affine(x, self.W, self.b)) * transform + (1 - transform) * x


def _affine(x: Tensor, kernel: Tensor, bias: Tensor | None) -> Tensor:
    y = ops.matmul(x, kernel)
    return y if bias is None else y + bias

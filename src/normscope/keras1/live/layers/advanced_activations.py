"""The activations of Keras 1.2.2 that are layers: with a setting, or with weights."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import keras
from keras import ops

from normscope.keras1.live.layers import activations, initializers
from normscope.keras1.live.layers.base import Keras1Layer, Shape, Tensor, registered


@registered
class LeakyReLU(Keras1Layer):
    """The input where positive, else alpha times the input.

    Example:
        >>> float(LeakyReLU()(-ops.ones((1, 1)))[0, 0])
        -0.30000001192092896
    """

    masks_pass: ClassVar[bool] = True
    settings: ClassVar[tuple[str, ...]] = ("alpha",)

    def __init__(self, alpha: float = 0.3, **common: Any) -> None:
        super().__init__(**common)
        self.alpha = alpha

    def call(self, x: Tensor) -> Tensor:
        """The output."""
        return ops.leaky_relu(x, negative_slope=self.alpha)


@registered
class ELU(Keras1Layer):
    """The input where positive, else alpha * (exp(x) - 1)."""

    masks_pass: ClassVar[bool] = True
    settings: ClassVar[tuple[str, ...]] = ("alpha",)

    def __init__(self, alpha: float = 1.0, **common: Any) -> None:
        super().__init__(**common)
        self.alpha = float(alpha)

    def call(self, x: Tensor) -> Tensor:
        """The output."""
        return activations.elu(x, self.alpha)


@registered
class ThresholdedReLU(Keras1Layer):
    """The input where it is above theta, else 0."""

    masks_pass: ClassVar[bool] = True
    settings: ClassVar[tuple[str, ...]] = ("theta",)

    def __init__(self, theta: float = 1.0, **common: Any) -> None:
        super().__init__(**common)
        self.theta = float(theta)

    def call(self, x: Tensor) -> Tensor:
        """The output."""
        return x * ops.cast(x > self.theta, x.dtype)


class _Parametric(Keras1Layer):
    """Base: weights of the shape of one input, of size 1 along the axes in `shared_axes`.

    Keras 1.2.2 did not write `shared_axes` into a file; here it is in the config.
    """

    masks_pass: ClassVar[bool] = True

    def __init__(self, shared_axes: int | Sequence[int] | None = None, **common: Any) -> None:
        super().__init__(**common)
        if isinstance(shared_axes, int):
            shared_axes = (shared_axes,)
        self.shared_axes = None if shared_axes is None else tuple(shared_axes)

    def parameter(self, name: str, input_shape: Shape, init: initializers.Given) -> Tensor:
        """One weight."""
        shape = list(input_shape[1:])
        for axis in self.shared_axes or ():
            shape[axis - 1] = 1
        return self.weight(name, shape, init)


@registered
class PReLU(_Parametric):
    """The input where positive, else alphas times the input.

    Args:
        init: initialization of the alphas.
        weights: [alphas].
        shared_axes: axes, counted with the batch as 0, along which an alpha is shared.
        **common: see `Keras1Layer`.
    """

    settings: ClassVar[tuple[str, ...]] = ("init", "shared_axes")

    def __init__(
        self,
        init: initializers.Given = "zero",
        weights: Sequence[Any] | None = None,
        shared_axes: int | Sequence[int] | None = None,
        **common: Any,
    ) -> None:
        super().__init__(shared_axes, weights=weights, **common)
        self.init = initializers.resolve(init)
        self.alphas: Tensor = None

    def create_weights(self, input_shape: Shape) -> None:
        """The alphas."""
        self.alphas = self.parameter("alphas", input_shape, self.init)

    def call(self, x: Tensor) -> Tensor:
        """The output."""
        return ops.maximum(x, 0) + self.alphas * ops.minimum(x, 0)


@registered
class ParametricSoftplus(_Parametric):
    """alphas * log(1 + exp(betas * x)).

    Args:
        alpha_init, beta_init: values at the start.
        weights: [alphas, betas].
        shared_axes: as in `PReLU`.
        **common: see `Keras1Layer`.
    """

    settings: ClassVar[tuple[str, ...]] = ("alpha_init", "beta_init", "shared_axes")

    def __init__(
        self,
        alpha_init: float = 0.2,
        beta_init: float = 5.0,
        weights: Sequence[Any] | None = None,
        shared_axes: int | Sequence[int] | None = None,
        **common: Any,
    ) -> None:
        super().__init__(shared_axes, weights=weights, **common)
        self.alpha_init = float(alpha_init)
        self.beta_init = float(beta_init)
        self.alphas: Tensor = None
        self.betas: Tensor = None

    def create_weights(self, input_shape: Shape) -> None:
        """The alphas, then the betas."""
        self.alphas = self.parameter(
            "alphas", input_shape, keras.initializers.Constant(self.alpha_init)
        )
        self.betas = self.parameter(
            "betas", input_shape, keras.initializers.Constant(self.beta_init)
        )

    def call(self, x: Tensor) -> Tensor:
        """The output."""
        return self.alphas * ops.softplus(self.betas * x)


@registered
class SReLU(_Parametric):
    """Three straight lines, bent at t_left and at t = t_left + abs(t_right).

        t + a_right * (x - t)                  for x >= t
        x                                      between
        t_left + a_left * (x - t_left)         for x <= t_left

    Args:
        t_left_init, a_left_init, t_right_init, a_right_init: initializations, by name.
        shared_axes: as in `PReLU`.
        **common: see `Keras1Layer`.
    """

    settings: ClassVar[tuple[str, ...]] = (
        *("t_left_init", "a_left_init", "t_right_init", "a_right_init"),
        "shared_axes",
    )

    def __init__(
        self,
        t_left_init: initializers.Given = "zero",
        a_left_init: initializers.Given = "glorot_uniform",
        t_right_init: initializers.Given = "glorot_uniform",
        a_right_init: initializers.Given = "one",
        shared_axes: int | Sequence[int] | None = None,
        **common: Any,
    ) -> None:
        super().__init__(shared_axes, **common)
        self.t_left_init = initializers.resolve(t_left_init)
        self.a_left_init = initializers.resolve(a_left_init)
        self.t_right_init = initializers.resolve(t_right_init)
        self.a_right_init = initializers.resolve(a_right_init)
        self.t_left: Tensor = None
        self.a_left: Tensor = None
        self.t_right: Tensor = None
        self.a_right: Tensor = None

    def create_weights(self, input_shape: Shape) -> None:
        """t_left, a_left, t_right, a_right."""
        self.t_left = self.parameter("t_left", input_shape, self.t_left_init)
        self.a_left = self.parameter("a_left", input_shape, self.a_left_init)
        self.t_right = self.parameter("t_right", input_shape, self.t_right_init)
        self.a_right = self.parameter("a_right", input_shape, self.a_right_init)

    def call(self, x: Tensor) -> Tensor:
        """The output."""
        width = ops.abs(self.t_right)
        inner = x - self.t_left
        bent = ops.minimum(ops.maximum(inner, 0), width) + self.a_left * ops.minimum(inner, 0)
        return self.t_left + bent + self.a_right * ops.maximum(inner - width, 0)

"""The base of layers with a kernel W and a bias b: dense, convolutional, locally connected."""

# ruff: noqa: N803  # the arguments are called as in Keras 1

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

from normscope.keras1.live.layers import activations, constraints, initializers, regularizers
from normscope.keras1.live.layers.base import Keras1Layer, Tensor


class KernelLayer(Keras1Layer):
    """What the layers with a kernel have in common.

    Args:
        init: initialization of the kernel.
        activation: a name or a function; None is none.
        W_regularizer, b_regularizer: penalties on kernel and bias.
        W_constraint, b_constraint: constraints on them.
        bias: whether there is a bias.
        **common: those of every layer; see `Keras1Layer`.
    """

    settings: ClassVar[tuple[str, ...]] = (
        *("init", "activation", "bias"),
        *("W_regularizer", "b_regularizer", "activity_regularizer"),
        *("W_constraint", "b_constraint"),
    )

    def __init__(
        self,
        *,
        init: initializers.Given = "glorot_uniform",
        activation: activations.Given = None,
        W_regularizer: regularizers.Given = None,
        b_regularizer: regularizers.Given = None,
        W_constraint: constraints.Given = None,
        b_constraint: constraints.Given = None,
        bias: bool = True,
        **common: Any,
    ) -> None:
        super().__init__(**common)
        self.init = initializers.resolve(init)
        self.activation = activations.get(activation)
        self.W_regularizer = regularizers.get(W_regularizer)
        self.b_regularizer = regularizers.get(b_regularizer)
        self.W_constraint = constraints.get(W_constraint)
        self.b_constraint = constraints.get(b_constraint)
        self.bias = bias
        self.W: Tensor = None
        self.b: Tensor = None

    def create_kernel_and_bias(
        self,
        kernel: Sequence[int | None],
        bias: Sequence[int | None],
        dim_ordering: str = "th",
    ) -> None:
        """Make W of shape `kernel` and, where there is one, b of shape `bias`."""
        self.W = self.weight(
            "W",
            kernel,
            self.init,
            regularizer=self.W_regularizer,
            constraint=self.W_constraint,
            dim_ordering=dim_ordering,
        )
        if self.bias:
            self.b = self.weight(
                "b", bias, "zero", regularizer=self.b_regularizer, constraint=self.b_constraint
            )


def sequence_shape(
    common: dict[str, Any], input_dim: int | None, input_length: int | None
) -> dict[str, Any]:
    """The common arguments, with the input shape (length, width) that a first layer may give so.

    >>> sequence_shape({"name": "a"}, 3, None)
    {'name': 'a', 'input_shape': (None, 3)}
    """
    if input_dim is None or "batch_input_shape" in common:
        return common
    return {**common, "input_shape": (input_length, input_dim)}


def vector_shape(common: dict[str, Any], input_dim: int | None) -> dict[str, Any]:
    """The common arguments, with the input shape (width,) that a first layer may give so.

    Keras 1 writes the width that a layer was built with as `input_dim`, beside the true
    batch_input_shape of a first layer.
    """
    if input_dim is None or "batch_input_shape" in common or "input_shape" in common:
        return common
    return {**common, "input_shape": (input_dim,)}

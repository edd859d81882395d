"""The activation functions of Keras 1.2.2, by name.

`hard_sigmoid` differs from that of Keras 3 (which divides by 6), and `softmax` is along the last
axis. Source: Keras 1.2.2.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

import keras
from keras import ops

from normscope.errors import ShapeError, SpecError

Tensor: TypeAlias = Any
Activation: TypeAlias = Callable[[Tensor], Tensor]
Given: TypeAlias = str | Activation | None


def softmax(x: Tensor) -> Tensor:
    """exp(x) / sum(exp(x)) along the last of two or three axes.

    Raises:
        ShapeError: x has another number of axes.
    """
    if len(x.shape) not in (2, 3):
        raise ShapeError(f"softmax takes 2 or 3 axes, x has {len(x.shape)}", None, x.shape)
    return ops.softmax(x, axis=-1)


def elu(x: Tensor, alpha: float = 1.0) -> Tensor:
    """The input where positive, else alpha * (exp(x) - 1)."""
    return ops.where(x > 0, x, alpha * ops.expm1(ops.minimum(x, 0)))


def softplus(x: Tensor) -> Tensor:
    """log(1 + exp(x))."""
    return ops.softplus(x)


def softsign(x: Tensor) -> Tensor:
    """The input divided by 1 + abs(x)."""
    return x / (1 + ops.abs(x))


def relu(x: Tensor, alpha: float = 0.0, max_value: float | None = None) -> Tensor:
    """The input where positive, else alpha * x; at most max_value."""
    positive = ops.maximum(x, 0)
    if max_value is not None:
        positive = ops.minimum(positive, max_value)
    return positive + alpha * ops.minimum(x, 0) if alpha else positive


def tanh(x: Tensor) -> Tensor:
    """The hyperbolic tangent."""
    return ops.tanh(x)


def sigmoid(x: Tensor) -> Tensor:
    """1 / (1 + exp(-x))."""
    return ops.sigmoid(x)


def hard_sigmoid(x: Tensor) -> Tensor:
    """0.2 * x + 0.5, between 0 and 1."""
    return ops.clip(0.2 * x + 0.5, 0.0, 1.0)


def linear(x: Tensor) -> Tensor:
    """The input itself."""
    return x


ACTIVATIONS: dict[str, Activation] = {
    function.__name__: function
    for function in (softmax, elu, softplus, softsign, relu, tanh, sigmoid, hard_sigmoid, linear)
}


def get(given: Given) -> Activation:
    """An activation by name, a function as it is; None is `linear`.

    Raises:
        SpecError: there is no activation of that name.

    >>> get("hard_sigmoid").__name__, get(None).__name__
    ('hard_sigmoid', 'linear')
    """
    if given is None:
        return linear
    if callable(given):
        return given
    found = ACTIVATIONS.get(given) or keras.saving.get_registered_object(given)
    if found is None:
        raise SpecError(
            f"Keras 1 has no activation {given!r}; it has {', '.join(ACTIVATIONS)}; "
            "any other can be given as a function"
        )
    function: Activation = found
    return function


def name_of(activation: Activation) -> str:
    """The name under which `get` finds the activation; a function of one's own is registered."""
    name: str = keras.saving.get_registered_name(activation)
    return name if isinstance(name, str) else activation.__name__

"""`keras.activations` of Keras 1.2.2."""

from normscope.keras1.live.layers.activations import (
    elu,
    get,
    hard_sigmoid,
    linear,
    relu,
    sigmoid,
    softmax,
    softplus,
    softsign,
    tanh,
)

__all__ = [
    "elu",
    "get",
    "hard_sigmoid",
    "linear",
    "relu",
    "sigmoid",
    "softmax",
    "softplus",
    "softsign",
    "tanh",
]

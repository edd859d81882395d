"""`x *= 2` in a function of the user means x = x * 2, on torch too.

Tensors of Theano and TensorFlow cannot change, so code of Keras 1 wrote `a /= K.sum(a)` and left
the rest of the graph alone. A tensor of torch would be written into: the output of the layer
before, or the very array that was given. JAX and TensorFlow need nothing.
"""

from __future__ import annotations

import functools
from typing import Any

import keras

IN_PLACE = ("add", "sub", "mul", "truediv", "floordiv", "mod", "pow", "and", "or", "xor", "matmul")


def rebound(tensors: Any) -> Any:
    """Tensors that are never written into by an augmented assignment; other things as they are.

    >>> x = keras.ops.ones((2,))
    >>> y = rebound(x)
    >>> y *= 3
    >>> float(x[0]), float(y[0])
    (1.0, 3.0)
    """
    return _as_class(tensors, _rebinding_class()) if keras.backend.backend() == "torch" else tensors


def plain_tensors(tensors: Any) -> Any:
    """The opposite of `rebound`."""
    if keras.backend.backend() != "torch":
        return tensors
    import torch

    return _as_class(tensors, torch.Tensor)


def _as_class(tensors: Any, cls: Any) -> Any:
    import torch

    return keras.tree.map_structure(
        lambda x: x.as_subclass(cls) if isinstance(x, torch.Tensor) else x, tensors
    )


@functools.cache
def _rebinding_class() -> Any:
    """A tensor of torch without operators in place: Python then takes the others."""
    import torch

    def not_in_place(self: Any, other: Any) -> Any:
        return NotImplemented

    methods = {f"__i{name}__": not_in_place for name in IN_PLACE}
    return type("Rebinding", (torch.Tensor,), methods)

"""The initializations of Keras 1.2.2, by name.

The scales of Keras 3 differ: it truncates normal distributions, and counts the inputs of a kernel
by its own layout. Source: Keras 1.2.2.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import keras
import numpy as np
from keras import ops

from normscope.errors import ShapeError, SpecError

Tensor: TypeAlias = Any
Given: TypeAlias = str | Callable[..., Any]
Size: TypeAlias = Sequence[int]


def fans(shape: Size, dim_ordering: str = "th") -> tuple[float, float]:
    """How many inputs a unit has and how many units an input reaches, as Keras 1 counts.

    Args:
        shape: of a weight: a matrix, a kernel of 4 or 5 axes, or any other.
        dim_ordering: "th": (out, in, ...); "tf": (..., in, out), of which Keras 1 takes two axes
            of space, for kernels of 5 axes too.

    >>> fans((16, 3, 5, 5)), fans((5, 5, 3, 16), "tf")
    ((75.0, 400.0), (75.0, 400.0))
    """
    if len(shape) == 2:
        return float(shape[0]), float(shape[1])
    if len(shape) in (4, 5) and dim_ordering == "th":
        field = math.prod(shape[2:])
        return float(shape[1] * field), float(shape[0] * field)
    if len(shape) in (4, 5):
        field = math.prod(shape[:2])
        return float(shape[-2] * field), float(shape[-1] * field)
    root = math.sqrt(math.prod(shape))
    return root, root


def _uniform(shape: Size, scale: float) -> Tensor:
    return keras.initializers.RandomUniform(-scale, scale)(shape)


def _normal(shape: Size, deviation: float) -> Tensor:
    return keras.initializers.RandomNormal(0.0, deviation)(shape)


def uniform(shape: Size, dim_ordering: str = "th") -> Tensor:
    """Uniform between -0.05 and 0.05."""
    return _uniform(shape, 0.05)


def normal(shape: Size, dim_ordering: str = "th") -> Tensor:
    """Normal with standard deviation 0.05."""
    return _normal(shape, 0.05)


def lecun_uniform(shape: Size, dim_ordering: str = "th") -> Tensor:
    """Uniform between -s and s, s = sqrt(3 / fan_in)."""
    return _uniform(shape, math.sqrt(3.0 / fans(shape, dim_ordering)[0]))


def glorot_normal(shape: Size, dim_ordering: str = "th") -> Tensor:
    """Normal with variance 2 / (fan_in + fan_out)."""
    return _normal(shape, math.sqrt(2.0 / sum(fans(shape, dim_ordering))))


def glorot_uniform(shape: Size, dim_ordering: str = "th") -> Tensor:
    """Uniform between -s and s, s = sqrt(6 / (fan_in + fan_out))."""
    return _uniform(shape, math.sqrt(6.0 / sum(fans(shape, dim_ordering))))


def he_normal(shape: Size, dim_ordering: str = "th") -> Tensor:
    """Normal with variance 2 / fan_in, not truncated."""
    return _normal(shape, math.sqrt(2.0 / fans(shape, dim_ordering)[0]))


def he_uniform(shape: Size, dim_ordering: str = "th") -> Tensor:
    """Uniform between -s and s, s = sqrt(6 / fan_in)."""
    return _uniform(shape, math.sqrt(6.0 / fans(shape, dim_ordering)[0]))


def orthogonal(shape: Size, dim_ordering: str = "th") -> Tensor:
    """1.1 times a matrix with orthogonal rows or columns; the first axis makes the rows."""
    flat = (shape[0], math.prod(shape[1:]))
    left, _, right = ops.svd(_normal(flat, 1.0), full_matrices=False)
    return 1.1 * ops.reshape(left if tuple(left.shape) == flat else right, shape)


def identity(shape: Size, dim_ordering: str = "th") -> Tensor:
    """The unit matrix.

    Raises:
        ShapeError: the weight is not a square matrix.
    """
    if len(shape) != 2 or shape[0] != shape[1]:
        raise ShapeError("init='identity' makes square matrices only", None, shape)
    return ops.eye(shape[0])


def zero(shape: Size, dim_ordering: str = "th") -> Tensor:
    """All 0."""
    return ops.zeros(shape)


def one(shape: Size, dim_ordering: str = "th") -> Tensor:
    """All 1."""
    return ops.ones(shape)


INITIALIZATIONS: dict[str, Callable[..., Tensor]] = {
    function.__name__: function
    for function in (
        *(uniform, lecun_uniform, normal, identity, orthogonal, zero, one),
        *(glorot_normal, glorot_uniform, he_normal, he_uniform),
    )
}


def resolve(given: Given) -> Callable[..., Any]:
    """An initialization by name, a function as it is.

    Raises:
        SpecError: there is no initialization of that name.

    >>> resolve("he_normal").__name__
    'he_normal'
    """
    if callable(given):
        return given
    if given not in INITIALIZATIONS:
        raise SpecError(f"Keras 1 has no init {given!r}; it has {', '.join(INITIALIZATIONS)}")
    function: Callable[..., Any] = INITIALIZATIONS[given]
    return function


def get(given: Given, dim_ordering: str = "th") -> Callable[..., Tensor]:
    """The initializer of Keras 3, a function (shape, dtype), for an init of Keras 1.

    Args:
        given: a name, a function of the shape as in Keras 1, or an initializer of Keras 3.
        dim_ordering: of the kernel; see `fans`.

    Raises:
        SpecError: there is no initialization of that name.
    """
    function = resolve(given)
    if isinstance(function, keras.initializers.Initializer):
        found: Callable[..., Tensor] = function
        return found

    def initialize(shape: Size, dtype: Any = None) -> Tensor:
        if function in INITIALIZATIONS.values():
            return ops.cast(function(shape, dim_ordering), dtype)
        return ops.convert_to_tensor(np.asarray(_called(function, shape, dim_ordering)), dtype)

    return initialize


def _called(function: Callable[..., Any], shape: Size, dim_ordering: str) -> Any:
    """A function of the user, given the name and the ordering if it takes them, as in Keras 1."""
    try:
        taken = inspect.signature(function).parameters
    except ValueError:  # written in C
        return function(shape)
    offered = {"name": None, "dim_ordering": dim_ordering}
    return function(shape, **{key: value for key, value in offered.items() if key in taken})

"""`keras.initializations` of Keras 1.2.2: functions from a shape to a variable."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

import keras

from normscope.keras1.backend.variables import variable
from normscope.keras1.live.layers import initializers
from normscope.keras1.live.layers.base import Tensor

Size = Sequence[int]

get_fans = initializers.fans


def uniform(
    shape: Size, scale: float = 0.05, name: str | None = None, dim_ordering: str = "th"
) -> Tensor:
    """Uniform between -scale and scale."""
    return _variable(keras.initializers.RandomUniform(-scale, scale)(tuple(shape)), name)


def normal(
    shape: Size, scale: float = 0.05, name: str | None = None, dim_ordering: str = "th"
) -> Tensor:
    """Normal with standard deviation `scale`."""
    return _variable(keras.initializers.RandomNormal(0.0, scale)(tuple(shape)), name)


def lecun_uniform(shape: Size, name: str | None = None, dim_ordering: str = "th") -> Tensor:
    """Uniform between -s and s, s = sqrt(3 / fan_in)."""
    return _variable(initializers.lecun_uniform(tuple(shape), dim_ordering), name)


def glorot_normal(shape: Size, name: str | None = None, dim_ordering: str = "th") -> Tensor:
    """Normal with variance 2 / (fan_in + fan_out)."""
    return _variable(initializers.glorot_normal(tuple(shape), dim_ordering), name)


def glorot_uniform(shape: Size, name: str | None = None, dim_ordering: str = "th") -> Tensor:
    """Uniform between -s and s, s = sqrt(6 / (fan_in + fan_out)).

    >>> glorot_uniform((2, 3), name="dense_1_W").shape
    (2, 3)
    """
    return _variable(initializers.glorot_uniform(tuple(shape), dim_ordering), name)


def he_normal(shape: Size, name: str | None = None, dim_ordering: str = "th") -> Tensor:
    """Normal with variance 2 / fan_in."""
    return _variable(initializers.he_normal(tuple(shape), dim_ordering), name)


def he_uniform(shape: Size, name: str | None = None, dim_ordering: str = "th") -> Tensor:
    """Uniform between -s and s, s = sqrt(6 / fan_in)."""
    return _variable(initializers.he_uniform(tuple(shape), dim_ordering), name)


def orthogonal(
    shape: Size, scale: float = 1.1, name: str | None = None, dim_ordering: str = "th"
) -> Tensor:
    """`scale` times a matrix with orthogonal rows or columns."""
    return _variable(initializers.orthogonal(tuple(shape)) * (scale / 1.1), name)


def identity(
    shape: Size, scale: float = 1, name: str | None = None, dim_ordering: str = "th"
) -> Tensor:
    """`scale` times the unit matrix."""
    return _variable(initializers.identity(tuple(shape)) * scale, name)


def zero(shape: Size, name: str | None = None, dim_ordering: str = "th") -> Tensor:
    """All 0."""
    return _variable(initializers.zero(tuple(shape)), name)


def one(shape: Size, name: str | None = None, dim_ordering: str = "th") -> Tensor:
    """All 1."""
    return _variable(initializers.one(tuple(shape)), name)


def get(identifier: initializers.Given, **settings: Any) -> Callable[..., Tensor]:
    """The function of a name; a function as it is.

    Raises:
        SpecError: there is no initialization of that name.
    """
    function: Callable[..., Tensor] = initializers.resolve(identifier)
    if isinstance(identifier, str):
        function = globals()[identifier]
    return functools.partial(function, **settings) if settings else function


def _variable(values: Tensor, name: str | None) -> Tensor:
    return variable(keras.ops.convert_to_numpy(values), name=name)

"""Variables and their values."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any

import keras
import numpy as np
import numpy.typing as npt
from keras import ops

from normscope.errors import SpecError
from normscope.keras1.live.layers import phase
from normscope.keras1.live.layers.base import Tensor

__all__ = [
    "batch_get_value",
    "batch_set_value",
    "count_params",
    "dtype",
    "eval",
    "eye",
    "get_value",
    "get_variable_shape",
    "int_shape",
    "moving_average_update",
    "ndim",
    "ones",
    "placeholder",
    "random_normal_variable",
    "random_uniform_variable",
    "set_value",
    "shape",
    "update",
    "update_add",
    "update_sub",
    "variable",
    "zeros",
]

Array = npt.NDArray[Any]


def variable(value: Any, dtype: str | None = None, name: str | None = None) -> Tensor:
    """A variable; a layer trains it if it is in its `trainable_weights`.

    >>> get_value(variable([1, 2])).tolist()
    [1.0, 2.0]
    """
    if hasattr(value, "toarray"):  # a sparse matrix of SciPy
        value = value.toarray()
    made = keras.Variable(
        np.asarray(value),
        dtype=dtype or keras.config.floatx(),
        name=None if name is None else name.replace("/", "_").replace(":", "_"),
    )
    made.trainable = False  # not before: TensorFlow watches only what was made to be trained
    return made


def zeros(shape: Sequence[int], dtype: str | None = None, name: str | None = None) -> Tensor:
    """A variable of zeros."""
    return variable(np.zeros(tuple(shape)), dtype, name)


def ones(shape: Sequence[int], dtype: str | None = None, name: str | None = None) -> Tensor:
    """A variable of ones."""
    return variable(np.ones(tuple(shape)), dtype, name)


def eye(size: int, dtype: str | None = None, name: str | None = None) -> Tensor:
    """A variable: the unit matrix."""
    return variable(np.eye(size), dtype, name)


def random_uniform_variable(
    shape: Sequence[int],
    low: float,
    high: float,
    dtype: str | None = None,
    name: str | None = None,
    seed: int | None = None,
) -> Tensor:
    """A variable of numbers uniform between low and high."""
    drawn = keras.random.uniform(tuple(shape), low, high, seed=seed)
    return variable(ops.convert_to_numpy(drawn), dtype, name)


def random_normal_variable(
    shape: Sequence[int],
    mean: float,
    scale: float,
    dtype: str | None = None,
    name: str | None = None,
    seed: int | None = None,
) -> Tensor:
    """A variable of normal numbers."""
    drawn = keras.random.normal(tuple(shape), mean, scale, seed=seed)
    return variable(ops.convert_to_numpy(drawn), dtype, name)


def placeholder(
    shape: Sequence[int | None] | None = None,
    ndim: int | None = None,
    dtype: str | None = None,
    sparse: bool = False,
    name: str | None = None,
) -> Tensor:
    """A symbolic input, with the axis of the batch.

    >>> int_shape(placeholder(ndim=2))
    (None, None)
    """
    if shape is None and ndim is None:
        raise SpecError("placeholder takes shape=(...) or ndim=...")
    sizes = tuple(shape) if shape is not None else (None,) * int(ndim or 0)
    return keras.Input(batch_shape=sizes, dtype=dtype, sparse=sparse or None, name=name)


def shape(x: Any) -> Any:
    """The sizes of a tensor, those that are not known as tensors."""
    return ops.shape(x)


def int_shape(x: Any) -> tuple[int | None, ...]:
    """The sizes of a tensor, None for those that are not known."""
    return tuple(x.shape)


get_variable_shape = int_shape


def ndim(x: Any) -> int:
    """The number of axes."""
    return len(x.shape)


def dtype(x: Any) -> str:
    """The dtype by its name."""
    name: str = keras.backend.standardize_dtype(x.dtype)
    return name


def count_params(x: Any) -> int:
    """The number of values."""
    return math.prod(x.shape)


def eval(x: Any) -> Any:  # the name that Keras 1 gave it
    """The values of a tensor.

    >>> float(eval(ops.ones(())))
    1.0
    """
    if isinstance(x, keras.KerasTensor):
        raise SpecError(
            f"{x.name!r} is symbolic and has no values; "
            "write K.function([model.input], [x])([array])"
        )
    return ops.convert_to_numpy(x)


def get_value(x: Any) -> Array:
    """The values of a variable."""
    found: Array = np.asarray(eval(x))
    return found


def batch_get_value(xs: Iterable[Any]) -> list[Array]:
    """The values of several variables."""
    return [get_value(x) for x in xs]


def set_value(x: Any, value: Any) -> None:
    """Set the values of a variable."""
    if not isinstance(x, keras.Variable):
        raise SpecError(f"only a variable can be set, not a {type(x).__name__}")
    x.assign(np.asarray(value))


def batch_set_value(tuples: Iterable[tuple[Any, Any]]) -> None:
    """Set the values of several variables, each as (variable, value)."""
    for x, value in tuples:
        set_value(x, value)


def update(x: Any, new_x: Any) -> Any:
    """Set a variable, unless a layer runs outside training. Nothing need be done with the result.

    Keras 1 made an operation of it, which `add_update` had to be told, and which training alone
    ran.
    """
    if phase.in_training() is not False:
        x.assign(ops.cast(new_x, x.dtype))
    return x


def update_add(x: Any, increment: Any) -> Any:
    """Add to a variable; see `update`."""
    return update(x, x + increment)


def update_sub(x: Any, decrement: Any) -> Any:
    """Subtract from a variable; see `update`."""
    return update(x, x - decrement)


def moving_average_update(variable: Any, value: Any, momentum: float) -> Any:
    """Set a variable to momentum * variable + (1 - momentum) * value; see `update`."""
    return update(variable, momentum * variable + (1 - momentum) * value)

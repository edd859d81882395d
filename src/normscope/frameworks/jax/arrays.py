"""Arrays of JAX as NumPy arrays, and back."""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp
import numpy as np

from normscope.frameworks.trees import Array


def to_numpy(array: Any) -> Array:
    """The numbers of an array."""
    return np.array(array)


def like(original: Any, value: Array) -> Any:
    """New values in the dtype of an array."""
    return jnp.asarray(value, dtype=original.dtype)


def from_numpy(array: Array, dtype: str) -> Any:
    """An array of this dtype."""
    return jnp.asarray(array, dtype=dtype)

"""Arrays of JAX as NumPy arrays, and back."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from normscope.frameworks.trees import Array


def to_numpy(array: Any) -> Array:
    """The numbers of an array."""
    return np.array(array)


def like(original: Any, value: Array) -> Any:
    """New values in the dtype of an array."""
    return jnp.asarray(value, dtype=original.dtype)


class JaxArrays:
    """Arrays of JAX to NumPy's and back, as a graph needs it."""

    def to_numpy(self, array: Any) -> Array:
        """The numbers of an array; of half precisions as float32, of random keys their data."""
        if jnp.issubdtype(array.dtype, jax.dtypes.prng_key):
            array = jax.random.key_data(array)
        found = to_numpy(array)
        return found if found.dtype.kind in "biufc" else found.astype(np.float32)

    def from_numpy(self, array: Array, dtype: str) -> Any:
        """An array of this dtype."""
        return jnp.asarray(array, dtype=dtype)

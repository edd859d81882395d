"""Trees of JAX: their arrays by name."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp

from normscope.frameworks.arrays import to_numpy
from normscope.frameworks.trees import Array


def leaves(tree: Any) -> dict[str, Array]:
    """The arrays of a tree by path; keys of random generators and what is no array are left out."""
    found = {}
    for path, leaf in jax.tree_util.tree_flatten_with_path(tree)[0]:
        if is_number(leaf):
            found[jax.tree_util.keystr(path)] = to_numpy(leaf)
    return found


def with_leaf(tree: Any, name: str, value: Array) -> Any:
    """The tree with one leaf replaced."""

    def replaced(path: Any, leaf: Any) -> Any:
        if jax.tree_util.keystr(path) != name or not is_number(leaf):
            return leaf
        return jnp.asarray(value, dtype=leaf.dtype)

    return jax.tree_util.tree_map_with_path(replaced, tree)


def is_number(leaf: Any) -> bool:
    """Whether a leaf is an array of numbers, and not the key of a random generator."""
    if not hasattr(leaf, "dtype") or not hasattr(leaf, "shape"):
        return False
    return not jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key) and leaf.dtype != jnp.uint32

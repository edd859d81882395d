"""Inputs of the shapes that a model of Keras tells itself."""

from __future__ import annotations

from math import prod
from typing import Any

import keras
import numpy as np

from normscope.frameworks.trees import Array

SAMPLES = 4
MOST_ELEMENTS = 2**26
"""Of all inputs together: a file may claim any shape."""

_IN_IMAGES, _ELSEWHERE = 64, 6
"""The first length of an axis that may have any; what is cut down again and again needs more."""


def example(layer: Any) -> Any:
    """Inputs for a model, nested as it takes them; None if it tells no shapes.

    Each length that is left open is another one, so that axes can be told apart.
    """
    wanted = _wanted(layer)
    if wanted is None:
        return None
    lengths: dict[bool, int] = {True: _IN_IMAGES, False: _ELSEWHERE}
    rng = np.random.default_rng(0)
    elements = 0

    def made(one: Any) -> Array:
        nonlocal elements
        shape = list(one.shape)
        if shape and shape[0] is None:
            shape[0] = SAMPLES
        image = len(shape) > 3
        for place, length in enumerate(shape):
            if length is None:
                shape[place] = lengths[image]
                lengths[image] += 2
        elements += prod(shape)
        if elements > MOST_ELEMENTS:
            raise OverflowError
        dtype = keras.backend.standardize_dtype(one.dtype)
        if dtype == "bool":
            return rng.integers(0, 2, shape).astype(bool)
        if "int" in dtype:  # indices of the smallest table there is
            return rng.integers(0, 2, shape).astype(dtype)
        return rng.normal(size=shape).astype("float64" if dtype == "float64" else "float32")

    try:
        return keras.tree.map_structure(made, wanted)
    except (OverflowError, TypeError):  # too large, or texts
        return None


def _wanted(layer: Any) -> Any:
    """What has the shapes and dtypes of the inputs, nested as the model takes them."""
    functional = getattr(layer, "_functional", layer)
    found = getattr(functional, "_inputs_struct", None)
    if found is not None:
        return None if _holds_text(found) else found
    try:
        shape = (layer.get_build_config() or {}).get("input_shape")
    except Exception:  # a user's own method
        return None
    if not isinstance(shape, list | tuple) or not all(n is None or type(n) is int for n in shape):
        return None
    return keras.KerasTensor(shape, dtype=layer.compute_dtype or "float32")


def _holds_text(wanted: Any) -> bool:
    return any(
        keras.backend.standardize_dtype(one.dtype) == "string" for one in keras.tree.flatten(wanted)
    )

"""`KerasState`: everything in a layer of Keras 3 that a call may change, as it was found."""

from __future__ import annotations

import contextlib
from typing import Any

import keras
import numpy as np

from normscope.identify.adapters.attributes import Attributes
from normscope.identify.adapters.base import Array


class KerasState:
    """Variables, seeds and attributes of a built layer with all its sublayers."""

    def __init__(self, layer: Any) -> None:
        self._attributes = Attributes(layer._flatten_layers())
        self._values = [(v, to_numpy(v)) for v in layer.variables if not is_generator(v)]
        self._seeds = [(v, to_numpy(v)) for v in layer.variables if is_generator(v)]

    def put_back(self, stream: int | None = 0) -> None:
        """Write back whatever has changed.

        Args:
            stream: of random numbers: 0 draws what would have been drawn, another number draws
                others, None lets the random generators go on.
        """
        self._attributes.put_back()
        with no_gradients():
            for variable, value in self._values:
                if not np.array_equal(value, to_numpy(variable), equal_nan=True):
                    variable.assign(value)
            for variable, value in self._seeds if stream is not None else []:
                variable.assign(value + np.asarray(stream, value.dtype))


def is_generator(variable: Any) -> bool:
    """Whether a variable is the state of a random generator."""
    return "seed_generator" in variable.path


def to_numpy(value: Any) -> Array:
    """A tensor or variable as a NumPy array; half precisions as float32, which holds them."""
    # a variable of Keras does not take the arguments of np.array, its value does
    array = np.array(keras.ops.convert_to_numpy(getattr(value, "value", value)))
    return array if array.dtype.kind in "fiub" and array.itemsize > 2 else array.astype(np.float32)


def no_gradients() -> contextlib.AbstractContextManager[Any]:
    """Within, the torch backend records no gradients."""
    if keras.backend.backend() != "torch":
        return contextlib.nullcontext()
    import torch

    return torch.no_grad()

"""`KerasState`: everything in a layer of Keras 3 that a call may change, as it was found."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import keras
import numpy as np

from normscope.frameworks.attributes import Attributes
from normscope.frameworks.layer import Array
from normscope.frameworks.state import State

if TYPE_CHECKING:
    from normscope.frameworks.torch.own_tensors import OwnTensors


class KerasState(State):
    """Variables, seeds and attributes of a layer with all its sublayers.

    On the torch backend the layer holds copies of its tensors within `kept`, so that the tensors
    themselves are never written to.
    """

    def __init__(self, layer: Any) -> None:
        layers = list(layer._flatten_layers())
        self._attributes = Attributes(layers)
        self._tensors = _own_tensors(layer, layers)
        self._examined = False
        self._values = [(v, to_numpy(v)) for v in layer.variables if not is_generator(v)]
        self._seeds = [(v, to_numpy(v)) for v in layer.variables if is_generator(v)]

    @contextlib.contextmanager
    def kept(self) -> Iterator[None]:
        """Whatever happens inside, the layer is afterwards as it was before."""
        self._examined = True
        try:
            if self._tensors is not None:
                self._tensors.install()
            yield
        finally:
            self._examined = False
            self.put_back()

    def put_back(self, stream: int | None = 0) -> None:
        """Put back whatever has changed.

        Args:
            stream: of random numbers: 0 draws what would have been drawn, another number draws
                others, None lets the random generators go on.
        """
        self._attributes.put_back()
        if self._tensors is not None:
            if self._examined:
                self._tensors.install()
            else:
                self._tensors.give_back()
        with no_gradients():
            for variable, value in self._values:
                if not np.array_equal(value, to_numpy(variable), equal_nan=True):
                    variable.assign(value)
            for variable, value in self._seeds if stream is not None else []:
                variable.assign(value + np.asarray(stream, value.dtype))


def _own_tensors(layer: Any, layers: list[Any]) -> OwnTensors | None:
    """The tensors of the torch backend, in variables and anywhere else in the layers."""
    if keras.backend.backend() != "torch":
        return None
    import torch

    from normscope.frameworks.torch.own_tensors import OwnTensors, modules_in

    modules = modules_in(layer) if isinstance(layer, torch.nn.Module) else layers
    # random generators may have to go on
    return OwnTensors([*modules, *(v for v in layer.variables if not is_generator(v))])


def is_generator(variable: Any) -> bool:
    """Whether a variable is the state of a random generator."""
    return "seed_generator" in variable.path


def to_numpy(value: Any) -> Array:
    """A tensor or variable as a NumPy array; half precisions as float32, which holds them."""
    # a variable of Keras does not take the arguments of np.array, its value does
    array = np.array(keras.ops.convert_to_numpy(getattr(value, "value", value)))
    return array if array.dtype.kind in "fiub" and array.itemsize > 2 else array.astype(np.float32)


def torch_randomness_kept() -> contextlib.AbstractContextManager[Any]:
    """Within, the torch backend may draw random numbers that nobody misses afterwards."""
    if keras.backend.backend() != "torch":
        return contextlib.nullcontext()
    import torch

    return torch.random.fork_rng(devices=[])


def no_gradients() -> contextlib.AbstractContextManager[Any]:
    """Within, the torch backend records no gradients."""
    if keras.backend.backend() != "torch":
        return contextlib.nullcontext()
    import torch

    return torch.no_grad()

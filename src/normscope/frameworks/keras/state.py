"""`KerasState`: everything in a layer of Keras 3 that a call may change, as it was found."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import keras
import numpy as np

from normscope.frameworks.arrays import to_numpy
from normscope.frameworks.attributes import Attributes
from normscope.frameworks.state import State
from normscope.frameworks.trees import Array

if TYPE_CHECKING:
    from normscope.frameworks.torch.tensor_copies import TensorCopies


class KerasState(State):
    """Variables, seeds and attributes of a layer with all its sublayers.

    On the torch backend the layer holds copies of its tensors within `kept`, so that the tensors
    themselves are never written to.
    """

    def __init__(self, layer: Any) -> None:
        layers = list(layer._flatten_layers())
        self._attributes = Attributes(layers)
        self._copies = _tensor_copies(layer, layers)
        self._examined = False
        self._values = [(v, value_of(v)) for v in layer.variables if not is_generator(v)]
        self._seeds = [(v, value_of(v)) for v in layer.variables if is_generator(v)]

    @contextlib.contextmanager
    def kept(self) -> Iterator[None]:
        """Whatever happens inside, the layer is afterwards as it was before."""
        self._examined = True
        try:
            if self._copies is not None:
                self._copies.install()
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
        if self._copies is not None:
            if self._examined:
                self._copies.install()
            else:
                self._copies.give_back()
        with no_gradients():
            for variable, value in self._values:
                if not _holds(variable, value):
                    variable.assign(value)
            for variable, value in self._seeds if stream is not None else []:
                variable.assign(value + np.asarray(stream, value.dtype))


def built_state(layer: Any) -> KerasState | None:
    """The state of a layer that is built; of another, the first call makes what it holds."""
    return KerasState(layer) if layer.built else None


def _tensor_copies(layer: Any, layers: list[Any]) -> TensorCopies | None:
    """The tensors of the torch backend, in variables and anywhere else in the layers."""
    if keras.backend.backend() != "torch":
        return None
    import torch

    from normscope.frameworks.torch.tensor_copies import TensorCopies, modules_in

    modules = modules_in(layer) if isinstance(layer, torch.nn.Module) else layers
    # random generators may have to go on
    return TensorCopies([*modules, *(v for v in layer.variables if not is_generator(v))])


def _holds(variable: Any, value: Array) -> bool:
    try:
        return np.array_equal(value, value_of(variable), equal_nan=True)
    except Exception:  # what JAX left there when it followed a function has no numbers
        return False


def is_generator(variable: Any) -> bool:
    """Whether a variable is the state of a random generator."""
    return "seed_generator" in variable.path


def value_of(variable: Any) -> Array:
    """The numbers of a variable, or of a tensor of the backend."""
    held = getattr(variable, "value", variable)
    if keras.backend.backend() == "torch":  # of which NumPy would share the memory, for good
        held = held.detach().clone()
    return to_numpy(held)


def no_gradients() -> contextlib.AbstractContextManager[Any]:
    """Within, the torch backend records no gradients."""
    if keras.backend.backend() != "torch":
        return contextlib.nullcontext()
    import torch

    return torch.no_grad()

"""Keras 3 layers, on the backend that the process runs."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import keras
import numpy as np
from keras.src.backend.common import global_state

from normscope.frameworks.attributes import Attributes
from normscope.frameworks.keras.build import built
from normscope.frameworks.keras.state import (
    KerasState,
    is_generator,
    no_gradients,
    to_numpy,
    torch_randomness_kept,
)
from normscope.frameworks.layer import Adapter, Array, class_title, first_array


class KerasAdapter(Adapter):
    """A layer of Keras; of one that is not built yet, a copy is built where one can be made."""

    def __init__(
        self, layer: Any, shape: tuple[int, ...], others: tuple[Any, ...], inputs: dict[str, Any]
    ) -> None:
        self.others = others
        self.inputs = inputs
        self.takes_training = "training" in inspect.signature(layer.call).parameters
        # a mixed policy takes its input in the dtype of the variables
        self.keras_dtype = str(layer.compute_dtype or "float32")
        known = np.dtype(np.float64 if self.keras_dtype == "float64" else np.float32)
        modes = (True, False) if self.takes_training else (False,)
        super().__init__(class_title(layer), known, modes)
        self.title = f"keras.layers.{type(layer).__name__}"
        self.eps = _machine_epsilon(self.keras_dtype)
        self.layer, notes = built(layer, lambda made: self._output(made, np.zeros(shape), False))
        self.notes += notes
        self._caller = _caller()
        self._attributes: Attributes | None = None
        self.constants = frozenset(_constants(self.layer))
        self.variables = {
            f"{variable.path}" if i == 0 else f"{variable.path}#{i}": variable
            for i, variable in _numbered(self.layer.variables)
        }
        self.learned = frozenset(
            name for name, variable in self.variables.items() if variable.trainable
        )

    def _tensor(self, x: Array) -> Any:
        return keras.ops.convert_to_tensor(np.array(x, self.dtype), dtype=self.keras_dtype)

    def _output(self, layer: Any, x: Array, training: bool) -> Any:
        arguments = dict(self.inputs)
        if self.takes_training:
            arguments["training"] = training
        return layer(self._tensor(x), *self.others, **arguments)

    def received(self, x: Array) -> Array:
        """`x` in the layer's own dtype."""
        return to_numpy(self._tensor(x))

    def call(self, x: Array, training: bool) -> Array:
        """The output for one input."""

        def called() -> Array:
            return to_numpy(first_array(self._output(self.layer, x, training)))

        with no_gradients():
            return called() if self._caller is None else self._caller(called)

    def arrays(self) -> dict[str, Array]:
        """Parameters and state by name."""
        variables = {name: to_numpy(variable) for name, variable in self.variables.items()}
        constants = {name: to_numpy(getattr(self.layer, name)) for name in self.constants}
        return {**variables, **constants}

    def write(self, name: str, value: Array) -> None:
        """Replace one array."""
        with no_gradients():
            if name in self.constants:
                old = getattr(self.layer, name)
                setattr(self.layer, name, keras.ops.convert_to_tensor(value, dtype=old.dtype))
            else:
                self.variables[name].assign(np.array(value))

    @property
    def may_remember(self) -> bool:
        """Whether a call has changed plain attributes."""
        return self._attributes is not None and self._attributes.changed(but=self.constants)

    @contextmanager
    def kept(self) -> Iterator[None]:
        """Puts values, modes and random generators back."""
        state = KerasState(self.layer)
        shared = global_state.get_global_attribute("global_seed_generator")
        seed = None if shared is None else to_numpy(shared.state)
        with torch_randomness_kept():
            try:
                with state.kept():
                    self._attributes = Attributes(list(self.layer._flatten_layers()))
                    for name, value in self.arrays().items():
                        if name in self.constants:  # on torch it may be a view of a variable
                            self.write(name, value)
                    yield
            finally:
                if shared is not None:
                    shared.state.assign(seed)


def _caller() -> Callable[[Callable[[], Array]], Array] | None:
    if keras.backend.backend() != "jax":
        return None
    from normscope.frameworks.jax.caller import Caller

    return Caller()


def _constants(layer: Any) -> Iterator[str]:
    """Attributes of a layer that are plain tensors, such as what `Normalization` has adapted to."""
    for name, value in vars(layer).items():
        if isinstance(value, keras.Variable) or not keras.ops.is_tensor(value):
            continue
        if value.ndim and to_numpy(value).dtype.kind == "f":
            yield name


def _numbered(variables: list[Any]) -> Iterator[tuple[int, Any]]:
    """Each variable that is no random generator, with a number that tells equal paths apart."""
    seen: dict[str, int] = {}
    for variable in variables:
        if not is_generator(variable):
            number = seen.get(variable.path, 0)
            seen[variable.path] = number + 1
            yield number, variable


def _machine_epsilon(dtype: str) -> float:
    return 2.0**-7 if dtype == "bfloat16" else float(np.finfo(dtype).eps)

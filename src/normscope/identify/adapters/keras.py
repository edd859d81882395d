"""Keras 3 layers, on the backend that the process runs."""

from __future__ import annotations

import contextlib
import inspect
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import keras
import numpy as np
from keras.src.backend.common import global_state

from normscope.identify.adapters.base import Adapter, Array, class_title, first_array


class KerasAdapter(Adapter):
    """A layer of Keras; one that is not built yet is copied, since building is for good."""

    def __init__(
        self, layer: Any, shape: tuple[int, ...], others: tuple[Any, ...], inputs: dict[str, Any]
    ) -> None:
        self.others = others
        self.inputs = inputs
        self.layer = layer if layer.built else type(layer).from_config(layer.get_config())
        self.takes_training = "training" in inspect.signature(layer.call).parameters
        # a mixed policy takes its input in the dtype of the variables
        self.keras_dtype = str(layer.compute_dtype or "float32")
        known = np.dtype(np.float64 if self.keras_dtype == "float64" else np.float32)
        modes = (True, False) if self.takes_training else (False,)
        super().__init__(class_title(layer), known, modes)
        self.title = f"keras.layers.{type(layer).__name__}"
        self.eps = _machine_epsilon(self.keras_dtype)
        if not self.layer.built:
            with self._no_gradients():
                self.layer(self._tensor(np.zeros(shape)), *others, **inputs)
        self.variables = {
            f"{variable.path}" if i == 0 else f"{variable.path}#{i}": variable
            for i, variable in _numbered(self.layer.variables)
        }
        self.learned = frozenset(
            name for name, variable in self.variables.items() if variable.trainable
        )

    def _tensor(self, x: Array) -> Any:
        return keras.ops.convert_to_tensor(np.array(x, self.dtype), dtype=self.keras_dtype)

    def received(self, x: Array) -> Array:
        """`x` in the layer's own dtype."""
        return _numpy(self._tensor(x))

    def call(self, x: Array, training: bool) -> Array:
        """The output for one input."""
        arguments = dict(self.inputs)
        if self.takes_training:
            arguments["training"] = training
        with self._no_gradients():
            return _numpy(first_array(self.layer(self._tensor(x), *self.others, **arguments)))

    def arrays(self) -> dict[str, Array]:
        """Parameters and state by name."""
        return {name: _numpy(variable) for name, variable in self.variables.items()}

    def write(self, name: str, value: Array) -> None:
        """Replace one array."""
        with self._no_gradients():
            self.variables[name].assign(np.array(value))

    @contextmanager
    def kept(self) -> Iterator[None]:
        """Puts values, modes and random generators back."""
        generators = [v for v in self.layer.variables if _is_generator(v)]
        shared = global_state.get_global_attribute("global_seed_generator")
        generators += [] if shared is None else [shared.state]
        values = [np.array(_numpy(generator)) for generator in generators]
        before = {name: _numpy(variable) for name, variable in self.variables.items()}
        with self._kept_torch():
            try:
                yield
            finally:
                for generator, value in zip(generators, values, strict=True):
                    generator.assign(value)
                for name, value in before.items():
                    if not np.array_equal(value, _numpy(self.variables[name]), equal_nan=True):
                        self.write(name, value)

    def _kept_torch(self) -> contextlib.AbstractContextManager[Any]:
        if keras.backend.backend() != "torch":
            return contextlib.nullcontext()
        import torch

        return torch.random.fork_rng(devices=[])

    def _no_gradients(self) -> contextlib.AbstractContextManager[Any]:
        if keras.backend.backend() != "torch":
            return contextlib.nullcontext()
        import torch

        return torch.no_grad()


def _numbered(variables: list[Any]) -> Iterator[tuple[int, Any]]:
    """Each variable that is no random generator, with a number that tells equal paths apart."""
    seen: dict[str, int] = {}
    for variable in variables:
        if not _is_generator(variable):
            number = seen.get(variable.path, 0)
            seen[variable.path] = number + 1
            yield number, variable


def _is_generator(variable: Any) -> bool:
    return "seed_generator" in variable.path


def _numpy(value: Any) -> Array:
    # a variable of Keras does not take the arguments of np.array, its value does
    array = np.array(keras.ops.convert_to_numpy(getattr(value, "value", value)))
    return array if array.dtype.kind in "fiub" and array.itemsize > 2 else array.astype(np.float32)


def _machine_epsilon(dtype: str) -> float:
    return 2.0**-7 if dtype == "bfloat16" else float(np.finfo(dtype).eps)

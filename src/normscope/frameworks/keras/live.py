"""Layers and models of Keras 3, on the backend that the process runs."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import keras
import numpy as np
from keras.src.models.functional import Functional

from normscope.errors import NormscopeError
from normscope.frameworks.attributes import Attributes
from normscope.frameworks.inputs import Inputs, Passing
from normscope.frameworks.keras.build import built
from normscope.frameworks.keras.decay import decays
from normscope.frameworks.keras.example import example
from normscope.frameworks.keras.state import KerasState, is_generator, no_gradients, value_of
from normscope.frameworks.keras.sublayers import paths_of, watched_sublayers
from normscope.frameworks.live import FirstCall, Live
from normscope.frameworks.recorder import Recorder
from normscope.frameworks.trees import Array
from normscope.graph.operators import Graph

_NO_INPUTS = ("mask",)


class KerasLive(Live):
    """A layer or model; of one that is not built yet, a copy is built where one can be made.

    Functional models take their inputs as one structure, as Keras has it.
    """

    def __init__(self, layer: Any, first: FirstCall) -> None:
        kind = type(layer).__name__
        super().__init__(f"keras.layers.{kind}", kind, layer.call, reserved=_NO_INPUTS)
        self.layer = layer
        self.modes = (True, False)
        self._takes_training = "training" in inspect.signature(layer.call).parameters
        # a mixed policy takes its input in the dtype of the variables
        self._compute_dtype = str(layer.compute_dtype or "float32")
        self._find_dtype()
        if not layer.built:
            self._build(first)
        name = self.layer.name
        self.model_title = f"keras model {name}" if isinstance(layer, keras.Model) else name
        self._caller = _caller()
        self._attributes: Attributes | None = None
        self.constants = frozenset(_constants(self.layer))
        self._variables = {
            f"{variable.path}" if i == 0 else f"{variable.path}#{i}": variable
            for i, variable in _numbered(self.layer.variables)
        }
        self.learned = frozenset(
            name for name, variable in self._variables.items() if variable.trainable
        )
        self.remember(KerasState(self.layer))

    def _build(self, first: FirstCall) -> None:
        try:
            arguments, named = first(self)
            self.layer, notes = built(
                self.layer, lambda made: made(*arguments, **{**named, "training": False})
            )
        except NormscopeError:
            raise
        except Exception as error:  # a layer may refuse its input by any exception
            self.problem = error
        else:
            self.notes += notes
            self.function = self.layer.call

    def _find_dtype(self) -> None:
        if self._compute_dtype == "bfloat16":
            self.eps = 2.0**-7
        elif self._compute_dtype in ("float16", "float32", "float64"):
            self.eps = float(np.finfo(self._compute_dtype).eps)
        if self._compute_dtype == "float64":
            self.dtype = np.dtype(np.float64)

    @property
    def declared_modes(self) -> tuple[bool, ...]:
        """Both, where `call` takes `training`."""
        return self.modes if self._takes_training else (False,)

    # --- arguments in, arrays out ---------------------------------------------------------------

    def inputs(self, given: Any) -> Inputs:
        """The inputs, and how they are passed to the model."""
        if isinstance(self.layer, keras.Sequential | Functional):
            return Inputs(given, self.function, Passing.WHOLE)
        return super().inputs(given)

    def tensor(self, x: Array) -> Any:
        """Numbers in the dtype in which the layer computes."""
        return keras.ops.convert_to_tensor(np.array(x, self.dtype), dtype=self._compute_dtype)

    def call(self, arguments: tuple[Any, ...], named: dict[str, Any], training: bool) -> Any:
        """One call in a mode."""
        if self.problem is not None:
            raise self.problem
        return self.layer(*arguments, **{**named, "training": training})

    def without_gradients(self) -> AbstractContextManager[Any]:
        """Within, the torch backend records no gradients."""
        return no_gradients()

    def repeated(self, call: Callable[[], Array]) -> Array:
        """Make a call that is made often; JAX shall not compile it each time."""
        return call() if self._caller is None else self._caller(call)

    # --- arrays by name -------------------------------------------------------------------------

    def arrays(self) -> dict[str, Array]:
        """Parameters and state by name."""
        variables = {name: value_of(variable) for name, variable in self._variables.items()}
        constants = {name: value_of(getattr(self.layer, name)) for name in self.constants}
        return {**variables, **constants}

    def decays(self, optimizer: Any) -> Mapping[str, float] | None:
        """The weight decay of each variable; a model that is compiled holds an optimizer."""
        return decays(self._variables, optimizer or getattr(self.layer, "optimizer", None))

    def write(self, name: str, value: Array) -> None:
        """Replace one array."""
        with no_gradients():
            if name in self.constants:
                old = getattr(self.layer, name)
                setattr(self.layer, name, keras.ops.convert_to_tensor(value, dtype=old.dtype))
            else:
                self._variables[name].assign(np.array(value))

    # --- as it was found ------------------------------------------------------------------------

    @property
    def may_remember(self) -> bool:
        """Whether a call has changed plain attributes."""
        return self._attributes is not None and self._attributes.changed(but=self.constants)

    @contextmanager
    def kept(self) -> Iterator[None]:
        """Puts values, modes and random generators back."""
        with super().kept():
            self._attributes = Attributes(list(self.layer._flatten_layers()))
            for name in self.constants:  # on torch it may be a view of a variable
                self.write(name, value_of(getattr(self.layer, name)))
            yield

    def held(self) -> dict[str, Any]:
        """The variables and tensors themselves, by the names of `arrays`; random generators too."""
        constants = {name: getattr(self.layer, name) for name in self.constants}
        generators = {v.path: v for v in self.layer.variables if is_generator(v)}
        return {**generators, **self._variables, **constants}

    # --- what happens inside --------------------------------------------------------------------

    def layers(self) -> dict[str, Any]:
        """All layers inside, and the operations of functional models."""
        return paths_of(self.layer)

    def example(self) -> Any:
        """Inputs of the shapes that the model itself tells; None if it tells none."""
        return example(self.layer)

    def trace(self, given: Inputs, training: bool) -> Graph:
        """The operator graph of one call in a mode, by the front end of the backend."""
        from normscope.frameworks.keras.trace import trace

        return trace(self, given, training)

    def watched(self, recorder: Recorder) -> AbstractContextManager[None]:
        """The `call` of each sublayer, and of each operation of a functional model, reports."""
        return watched_sublayers(self.layer, recorder)


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
        if value.ndim and value_of(value).dtype.kind == "f":
            yield name


def _numbered(variables: list[Any]) -> Iterator[tuple[int, Any]]:
    """Each variable that is no random generator, with a number that tells equal paths apart."""
    seen: dict[str, int] = {}
    for variable in variables:
        if not is_generator(variable):
            number = seen.get(variable.path, 0)
            seen[variable.path] = number + 1
            yield number, variable

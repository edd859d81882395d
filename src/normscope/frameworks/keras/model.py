"""Models and layers of Keras 3, on the backend that the process runs."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import keras
from keras.src.models.functional import Functional

from normscope.errors import NormscopeError
from normscope.frameworks.inputs import Inputs, Passing
from normscope.frameworks.keras.build import built
from normscope.frameworks.keras.state import KerasState
from normscope.frameworks.model import Model
from normscope.frameworks.steps import Recorder

_NO_INPUTS = ("mask",)


class KerasModel(Model):
    """A model or layer; functional models take their inputs as one structure, as Keras has it."""

    def __init__(self, layer: Any, given: Any) -> None:
        notes: list[str] = []
        if not layer.built:
            layer, notes = self._built(layer, given)
        self.layer = layer
        super().__init__(
            f"keras model {layer.name}" if isinstance(layer, keras.Model) else layer.name,
            type(layer).__name__,
            (True, False),
            [KerasState(layer)],
            layer.call,
            _NO_INPUTS,
        )
        self.notes += notes

    def _built(self, layer: Any, given: Any) -> tuple[Any, list[str]]:
        self.layer = layer
        super().__init__("", "", (), [], layer.call, _NO_INPUTS)
        try:
            arguments, named = self.inputs(given).arguments(self.leaf)
            return built(layer, lambda made: made(*arguments, **named, training=False))
        except NormscopeError:
            raise
        except Exception:  # whatever it is, the calls will raise it again
            return layer, []

    def inputs(self, given: Any) -> Inputs:
        """The inputs, and how they are passed to the model."""
        if isinstance(self.layer, keras.Sequential | Functional):
            return Inputs(given, self._function, Passing.WHOLE)
        return super().inputs(given)

    def call(self, arguments: tuple[Any, ...], named: dict[str, Any], training: bool) -> Any:
        """One call in a mode."""
        return self.layer(*arguments, **named, training=training)

    @contextmanager
    def watched(self, recorder: Recorder) -> Iterator[None]:
        """The `call` of each sublayer, and of each operation of a functional model, replaced."""
        parts = _paths(self.layer, "")
        try:
            for path, part in parts.items():
                vars(part)["call"] = _reporting(path, part, recorder)
            yield
        finally:
            for part in parts.values():
                vars(part).pop("call", None)


def _parts(layer: Any) -> list[Any]:
    """The layers and operations directly inside, in the order in which they are called."""
    operations = [*getattr(layer, "operations", [])]
    return [
        part
        for part in {id(part): part for part in [*operations, *layer._layers]}.values()
        if not isinstance(part, keras.layers.InputLayer)
    ]


def _paths(layer: Any, prefix: str) -> dict[str, Any]:
    """Everything inside by path, such as "encoder/bn"; what is used again has its first name."""
    found: dict[str, Any] = {}
    for part in _parts(layer):
        path = f"{prefix}{part.name}"
        while path in found:
            path += "'"
        found[path] = part
        if isinstance(part, keras.layers.Layer):
            found |= _paths(part, f"{path}/")
    known: dict[int, None] = {}
    return {
        path: part
        for path, part in found.items()
        if id(part) not in known and known.setdefault(id(part)) is None
    }


def _reporting(path: str, part: Any, recorder: Recorder) -> Callable[..., Any]:
    original = part.call

    def call(*arguments: Any, **named: Any) -> Any:
        recorder.enter(path, type(part).__name__, (arguments, named))
        output = original(*arguments, **named)
        recorder.leave(output)
        return output

    return call

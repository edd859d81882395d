"""The calls of the layers inside a model of Keras, while a backend records its operators."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import keras
from keras.src.layers.layer import Layer
from keras.src.ops.operation import Operation

from normscope.frameworks.keras.sublayers import paths_of
from normscope.graph.operators import Call

Original = Callable[..., Any]
"""Takes a layer and its arguments."""


class Paths:
    """The paths of the layers in a model, such as "encoder/block1/norm"."""

    def __init__(self, layer: Any) -> None:
        self._known = {id(part): path for path, part in paths_of(layer).items()}

    def knows(self, part: Any) -> bool:
        """Whether it is a layer, or an operation that the model holds."""
        return isinstance(part, Layer) or id(part) in self._known

    def of(self, part: Any, parent: str) -> str:
        """The path of a layer; of one that the model does not know, as a part of what calls it."""
        return self._known.get(id(part)) or f"{parent}/{part.name}".lstrip("/")


class LayerCalls:
    """Each call of a layer or operation, with what it was given and gave.

    Attributes:
        layer: the model.
        paths: of the layers in it.
        calls: in the order in which they begin; the first is that of the model itself.
        given, gave: the arguments and the output of each call, as they were.
        places: where each call was made, as `where` said it.
    """

    def __init__(self, layer: Any, where: Callable[[], Any] = lambda: None) -> None:
        self.layer = layer
        root = Call("", type(layer).__name__, layer=layer)
        self.calls = [root]
        self.given: dict[Call, Any] = {}
        self.gave: dict[Call, Any] = {}
        self.paths = Paths(layer)
        self.places: dict[Call, Any] = {}
        self._where = where
        self._numbers: Counter[str] = Counter()
        self._open: list[Call] = []

    @property
    def current(self) -> Call:
        """The innermost call that has begun and not ended."""
        return self._open[-1] if self._open else self.calls[0]

    def enter(self, part: Any, arguments: Any) -> Call:
        """A layer is about to run."""
        call = self._opened(part)
        self._open.append(call)
        call.told = told(arguments[1])
        self.given[call] = arguments
        self.places[call] = self._where()
        return call

    def leave(self, call: Call, output: Any) -> None:
        """The layer that was entered last has run."""
        self.gave[call] = output

    def close(self, call: Call) -> None:
        """The call is over, whether it gave something or raised."""
        while self._open and self._open.pop() is not call:
            pass

    def _opened(self, part: Any) -> Call:
        if part is self.layer and not self._open:
            return self.calls[0]
        parent = self.current
        path = self.paths.of(part, parent.path)
        self._numbers[path] += 1
        call = Call(path, type(part).__name__, parent, part, number=self._numbers[path])
        self.calls.append(call)
        return call


def told(named: Any) -> bool | None:
    """The mode that the arguments of a call give by name; None where they give none."""
    mode = named.get("training")
    return bool(mode) if isinstance(mode, bool | int) else None


@contextmanager
def noted(calls: LayerCalls) -> Iterator[None]:
    """Within, all calls of layers and operations are noted."""

    def note(original: Original, part: Any, arguments: Any, named: Any) -> Any:
        if not calls.paths.knows(part):
            return original(part, *arguments, **named)
        call = calls.enter(part, (arguments, named))
        try:
            output = original(part, *arguments, **named)
            calls.leave(call, output)
        finally:
            calls.close(call)
        return output

    with replaced_calls(note):
        yield


@contextmanager
def replaced_calls(replacement: Callable[[Original, Any, Any, Any], Any]) -> Iterator[None]:
    """Within, something else is done where a layer or operation is called.

    Args:
        replacement: takes what the call would run, the layer, and the arguments by position and by
            name.
    """
    of_layers, of_operations = Layer.__call__, Operation.__call__

    def call_layer(part: Any, *arguments: Any, **named: Any) -> Any:
        return replacement(of_layers, part, arguments, named)

    def call_operation(part: Any, *arguments: Any, **named: Any) -> Any:
        if isinstance(part, Layer):  # its own `__call__` has been replaced
            return of_operations(part, *arguments, **named)
        return replacement(of_operations, part, arguments, named)

    filters = keras.config.is_traceback_filtering_enabled()
    keras.config.disable_traceback_filtering()  # it makes other exceptions of those raised
    Layer.__call__, Operation.__call__ = call_layer, call_operation
    try:
        yield
    finally:
        if filters:
            keras.config.enable_traceback_filtering()
        Layer.__call__, Operation.__call__ = of_layers, of_operations

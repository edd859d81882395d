"""The calls of the layers inside a model of Keras, while a backend records its operators."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from keras.src.layers.layer import Layer
from keras.src.ops.operation import Operation

from normscope.frameworks.keras.sublayers import paths_of
from normscope.graph.operators import Call


class LayerCalls:
    """Each call of a layer or operation, with what it was given and gave.

    Attributes:
        calls: in the order in which they begin; the first is that of the model itself.
        given, gave: the arguments and the output of each call, as they were.
    """

    def __init__(self, layer: Any) -> None:
        self.layer = layer
        root = Call("", type(layer).__name__, layer=layer)
        self.calls = [root]
        self.given: dict[Call, Any] = {}
        self.gave: dict[Call, Any] = {}
        self._paths = {id(part): path for path, part in paths_of(layer).items()}
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
        self.given[call] = arguments
        return call

    def leave(self, call: Call, output: Any) -> None:
        """The layer that was entered last has run."""
        self.gave[call] = output

    def failed(self, call: Call) -> None:
        """The call is over, whether it gave something or raised."""
        while self._open and self._open.pop() is not call:
            pass

    def _opened(self, part: Any) -> Call:
        if part is self.layer and not self._open:
            return self.calls[0]
        parent = self.current
        path = self._paths.get(id(part)) or f"{parent.path}/{part.name}".lstrip("/")
        self._numbers[path] += 1
        call = Call(path, type(part).__name__, parent, part, number=self._numbers[path])
        self.calls.append(call)
        return call


@contextmanager
def noted(
    calls: LayerCalls,
    entered: Callable[[Call], None] = lambda call: None,
    left: Callable[[Call], None] = lambda call: None,
) -> Iterator[None]:
    """Within, all calls of layers are noted; `entered` and `left` hear of each."""
    original_layer, original_operation = Layer.__call__, Operation.__call__

    def note(original: Callable[..., Any], part: Any, arguments: Any, named: Any) -> Any:
        call = calls.enter(part, (arguments, named))
        try:
            entered(call)
            output = original(part, *arguments, **named)
            calls.leave(call, output)
            left(call)
        finally:
            calls.failed(call)
        return output

    def of_layer(part: Any, *arguments: Any, **named: Any) -> Any:
        return note(original_layer, part, arguments, named)

    def of_operation(part: Any, *arguments: Any, **named: Any) -> Any:
        if isinstance(part, Layer):  # its own `__call__` has noted it
            return original_operation(part, *arguments, **named)
        return note(original_operation, part, arguments, named)

    Layer.__call__, Operation.__call__ = of_layer, of_operation
    try:
        yield
    finally:
        Layer.__call__, Operation.__call__ = original_layer, original_operation

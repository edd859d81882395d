"""The layers and operations inside a model of Keras, and what they are given and give."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import keras

from normscope.frameworks.recorder import Recorder


@contextmanager
def watched_sublayers(layer: Any, recorder: Recorder) -> Iterator[None]:
    """Within, the recorder hears of each call of a layer or operation inside this one."""
    parts = paths_of(layer)
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


def paths_of(layer: Any, prefix: str = "") -> dict[str, Any]:
    """Everything inside by path, such as "encoder/bn"; what is used again has its first name."""
    found: dict[str, Any] = {}
    for part in _parts(layer):
        path = f"{prefix}{part.name}"
        while path in found:
            path += "'"
        found[path] = part
        if isinstance(part, keras.layers.Layer):
            found |= paths_of(part, f"{path}/")
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

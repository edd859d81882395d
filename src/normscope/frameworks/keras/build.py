"""Layers of Keras that are not built yet: a copy is built where one can be made.

Building is for good. A copy is made from what the layer says of itself, and believed only as far as
it goes: it has to hold the same settings, and nothing that the layer itself holds.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import keras
import numpy as np

from normscope.frameworks.attributes import Attributes
from normscope.frameworks.keras.state import no_gradients
from normscope.frameworks.randomness import Randomness

_PLAIN = (bool, int, float, complex, str, bytes, type(None))
_OWN = ("name", "trainable", "dtype")  # which a user's `__init__` need not take


def built(layer: Any, call: Callable[[Any], Any]) -> tuple[Any, list[str]]:
    """The layer, or a copy of it, after a first call; and what the reader should know.

    Args:
        layer: as given.
        call: calls the layer that it is given on the inputs.

    Raises:
        Exception: whatever the first call raises; the layer is then as it was.
    """
    if layer.built:
        return layer, []
    with Randomness().kept():  # a copy may draw what nobody misses afterwards
        copy = _copy(layer)
        if copy is not None:
            with no_gradients():
                call(copy)
            return copy, []
    found = Attributes(list(layer._flatten_layers()))
    try:
        with no_gradients():
            call(layer)
    except BaseException:
        found.put_back()
        raise
    return layer, [
        f"{type(layer).__name__} was not built and could not be copied, so it was built in place, "
        "on this shape and for good"
    ]


def _copy(layer: Any) -> Any | None:
    """A layer made from the same settings that shares nothing with this one, if there is one."""
    if layer.variables:  # weights that no setting tells
        return None
    for make in (_from_config, _from_arguments):
        try:
            copy = make(layer)
        except Exception:  # a user's get_config, from_config and __init__ fail in their own ways
            continue
        if not copy.built and _alike(layer, copy) and not (_held(layer) & _held(copy)):
            return copy
    return None


def _from_config(layer: Any) -> Any:
    return type(layer).from_config(layer.get_config())


def _from_arguments(layer: Any) -> Any:
    """From those settings alone that the user's `__init__` takes."""
    takes = inspect.signature(type(layer).__init__).parameters
    config = {n: v for n, v in layer.get_config().items() if n not in _OWN or n in takes}
    return type(layer)(**config)


def _alike(layer: Any, copy: Any) -> bool:
    """Whether a copy has the same settings, part by part."""
    parts, copied = list(layer._flatten_layers()), list(copy._flatten_layers())
    if [type(part) for part in parts] != [type(part) for part in copied]:
        return False
    return all(map(_equal_settings, parts, copied))


def _equal_settings(layer: Any, copy: Any) -> bool:
    common = vars(keras.layers.Layer()).keys()
    ours, theirs = (
        {n: v for n, v in vars(part).items() if n not in common} for part in (layer, copy)
    )
    if layer.trainable != copy.trainable or layer.dtype_policy.name != copy.dtype_policy.name:
        return False
    return ours.keys() == theirs.keys() and all(_equal(v, theirs[n]) for n, v in ours.items())


def _equal(a: Any, b: Any) -> bool:
    """Whether two settings are equal; of what is no plain value only its class is looked at."""
    if type(a) is not type(b):
        return False
    if isinstance(a, np.ndarray):
        return bool(a.shape == b.shape and a.dtype == b.dtype and a.tobytes() == b.tobytes())
    if isinstance(a, list | tuple):
        return len(a) == len(b) and all(map(_equal, a, b))
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(_equal(v, b[k]) for k, v in a.items())
    return a == b or a != a if isinstance(a, _PLAIN) else True


def _held(layer: Any) -> set[int]:
    """What could be changed through a layer: parts, variables, arrays, containers with content."""
    found: set[int] = set()
    for part in layer._flatten_layers():
        found.add(id(part))
        for value in vars(part).values():
            if (
                isinstance(value, np.ndarray | keras.Variable)
                or keras.ops.is_tensor(value)
                or (isinstance(value, list | dict | set) and value)
            ):
                found.add(id(value))
    return found

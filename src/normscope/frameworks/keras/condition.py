"""How a layer of Keras 3 stands: what of it is learned, and the mode that its calls are given."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import keras

from normscope.frameworks.condition import UNKNOWN, Condition
from normscope.frameworks.keras.state import value_of
from normscope.graph.operators import Node, calls_around


def condition(node: Node, parameters: Mapping[str, str]) -> Condition:
    """How the layer stands that an operator belongs to.

    Args:
        node: an operator that normalizes; the layers of its calls are in the state as given.
        parameters: where the model holds its scale and bias; layers of Keras tell it themselves.
    """
    layers = [call.layer for call in calls_around(node.call)]
    own = layers[0] if layers else None
    if not isinstance(own, keras.layers.Layer):
        return UNKNOWN
    tracks = isinstance(own, keras.layers.BatchNormalization)
    return Condition(
        trainable=_trainable(own),
        updates=_updates(layers) if tracks else None,
        decay=float(own.momentum) if tracks else None,
        told=_told(own),
        overrides=_overrides(type(own)),
    )


def _told(layer: Any) -> bool | None:
    """True where a functional model was made with `layer(x, training=True)`."""
    given = (node.arguments.kwargs.get("training") for node in layer._inbound_nodes)
    return True if any(mode is True for mode in given) else None


def _trainable(layer: Any) -> bool | None:
    if not layer.trainable:
        return False
    own = list(layer._trainable_variables)
    return any(variable.trainable for variable in own) if own else None


def _updates(layers: list[Any]) -> int | None:
    """The steps of the optimizer of the model around, where it was trained with one."""
    for layer in layers:
        optimizer = getattr(layer, "optimizer", None)
        if isinstance(optimizer, keras.optimizers.Optimizer):
            return int(value_of(optimizer.iterations))
    return None


def _overrides(kind: type) -> str:
    """The batch normalization of Keras from which a class derives that has a call of its own."""
    for cls in kind.__mro__:
        if cls is keras.layers.BatchNormalization:
            return "" if cls is kind or "call" not in _own_names(kind) else cls.__name__
    return ""


def _own_names(kind: type) -> set[str]:
    base = keras.layers.BatchNormalization
    own = kind.__mro__[: kind.__mro__.index(base)]
    return {name for cls in own for name in vars(cls)}

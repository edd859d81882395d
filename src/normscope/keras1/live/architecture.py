"""The architecture of a live model, as Keras 1.2.2 wrote it: the way back from `loading`."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from typing import Any, TypeAlias

import keras

from normscope.errors import SpecError
from normscope.keras1.live.layers.base import Keras1Layer

Entry: TypeAlias = dict[str, Any]

RELEASE = "1.2.2"


def architecture(model: keras.Model) -> Entry:
    """The class and the config of a model.

    Raises:
        SpecError: a layer is not of Keras 1.

    >>> from normscope.keras1 import Dense, Sequential
    >>> entry = architecture(Sequential([Dense(2, input_dim=3, name="d")]))
    >>> entry["class_name"], entry["config"][0]["config"]["output_dim"]
    ('Sequential', 2)
    """
    if isinstance(model, keras.Sequential):
        return {"class_name": "Sequential", "config": _sequential(model)}
    return {"class_name": "Model", "config": _functional(model)}


def _sequential(model: keras.Sequential) -> list[Entry]:
    return [_entry(layer) for layer in model.layers]


def _entry(layer: keras.layers.Layer) -> Entry:
    """A layer or a nested model, without its place in the graph."""
    if isinstance(layer, keras.Model):
        return architecture(layer)
    return {"class_name": type(layer).__name__, "config": _config(layer)}


def _config(layer: keras.layers.Layer) -> Entry:
    if not isinstance(layer, Keras1Layer):
        raise SpecError(
            f"layer {layer.name!r} is of {type(layer).__module__}.{type(layer).__name__}, which a "
            "file of Keras 1 cannot hold; save the model as .keras"
        )
    config = dict(layer.get_config())
    config.pop("origin", None)  # by whose conventions it computes; the names of the weights say it
    branches = getattr(layer, "branches", ())
    if branches:
        config["layers"] = [_entry(branch) for branch in branches]
    elif "layers" in config and type(layer).__name__ == "Merge":
        del config["layers"]
    inside = getattr(layer, "layer", None)
    if isinstance(inside, keras.layers.Layer):
        config["layer"] = _entry(inside)
    elif isinstance(config.get("layer"), Mapping):
        config["layer"] = {
            **config["layer"],
            "config": {k: v for k, v in config["layer"]["config"].items() if k != "origin"},
        }
    return config


def _functional(model: keras.Model) -> Entry:
    """The graph: for each layer the calls, and from which call of which layer each takes."""
    in_model = {id(node) for depth in model._nodes_by_depth.values() for node in depth}
    numbers: dict[int, int] = {}
    calls: dict[int, list[Any]] = defaultdict(list)
    for layer in model.layers:
        for node in layer._inbound_nodes:
            if id(node) in in_model:
                # The first call of a model of Keras 1 is that which made it.
                first = int(isinstance(layer, keras.Model))
                numbers[id(node)] = first + len(calls[id(layer)])
                calls[id(layer)].append(node)

    def source(tensor: Any) -> list[Any]:
        operation, index, output = tensor._keras_history
        node = operation._inbound_nodes[index]
        if id(node) not in numbers:
            raise SpecError(
                f"the model uses {operation.name!r}, which is no layer; wrap it in a Lambda"
            )
        return [operation.name, numbers[id(node)], output]

    layers = []
    for layer in model.layers:
        is_input = isinstance(layer, keras.layers.InputLayer)
        entry = _input(layer) if is_input else _entry(layer)
        nodes = [] if is_input else calls[id(layer)]
        inbound = [[source(x) for x in node.input_tensors] for node in nodes]
        layers.append({**entry, "name": layer.name, "inbound_nodes": inbound})
    return {
        "name": model.name,
        "layers": layers,
        "input_layers": [source(x) for x in keras.tree.flatten(model.inputs)],
        "output_layers": [source(x) for x in keras.tree.flatten(model.outputs)],
    }


def _input(layer: keras.layers.InputLayer) -> Entry:
    return {
        "class_name": "InputLayer",
        "config": {
            "batch_input_shape": list(layer.batch_shape),
            "input_dtype": layer.dtype,
            "sparse": bool(layer.sparse),
            "name": layer.name,
        },
    }

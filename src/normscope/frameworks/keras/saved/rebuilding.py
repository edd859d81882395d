"""A model from its settings in a file: layers of Keras itself, and placeholders for all others."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from math import prod
from typing import Any

import keras
import numpy as np
from keras.src.backend.common import global_state

from normscope.errors import ModelFileError
from normscope.files.stored_array import MAX_RANK
from normscope.frameworks.keras.saved.allowed import LAYERS, OPERATIONS
from normscope.frameworks.keras.saved.settings import (
    UnknownClassError,
    checked,
    class_of,
    dtype_of_numbers,
    modern,
)
from normscope.frameworks.keras.saved.unknown import Spec, UnknownLayer
from normscope.wording import one_line

_NOT_KERAS = (
    "none of Keras itself, so that its code would be needed. What to do: load it yourself, and "
    "give the model: ns.audit(model)"
)
MOST_LAYERS = 2_000
MOST_MADE, _FREE = 2**28, 2
"""Of what one layer makes, where a length that is free is so long."""

MOST_NUMBERS = 2**29
"""Of all variables together: 2 GiB of float32."""


class Rebuilt:
    """A model from a file.

    Attributes:
        model: of Keras 3.
        unknown: the placeholders in it, by the path of the layer.
        notes: what the reader of a report should know.
    """

    def __init__(self, path: str, serialized: Mapping[str, Any]) -> None:
        """`path` names the file in messages.

        Raises:
            ModelFileError: the file holds no model that can be rebuilt.
        """
        self.path = path
        self.unknown: dict[str, UnknownLayer] = {}
        self.notes: list[str] = []
        self._layers = 0
        with _without_numbers():  # variables get theirs once their sizes are known
            try:
                self.model = self._model(serialized, "")
            except (ModelFileError, MemoryError):
                raise
            except UnknownClassError as error:
                raise self.error(f"its model is of the class {error}, {_NOT_KERAS}") from error
            except Exception as error:  # Keras refuses settings by any exception
                said = one_line(error)
                raise self.error(f"Keras cannot make a model of its settings: {said}") from error
        numbers = sum(prod(variable.shape) for variable in self.model.variables)
        if numbers > MOST_NUMBERS:
            raise self.error(
                f"its layers would hold {numbers} numbers; at most {MOST_NUMBERS} are made. What "
                "to do: load it yourself, and give the model: ns.audit(model)"
            )
        self._check_sizes()
        if any(variable.dtype == "string" for variable in self.model.variables):
            raise self.error("a layer has the dtype string, and would learn texts")
        for variable in self.model.variables:
            if variable._value is None:
                variable._deferred_initialize()
        kinds = {path: layer.kind for path, layer in self.unknown.items()}
        if kinds:
            named = ", ".join(f"{path} ({kind})" for path, kind in list(kinds.items())[:8])
            more = f" and {len(kinds) - 8} more" if len(kinds) > 8 else ""
            self.notes.append(f"nothing is known of what these layers do: {named}{more}")

    def error(self, reason: str) -> ModelFileError:
        """The error that names the file."""
        return ModelFileError(self.path, reason)

    def _check_sizes(self) -> None:
        """Whether what the layers make can be made, and an array have so many axes.

        Raises:
            ModelFileError: it is too large, or holds nothing.
        """
        for layer in self.model._flatten_layers():
            for node in layer._inbound_nodes:
                for tensor in node.output_tensors:
                    shape = tuple(_FREE if n is None else n for n in tensor.shape)
                    if len(shape) > MAX_RANK or not 0 < prod(shape) <= MOST_MADE:
                        shown = f"{tuple(tensor.shape)!s:.80}"
                        raise self.error(
                            f"{layer.name:.80} makes an array of shape {shown}; at most "
                            f"{MOST_MADE} numbers and {MAX_RANK} axes are made, and at least one "
                            "number"
                        )

    # --- models ---------------------------------------------------------------------------------

    def _model(self, serialized: Mapping[str, Any], prefix: str) -> Any:
        name = class_of(serialized)
        config = serialized.get("config")
        if name == "Sequential":
            entries = config if isinstance(config, list) else _mapping(config).get("layers")
            if not entries:
                raise self.error("its model has no layers")
            title = None if isinstance(config, list) else _mapping(config).get("name")
            return self._sequential(_entries(entries), title, prefix)
        if name in ("Functional", "Model"):
            found = _mapping(config)
            if not found.get("layers") or "output_layers" not in found:
                raise self.error("its model has no layers")
            return self._functional(found, prefix)
        raise UnknownClassError(name)

    def _sequential(self, entries: Sequence[Mapping[str, Any]], title: Any, prefix: str) -> Any:
        layers: list[Any] = []
        first = _mapping(entries[0].get("config")) if entries else {}
        shape = first.get("batch_input_shape")
        if shape is not None and entries[0].get("class_name") != "InputLayer":
            dtype = first.get("dtype") if isinstance(first.get("dtype"), str) else None
            kind = "int32" if entries[0].get("class_name") == "Embedding" else dtype
            layers.append(keras.layers.InputLayer(batch_shape=shape, dtype=kind))
        layers += [self._layer(entry, prefix, ()) for entry in entries]
        # all at once: with each that is added, Keras calls those before it anew
        return keras.Sequential(layers, name=title if isinstance(title, str) else None)

    def _functional(self, config: Mapping[str, Any], prefix: str) -> Any:
        entries = _entries(config["layers"])
        older = any("module" not in entry for entry in entries)
        told = _told_specs(entries)
        made: dict[str, Any] = {}
        waiting: list[tuple[str, Any]] = []
        for entry in entries:
            name = entry.get("name", _mapping(entry.get("config")).get("name"))
            if not isinstance(name, str) or name in made:
                raise self.error(f"a layer has no name of its own: {name!r:.60}")
            made[name] = self._layer(entry, prefix, told.get(name, ()))
            for node in _entries_or_lists(entry.get("inbound_nodes", [])):
                waiting.append((name, node))
        self._connect(made, waiting)

        def tensor(place: Any) -> Any:
            if isinstance(place, list) and len(place) == 3 and isinstance(place[0], str):
                return _output(made, place, _begin_of(made.get(place[0]), older, at_end=True))
            if isinstance(place, dict):
                return {key: tensor(part) for key, part in place.items()}
            if isinstance(place, list):
                return [tensor(part) for part in place]
            raise self.error("what its model takes or gives is not told")

        inputs, outputs = tensor(config["input_layers"]), tensor(config["output_layers"])
        title = config.get("name")
        return keras.Model(
            _single(inputs), _single(outputs), name=title if isinstance(title, str) else None
        )

    def _connect(self, made: dict[str, Any], waiting: list[tuple[str, Any]]) -> None:
        """Call the layers, each once what it takes is there."""
        while waiting:
            late: list[tuple[str, Any]] = []
            blocked: set[str] = set()
            for name, node in waiting:
                try:
                    if name in blocked:
                        raise _NotYetError
                    arguments, named = self._arguments(node, made)
                except _NotYetError:
                    blocked.add(name)
                    late.append((name, node))
                else:
                    made[name](*arguments, **named)
            if len(late) == len(waiting):
                raise self.error(f"its layers wait for each other: {late[0][0]} is never reached")
            waiting = late

    def _arguments(self, node: Any, made: dict[str, Any]) -> tuple[list[Any], dict[str, Any]]:
        if isinstance(node, Mapping):
            arguments = _revived(node.get("args", []), made)
            named = _revived(node.get("kwargs", {}), made)
            return list(arguments), dict(named)
        if isinstance(node, list) and node and isinstance(node[0], str):
            node = [node]
        tensors, named = [], {}
        for place in node:
            if not isinstance(place, list) or len(place) < 3:
                raise self.error("a layer is called in a way not known here")
            tensors.append(_output(made, place, _begin_of(made.get(place[0]), older=True)))
            if len(place) > 3:
                named = _with_places(place[3], made)
        return [_single(tensors)], named

    # --- layers ---------------------------------------------------------------------------------

    def _layer(self, entry: Mapping[str, Any], prefix: str, told: Sequence[Spec]) -> Any:
        self._layers += 1
        if self._layers > MOST_LAYERS:
            raise self.error(f"more than {MOST_LAYERS} layers")
        config = _mapping(entry.get("config")) if not isinstance(entry.get("config"), list) else {}
        name = config.get("name", entry.get("name"))
        title = name if isinstance(name, str) and "/" not in name else None
        path = f"{prefix}{title or entry.get('class_name')}"
        try:
            return self._known(entry, config, path)
        except ModelFileError:
            raise
        except UnknownClassError as error:
            kind = str(error)
        except Exception as error:  # Keras refuses settings by any exception
            kind = str(entry.get("class_name"))
            said = one_line(error, 200)
            self.notes.append(f"Keras cannot make {path} of its settings: {said}")
        own = entry.get("class_name")
        shown = kind if own in LAYERS or not isinstance(own, str) else own
        placeholder = UnknownLayer(f"{shown:.80}", told, title)
        self.unknown[path] = placeholder
        if not told:
            self.notes.append(f"{path} is taken to give the shape that it is given")
        return placeholder

    def _known(self, entry: Mapping[str, Any], config: Mapping[str, Any], path: str) -> Any:
        operation = _operation(entry)
        if operation is not None:
            return operation(**_revived(_checked_settings(config), {}))
        name = class_of(entry)
        if name in ("Functional", "Model", "Sequential"):
            return self._model(entry, f"{path}/")
        if name not in LAYERS:
            raise UnknownClassError(name)
        with warnings.catch_warnings():  # what is deprecated is in old files all the same
            warnings.simplefilter("ignore")
            return LAYERS[name].from_config(modern(name, config))


def _operation(entry: Mapping[str, Any]) -> Any | None:
    """The class of an operation of Keras, such as stands for a sum of tensors; None if it is none.

    Raises:
        UnknownClassError: it is an operation that takes functions, or not one of Keras.
    """
    name, module = str(entry.get("class_name")), entry.get("module")
    if module in OPERATIONS:
        if name not in OPERATIONS[module]:
            raise UnknownClassError(name)
        return OPERATIONS[module][name]
    if "module" in entry:
        return None
    # some files name no module: an operation takes its tensors one by one, a layer as a list
    nodes = _entries_or_lists(entry.get("inbound_nodes"))
    arguments = nodes[0].get("args") if nodes and isinstance(nodes[0], Mapping) else None
    if name in LAYERS and not (isinstance(arguments, list) and len(arguments) > 1):
        return None
    takes_list = name in LAYERS and name not in _OPERATION_TOO
    found = next((names[name] for names in OPERATIONS.values() if name in names), None)
    return None if takes_list else found


_OPERATION_TOO = frozenset(("Add", "Subtract", "Multiply", "Maximum", "Minimum", "Dot", "Average"))
"""Names of both a layer and an operation, which differ in how they are called."""


@contextmanager
def _without_numbers() -> Iterator[None]:
    """Within, variables are made that have a shape only; nobody else gives them numbers later."""
    name = "uninitialized_variables"
    waiting = list(global_state.get_global_attribute(name) or [])
    try:
        with keras.StatelessScope(initialize_variables=False):
            yield
    finally:
        global_state.set_global_attribute(name, waiting)


class _NotYetError(Exception):
    """What a layer takes is not there yet."""


def _checked_settings(config: Mapping[str, Any]) -> dict[str, Any]:
    whole = {"class_name": "Identity", "module": "keras.initializers", "config": dict(config)}
    found: dict[str, Any] = checked(whole)["config"]
    return found


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _entries(value: Any) -> list[Mapping[str, Any]]:
    if not isinstance(value, list) or not all(isinstance(one, Mapping) for one in value):
        raise UnknownClassError("a model without layers")
    return value


def _entries_or_lists(value: Any) -> list[Any]:
    if not isinstance(value, list):
        return []
    return [node for node in value if isinstance(node, Mapping | list) and node]


def _single(tensors: Any) -> Any:
    return tensors[0] if isinstance(tensors, list) and len(tensors) == 1 else tensors


def _begin_of(layer: Any, older: bool, at_end: bool = False) -> int:
    """The number of the first call of a layer: a model inside counts from 1 in some places.

    Args:
        layer: the layer.
        older: the file is of Keras 2.
        at_end: it is named as what the model gives.
    """
    if isinstance(layer, keras.Sequential):
        return int(older)
    return int(isinstance(layer, keras.Model) and (older or at_end))


def _output(made: Mapping[str, Any], place: Sequence[Any], begin: int = 0) -> Any:
    """The output of a layer, by its name, the number of its call and that of its output."""
    name, node, tensor = place[:3]
    layer = made.get(name) if isinstance(name, str) else None
    if layer is None or not isinstance(node, int) or not isinstance(tensor, int):
        raise UnknownClassError(f"a layer {name!r:.60} that is not there")
    node = max(node - begin, 0)
    if not 0 <= node < len(layer._inbound_nodes):
        raise _NotYetError
    outputs = layer._inbound_nodes[node].output_tensors
    if not 0 <= tensor < len(outputs):
        raise UnknownClassError(f"an output {tensor} of {name!r:.60} that is not there")
    return outputs[tensor]


def _revived(value: Any, made: Mapping[str, Any]) -> Any:
    """The arguments of a call, with tensors in the places where the file names them."""
    if isinstance(value, list):
        return [_revived(part, made) for part in value]
    if not isinstance(value, Mapping):
        return value
    if "class_name" not in value:
        return {key: _revived(part, made) for key, part in value.items()}
    config = _mapping(value.get("config"))
    match value["class_name"]:
        case "__keras_tensor__":
            history = config.get("keras_history")
            if not isinstance(history, list) or len(history) != 3:
                raise UnknownClassError("a tensor from nowhere")
            return _output(made, history)
        case "__tensor__" | "__numpy__":
            return np.asarray(config.get("value"), dtype_of_numbers(config))
        case "__slice__":
            return slice(*(_revived(config.get(key), made) for key in ("start", "stop", "step")))
        case "__ellipsis__":
            return Ellipsis
    raise UnknownClassError(str(value["class_name"]))


def _with_places(value: Any, made: Mapping[str, Any]) -> Any:
    """Named arguments as Keras 2 writes them: a tensor is [name, node, output]."""
    if isinstance(value, list):
        if len(value) == 3 and isinstance(value[0], str) and value[0] in made:
            return _output(made, value)
        if len(value) == 4 and value[0] == "_CONSTANT_VALUE":
            return value[-1]
        return [_with_places(part, made) for part in value]
    if isinstance(value, Mapping):
        return {key: _with_places(part, made) for key, part in value.items()}
    return value


def _told_specs(entries: Sequence[Mapping[str, Any]]) -> dict[str, list[Spec]]:
    """The outputs of each layer, as those that take them tell their shapes and dtypes."""
    found: dict[str, dict[int, Spec]] = {}

    def look(value: Any) -> None:
        if isinstance(value, list):
            for part in value:
                look(part)
        elif isinstance(value, Mapping):
            if value.get("class_name") == "__keras_tensor__":
                config = _mapping(value.get("config"))
                shape, history = config.get("shape"), config.get("keras_history")
                if _is_shape(shape) and isinstance(history, list) and len(history) == 3:
                    spec = (tuple(shape or ()), str(config.get("dtype", "float32")))
                    if isinstance(history[0], str) and isinstance(history[2], int):
                        found.setdefault(history[0], {})[history[2]] = spec
            else:
                for part in value.values():
                    look(part)

    for entry in entries:
        look(entry.get("inbound_nodes"))
    return {
        name: [places[number] for number in range(len(places))]
        for name, places in found.items()
        if set(places) == set(range(len(places)))
    }


def _is_shape(shape: Any) -> bool:
    return isinstance(shape, list) and all(n is None or type(n) is int for n in shape)

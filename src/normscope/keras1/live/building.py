"""The live model of a network: each layer made once, called as the network says."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

import keras

from normscope.errors import ModelFileError, NormscopeError, SpecError
from normscope.keras1.live import layers, models, training
from normscope.keras1.live.layers.base import PACKAGE, Tensor
from normscope.keras1.live.layers.core import Lambda
from normscope.keras1.live.models import Input, Model, Sequential
from normscope.keras1.network import Graph, Layer
from normscope.keras1.network.layers import Config, Key

Classes: TypeAlias = Mapping[str, Any]

# What Python, Keras and its backends raise where a setting has a value that no layer can have.
UNFIT = (
    *(NormscopeError, ValueError, TypeError, KeyError, IndexError, AttributeError),
    *(ArithmeticError, RuntimeError, MemoryError),
)


def live_classes() -> dict[str, type[keras.layers.Layer]]:
    """The layer classes of Keras 1, by name."""
    classes: dict[str, type[keras.layers.Layer]] = {}
    modules = [
        importlib.import_module(f"{folder.__name__}.{module.name}")
        for folder in (layers, training)
        for module in pkgutil.iter_modules(folder.__path__)
    ]
    for module in [*modules, models]:
        for name, found in vars(module).items():
            if keras.saving.get_registered_object(f"{PACKAGE}>{name}") is found:
                classes[name] = found
    return classes


class Builder:
    """Makes the live layers of a network, which has been checked, and calls them.

    Args:
        file: as the messages name it.
        classes: of the layers, by name.
        origin: the backend by whose conventions the layers compute.
        release: of Keras 1, by whose formula they normalize.
        unstored: settings that the file lacks, by the path of the layer.
    """

    def __init__(
        self,
        file: str,
        classes: Classes,
        origin: str,
        release: str,
        unstored: Mapping[str, Config],
    ) -> None:
        self.file = file
        self.classes = classes
        self.origin = origin
        self.release = release
        self.unstored = unstored
        self.layers: dict[Layer, keras.layers.Layer] = {}

    def model(self, model: Layer, name: str) -> keras.Model:
        """A model, whole or nested.

        Raises:
            ModelFileError: a class is not known, or a setting has a value that no layer can have.
        """
        try:
            if isinstance(model.contents, Graph):
                return self.functional(model.contents, name)
            return self.sequential(model.contents or (), name)
        except UNFIT as error:
            raise self.error(name, model.layer_class, error) from error

    def sequential(self, contents: Sequence[Layer], name: str) -> Sequential:
        """One layer behind the other; a Merge may be the first, and brings its branches."""
        model = Sequential([self.layer(layer) for layer in contents], name=name)
        if not model.built and isinstance(model.layers[0], keras.Model):
            model.build(model.layers[0].input_shape)
        if not model.built:
            raise SpecError("its first layer has no input shape")
        return model

    def functional(self, graph: Graph, name: str) -> Model:
        """A graph of calls."""
        made: dict[Key, list[Tensor]] = {
            key: [self.input(graph.layers[key[0]])] for key, _ in graph.inputs
        }
        for key in graph.order:
            taken = [made[source][index] for source, index in graph.sources[key]]
            made[key] = self.called(self.layer(graph.layers[key[0]]), taken)
        model = Model(
            _one_or_all([made[key][0] for key, _ in graph.inputs]),
            _one_or_all([made[key][index] for key, index in graph.outputs]),
            name=name,
        )
        model.stored_order = tuple(graph.layers)
        return model

    def input(self, layer: Layer) -> Tensor:
        """The tensor of an InputLayer."""
        config: Mapping[str, Any] = layer.config
        shape = tuple(config["batch_input_shape"])
        return Input(batch_shape=shape, dtype=config.get("input_dtype"), name=layer.name)

    def called(self, layer: keras.layers.Layer, inputs: list[Tensor]) -> list[Tensor]:
        """The outputs of a layer."""
        try:
            outputs = layer(_one_or_all(inputs))
        except UNFIT as error:
            raise self.error(layer.name, type(layer).__name__, error) from error
        return list(outputs) if isinstance(outputs, list | tuple) else [outputs]

    def layer(self, layer: Layer) -> keras.layers.Layer:
        """The live layer or nested model; the same one each time."""
        if layer not in self.layers:
            nested = layer.contents is not None
            self.layers[layer] = self.model(layer, layer.name) if nested else self.leaf(layer)
        return self.layers[layer]

    def leaf(self, layer: Layer) -> keras.layers.Layer:
        """A live layer that is not a model."""
        layer_class, name = layer.layer_class, layer.name
        cls = self.classes.get(layer_class)
        if layer_class == "Lambda" and isinstance(layer.config.get("function"), str):
            function = self.classes.get(str(layer.config["function"]))
            if callable(function) and not isinstance(function, type):  # one of custom_objects
                return Lambda.from_config({**layer.config, "function": function})
        if cls is None or layer_class == "Lambda" or _has_code(layer_class, layer.config):
            raise self.refused(layer_class, name)
        settings = {**layer.config, **self.unstored.get(layer.path, {})}
        if PACKAGE in keras.saving.get_registered_name(cls):
            settings["origin"] = self.origin
            if layer_class == "BatchNormalization":
                settings["release"] = self.release
        try:
            if layer.branches:
                settings["layers"] = [self.layer(branch) for branch in layer.branches]
            if layer.inside is not None:
                return cls(**{**settings, "layer": self.layer(layer.inside)})
            return cls.from_config(settings)
        except UNFIT as error:
            raise self.error(name, layer_class, error) from error

    def refused(self, layer_class: str, name: str) -> ModelFileError:
        """Why a class cannot be made from a file, and what to do."""
        if layer_class in ("Lambda", "Merge"):
            what = "its function is not in the file, or is code, which is never run"
            remedy = (
                "build the model in Python, then call model.load_weights(path); a named function "
                "of a file that was written here can be given as custom_objects={name: function}"
            )
        else:
            what = f"Keras 1 has no layer class {layer_class!r}"
            remedy = f"give the class: custom_objects={{{layer_class!r}: {layer_class}}}"
        return ModelFileError(self.file, f"layer {name!r} ({layer_class}): {what}; {remedy}")

    def error(self, name: str, layer_class: str, error: Exception) -> ModelFileError:
        """The error that names a layer."""
        if isinstance(error, ModelFileError):
            return error
        return ModelFileError(self.file, f"layer {name!r} ({layer_class}): {error}")


def _has_code(layer_class: str, config: Config) -> bool:
    """Whether a Merge has a function in place of a mode, an output shape or a mask."""
    kinds = ("mode_type", "output_shape_type", "output_mask_type")
    return layer_class == "Merge" and any(
        config.get(kind, "raw") not in ("raw", None) for kind in kinds
    )


def _one_or_all(tensors: list[Tensor]) -> Any:
    return tensors[0] if len(tensors) == 1 else tensors

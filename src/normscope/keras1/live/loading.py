"""From the files of Keras 1 to live models of Keras 3, on any backend.

A file is read as data: nothing in it is run, nothing that it names is imported. The architecture
is checked as a whole by `build_network` before anything is made of it.
"""

from __future__ import annotations

import importlib
import json
import os
import pkgutil
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from graphlib import TopologicalSorter
from typing import Any, TypeAlias

import keras

from normscope.errors import ModelFileError, NormscopeError, SpecError
from normscope.files.recognition import KERAS_ARCHIVE, recognise
from normscope.keras1.files import (
    Backend,
    ModelFile,
    StrPath,
    checked_release,
    decode_architecture,
    open_arrays,
    read_model_file,
    stated_release,
    weights_entry,
)
from normscope.keras1.live import layers, models, training
from normscope.keras1.live.archives import load_archive
from normscope.keras1.live.compiling import compile_as_stored
from normscope.keras1.live.conventions import (
    Told,
    adopt,
    backend_of_origin,
    normalizations,
    say_assumptions,
)
from normscope.keras1.live.layers.base import PACKAGE, automatic_name, one_of, weights_limited
from normscope.keras1.live.layers.core import Lambda
from normscope.keras1.live.models import Input, Model, Sequential
from normscope.keras1.live.weights import LoadWarning, backend_of, read_weights, set_weights
from normscope.keras1.network import Call, build_network
from normscope.keras1.network.releases import release_by_configs
from normscope.keras1.network.settings import Settings, Shape
from normscope.keras1.network.shapes import channel_axis

Config: TypeAlias = Mapping[str, Any]
Tensor: TypeAlias = Any
Key: TypeAlias = tuple[str, int]  # a layer of a functional model and which of its calls
Source: TypeAlias = tuple[Key, int]  # and which output of that call
Classes: TypeAlias = Mapping[str, Any]

NATIVE_ORDERING: Mapping[str, str] = {"theano": "th", "tensorflow": "tf"}
CONTAINERS = ("Sequential", "Model")
# What Python, Keras and its backends raise where a setting has a value that no layer can have.
UNFIT = (
    *(NormscopeError, ValueError, TypeError, KeyError, IndexError, AttributeError),
    *(ArithmeticError, RuntimeError, MemoryError),
)
MOST_UNSTORED = 2**20
"""How many weights a model may have besides those in its file: the states of stateful layers."""

UNORDERED = (  # layers for which Keras 1 does not store dim_ordering
    *("ZeroPadding2D", "ZeroPadding3D", "Cropping2D", "Cropping3D", "UpSampling2D", "UpSampling3D"),
    *("SpatialDropout2D", "SpatialDropout3D"),
)


def load_model(
    path: StrPath,
    custom_objects: Classes | None = None,
    *,
    backend: str | None = None,
    dim_ordering: str | None = None,
    release: str | None = None,
) -> keras.Model:
    """The live model of a file that Keras 1 wrote with `model.save()`, or of a `.keras` file.

    It predicts as it did, can be trained on (with the optimizer and its state, where the file has
    them) and saved as `.keras`.

    Args:
        path: of the file.
        custom_objects: what is not of Keras 1, by name: layer classes, losses and metrics.
        backend: the one that wrote the file. The names of its weights tell it; without weights it
            decides how poolings with border_mode="same" pad.
        dim_ordering: "th" or "tf", for the paddings, croppings and upsamplings where nothing in
            the file tells it, as Keras 1 does not store it for these.
        release: the release of Keras 1 that wrote the file, "1.0.0" to "1.2.2", where the file
            does not tell it, or not rightly: `BatchNormalization` was another in 1.0.0 to 1.0.7.

    Raises:
        ModelFileError: the file is damaged, or no model of Keras 1, or has a layer that is not
            known; of a `.keras` file: it holds code, or names what neither Keras nor
            `custom_objects` has.
        SpecError: there is no such release, backend or dim_ordering.

    Warns:
        LoadWarning: something was assumed that the file does not tell; with how the outputs would
            differ otherwise.

    Example:
        >>> load_model("model.h5").predict(x)  # doctest: +SKIP
    """
    told = Told.by_user(backend, release)
    if recognise(os.fspath(path)) is KERAS_ARCHIVE:
        if release is not None:
            raise SpecError(
                f"{os.fspath(path)} is a .keras file, whose layers say their release themselves; "
                "leave release out"
            )
        _live_classes()  # Keras knows them from now on
        return load_archive(os.fspath(path), custom_objects)
    file = read_model_file(path)
    if not file.weights:
        raise ModelFileError(
            file.path,
            "an architecture without weights; give the file that has them, as in "
            "load_parts('model.json', 'weights.h5') or "
            "normscope convert model.json weights.h5 new.keras",
        )
    stored = read_weights(path)
    held = sum(array.size for layer in stored for array in layer.arrays.values())
    with weights_limited(held + MOST_UNSTORED):
        model = _model(file, custom_objects, told, dim_ordering)
    names = set_weights(model, stored, told.backend or backend_of(stored), file.path)
    say_assumptions(file.path, model, normalizations(model), stored=True)
    compile_as_stored(model, path, names, custom_objects)
    return model


def load_parts(
    architecture: StrPath,
    weights: StrPath,
    custom_objects: Classes | None = None,
    *,
    backend: str | None = None,
    dim_ordering: str | None = None,
    release: str | None = None,
) -> keras.Model:
    """The live model whose architecture and weights Keras 1 wrote into files of their own.

    Args:
        architecture: of the file of `model.to_json()`, or of a whole model.
        weights: of the HDF5 file of `model.save_weights()`, or of a whole model.
        custom_objects, backend, dim_ordering, release: as in `load_model`.

    Raises:
        ModelFileError: a file is damaged or not of Keras 1, has a layer that is not known, or the
            two do not fit each other.
        SpecError: there is no such release, backend or dim_ordering.

    Warns:
        LoadWarning: as in `load_model`.

    Example:
        >>> load_parts("model.json", "weights.h5").predict(x)  # doctest: +SKIP
    """
    told = Told.by_user(backend, release)
    file = read_model_file(architecture)
    stored = read_weights(weights)
    held = sum(array.size for layer in stored for array in layer.arrays.values())
    known = Told(told.origin or backend_of(stored) or file.backend, told.release)
    with weights_limited(held + MOST_UNSTORED):
        model = _model(replace(file, weights={}), custom_objects, known, dim_ordering)
    load_weights(model, weights, backend=backend, release=release)
    return model


def model_from_json(
    text: str,
    custom_objects: Classes | None = None,
    *,
    backend: str | None = None,
    dim_ordering: str | None = None,
    release: str | None = None,
) -> keras.Model:
    """The live model of an architecture that Keras 1 wrote with `model.to_json()`.

    Its weights are random; `model.load_weights(path)` sets those of a file, and learns from it
    which backend wrote it.

    Args:
        text: the JSON text.
        custom_objects, backend, dim_ordering, release: as in `load_model`.

    Raises:
        ModelFileError: no model of Keras 1, or with a layer that is not known.
        SpecError: there is no such release, backend or dim_ordering.

    Warns:
        LoadWarning: as in `load_model`.

    Example:
        >>> import json
        >>> dense = {"name": "dense_1", "output_dim": 2, "batch_input_shape": [None, 3]}
        >>> layers = [{"class_name": "Dense", "config": dense}]
        >>> text = json.dumps({"class_name": "Sequential", "config": layers})
        >>> model_from_json(text).output_shape
        (None, 2)
    """
    told = Told.by_user(backend, release)
    model = _model(_parsed(text), custom_objects, told, dim_ordering)
    say_assumptions("the text", model, normalizations(model), stored=False)
    return model


def model_from_config(config: Config, custom_objects: Classes | None = None) -> keras.Model:
    """The live model of an architecture as a dict, {"class_name": ..., "config": ...}.

    Args:
        config: as `model_from_json` takes it as text.
        custom_objects: as in `load_model`.

    Raises:
        ModelFileError: no model of Keras 1, or with a layer that is not known.

    Example:
        >>> dense = {"name": "dense_1", "output_dim": 2, "batch_input_shape": [None, 3]}
        >>> layers = [{"class_name": "Dense", "config": dense}]
        >>> model_from_config({"class_name": "Sequential", "config": layers}).output_shape
        (None, 2)
    """
    return model_from_json(json.dumps(config), custom_objects)


def load_weights(
    model: keras.Model,
    path: StrPath,
    *,
    backend: str | None = None,
    by_name: bool = False,
    release: str | None = None,
) -> None:
    """Set the weights of a model of Keras 1 layers to those of a file.

    Args:
        model: built in Python, or made by `model_from_json`.
        path: of an HDF5 file of `model.save_weights()` or `model.save()`, or of the older layout.
        backend: the one that wrote the file, where the names of its weights do not tell it; without
            it the one that `model_from_json` was given, which counts before those names.
        by_name: set the layers that the file knows by name, and leave the others as they are.
        release: the release of Keras 1 that wrote the file. Without it, that which the file says
            it is of (a file of `model.save()`), else that of the layers; a `BatchNormalization`
            that was given none is taken for one of 1.2.2, with a warning.

    Raises:
        ModelFileError: the file is damaged, or its layers and shapes are not those of the model.
        SpecError: there is no such release or backend.

    Warns:
        LoadWarning: what the file holds depends on a release or a backend that nothing tells; with
            how the outputs would differ otherwise.
    """
    told = Told.by_user(backend, release)
    file = os.fspath(path)
    file_release = stated_release(path)
    stored = read_weights(path)
    by_user = told.origin or getattr(model, "user_origin", None)
    origin = by_user or backend_of(stored) or getattr(model, "stored_origin", None)
    set_weights(model, stored, backend_of_origin(origin), file, by_name)
    adopt(model, Told(origin, told.release), file_release, file)
    feature_wise = [layer for layer in normalizations(model) if layer.mode == 0]
    say_assumptions(file, model, feature_wise, stored=True)


# ------------------------------------------------------------------- what a file does not say


def _model(
    file: ModelFile, custom: Classes | None, told: Told, ordering: str | None
) -> keras.Model:
    ordering = None if ordering is None else one_of("dim_ordering", ordering, ("th", "tf"))
    backend = told.backend or file.backend
    network = build_network(file.architecture, file.path, ordering)
    calls = list(_all_calls(network.calls))
    added = {**_orderings(file.path, calls, ordering, backend), **_shared_axes(file, calls)}
    origin = told.origin or backend or _likely_backend(file.path, calls)
    release, known = told.release or file.release, True
    if release is None:
        configs = (call.config for call in calls if call.layer_class == "BatchNormalization")
        release, known = release_by_configs(configs)
    builder = _Builder(file, {**_live_classes(), **(custom or {})}, origin, release, added)
    layer_class, config = str(file.architecture["class_name"]), file.architecture["config"]
    name = automatic_name("Sequential") if layer_class == "Sequential" else network.name
    model = builder.model(layer_class, config, name, "")
    model.stored_origin = told.origin or backend
    model.user_origin = told.origin
    for layer in normalizations(model):
        layer.release_told = known
    return model


def _parsed(text: str) -> ModelFile:
    architecture = decode_architecture("the text", text, "it")
    release = checked_release("the text", architecture.get("keras_version"))
    return ModelFile("the text", architecture, release, None, {})


def _all_calls(calls: Sequence[Call]) -> Iterator[Call]:
    for call in calls:
        yield call
        yield from _all_calls(call.wrapped)


Added: TypeAlias = Mapping[int, Config]
"""What is added to the config of a layer, by the id of that config."""


def _orderings(
    path: str, calls: Sequence[Call], ordering: str | None, backend: Backend | None
) -> Added:
    """The dim_ordering of the layers for which Keras 1 does not store it."""
    added: dict[int, Config] = {}
    assumed: set[str] = set()
    for call in calls:
        if call.layer_class not in UNORDERED or "dim_ordering" in call.config:
            continue
        rank = int(call.layer_class[-2])
        settings = Settings(path, call.path, call.layer_class, call.config, ordering)
        channel = channel_axis(settings, call.input_tensors[0], rank)
        if channel is None:
            found = _likely_ordering(call.input_tensors[0].shape, backend)
            assumed.add(found)
        else:
            found = "th" if channel == 1 else "tf"
        added[id(call.config)] = {"dim_ordering": found}
    if assumed:
        warnings.warn(
            f"{path}: nothing in it tells the dim_ordering of its paddings, croppings, upsamplings "
            f"or spatial dropouts; {' and '.join(map(repr, sorted(assumed)))} is assumed. "
            "Write dim_ordering='th' or 'tf'",
            LoadWarning,
            stacklevel=4,
        )
    return added


def _likely_ordering(shape: Shape | None, backend: Backend | None) -> str:
    """The end of the shape that is smaller has the channels, else what the backend prefers."""
    if shape is not None and None not in (shape[1], shape[-1]) and shape[1] != shape[-1]:
        return min((shape[1], "th"), (shape[-1], "tf"))[1]
    return NATIVE_ORDERING[backend or "tensorflow"]


def _shared_axes(file: ModelFile, calls: Sequence[Call]) -> Added:
    """The shared axes of PReLU, which Keras 1 does not store: where its slopes have size 1."""
    added: dict[int, Config] = {}
    slopes = [call for call in calls if call.layer_class == "PReLU"]
    if not slopes or not file.weights:
        return added
    with open_arrays(file) as stored:
        for call in slopes:
            entry, sizes = weights_entry(file, call.path), call.input_tensors[0].shape
            if entry is None or sizes is None or "shared_axes" in call.config:
                continue
            name = file.stored_name(entry, f"{call.name}_alphas")
            shape = () if name is None else stored.shape(entry, name)
            if len(shape) == len(sizes) - 1:
                pairs = enumerate(zip(shape, sizes[1:], strict=True), start=1)
                shared = [axis for axis, (have, size) in pairs if have == 1 and size != 1]
                added[id(call.config)] = {"shared_axes": shared or None}
    return added


def _likely_backend(path: str, calls: Sequence[Call]) -> Backend:
    """Without weights nothing tells the backend; all that it decides is how poolings pad."""
    for call in calls:
        if "Pooling" in call.layer_class and call.config.get("border_mode") == "same":
            likely: Backend = "theano" if call.config.get("dim_ordering") == "th" else "tensorflow"
            warnings.warn(
                f"{path}: nothing in it tells which backend it is of, and layer {call.path!r} pads "
                f"by that; {likely!r} is assumed. Write backend='theano' or 'tensorflow'",
                LoadWarning,
                stacklevel=4,
            )
            return likely
    return "tensorflow"


# ------------------------------------------------------------------------------- building


def _live_classes() -> dict[str, type[keras.layers.Layer]]:
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


class _Builder:
    """Makes the live layers of an architecture that `build_network` has checked, and calls them.

    `prefix` is the path of the model around; the layers of a model are kept by their path, so that
    a shared one is made once.
    """

    def __init__(
        self, file: ModelFile, classes: Classes, origin: str, release: str, added: Added
    ) -> None:
        self.file = file
        self.classes = classes
        self.origin = origin
        self.release = release
        self.added = added
        self.layers: dict[str, keras.layers.Layer] = {}
        self.unnamed = 0

    def model(self, layer_class: str, config: Any, name: str, path: str) -> keras.Model:
        """A model, whole or nested; `path` is the prefix of its layers."""
        try:
            if layer_class == "Sequential":
                return self.sequential(config, name, path)
            return self.functional(config, name, path)
        except UNFIT as error:
            raise self.error(name, layer_class, error) from error

    def sequential(self, config: Sequence[Config], name: str, path: str) -> Sequential:
        """One layer behind the other; a Merge may be the first, and brings its branches."""
        model = Sequential([self.layer(entry, path) for entry in config], name=name)
        if not model.built and isinstance(model.layers[0], keras.Model):
            model.build(model.layers[0].input_shape)
        if not model.built:
            raise SpecError("its first layer has no input shape")
        return model

    def functional(self, config: Config, name: str, path: str) -> Model:
        """A graph of calls; the first call of a nested model is that which made it."""
        entries = {entry["name"]: entry for entry in config["layers"]}
        waits: dict[Key, list[Source]] = {
            (key, index): [self.source(entries, *source) for source in node]
            for key, entry in entries.items()
            for index, node in enumerate(entry["inbound_nodes"])
        }
        inputs = [source[0] for source in config["input_layers"]]
        made = {(key, 0): [self.input(key, entries[key]["config"])] for key in inputs}
        before = {key: [source for source, _ in taken] for key, taken in waits.items()}
        for key in TopologicalSorter(before).static_order():
            if key not in made:
                taken = [made[source][index] for source, index in waits[key]]
                made[key] = self.called(self.layer(entries[key[0]], path), taken)
        ends = [self.source(entries, *source) for source in config["output_layers"]]
        model = Model(
            _one_or_all([made[key, 0][0] for key in inputs]),
            _one_or_all([made[key][index] for key, index in ends]),
            name=name,
        )
        model.stored_order = tuple(entries)
        return model

    def source(self, entries: Mapping[str, Config], name: str, call: int, output: int) -> Source:
        """The call and the output that an entry of the graph means."""
        return (name, call - (entries[name]["class_name"] in CONTAINERS)), output

    def input(self, name: str, config: Config) -> Tensor:
        """The tensor of an InputLayer."""
        shape = tuple(config["batch_input_shape"])
        return Input(batch_shape=shape, dtype=config.get("input_dtype"), name=name)

    def called(self, layer: keras.layers.Layer, inputs: list[Tensor]) -> list[Tensor]:
        """The outputs of a layer."""
        try:
            outputs = layer(_one_or_all(inputs))
        except UNFIT as error:
            raise self.error(layer.name, type(layer).__name__, error) from error
        return list(outputs) if isinstance(outputs, list | tuple) else [outputs]

    def layer(self, entry: Config, prefix: str) -> keras.layers.Layer:
        """The layer or the nested model of an entry, the same one for the same path."""
        config = entry["config"]
        name = entry.get("name") or (config.get("name") if isinstance(config, dict) else None)
        if name is None:
            self.unnamed += 1
            name = f"sequential_{self.unnamed}"
        path = _join(prefix, name)
        if path not in self.layers:
            if entry["class_name"] in CONTAINERS:
                self.layers[path] = self.model(entry["class_name"], config, name, path)
            else:
                self.layers[path] = self.leaf(entry["class_name"], name, config, prefix)
        return self.layers[path]

    def leaf(self, layer_class: str, name: str, config: Config, prefix: str) -> keras.layers.Layer:
        """A layer that is no model."""
        cls = self.classes.get(layer_class)
        if layer_class == "Lambda" and isinstance(config.get("function"), str):
            function = self.classes.get(config["function"])
            if callable(function) and not isinstance(function, type):  # one of custom_objects
                return Lambda.from_config({**config, "function": function})
        if cls is None or layer_class == "Lambda" or _has_code(layer_class, config):
            raise self.refused(layer_class, name)
        settings = {**config, **self.added.get(id(config), {})}
        if PACKAGE in keras.saving.get_registered_name(cls):
            settings["origin"] = self.origin
            if layer_class == "BatchNormalization":
                settings["release"] = self.release
        try:
            if layer_class == "Merge" and settings.get("layers"):
                settings["layers"] = [self.layer(entry, prefix) for entry in settings["layers"]]
            if isinstance(inside := settings.get("layer"), dict):
                return cls(**{**settings, "layer": self.layer(inside, _join(prefix, name))})
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
        return ModelFileError(self.file.path, f"layer {name!r} ({layer_class}): {what}; {remedy}")

    def error(self, name: str, layer_class: str, error: Exception) -> ModelFileError:
        """The error that names a layer."""
        if isinstance(error, ModelFileError):
            return error
        return ModelFileError(self.file.path, f"layer {name!r} ({layer_class}): {error}")


def _has_code(layer_class: str, config: Config) -> bool:
    """Whether a Merge has a function in place of a mode, an output shape or a mask."""
    kinds = ("mode_type", "output_shape_type", "output_mask_type")
    return layer_class == "Merge" and any(
        config.get(kind, "raw") not in ("raw", None) for kind in kinds
    )


def _join(prefix: str, name: str) -> str:
    return f"{prefix}/{name}" if prefix else name


def _one_or_all(tensors: list[Tensor]) -> Any:
    return tensors[0] if len(tensors) == 1 else tensors

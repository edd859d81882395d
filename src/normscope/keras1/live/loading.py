"""From the files of Keras 1 to live models of Keras 3, on any backend.

A file is read as data: nothing in it is run, nothing that it names is imported. The architecture
is checked as a whole by `build_network` before anything is made of it.
"""

from __future__ import annotations

import json
import os
from dataclasses import replace

import keras

from normscope.errors import ModelFileError, SpecError
from normscope.files.recognition import KERAS_ARCHIVE, recognise
from normscope.keras1.files import (
    ModelFile,
    StrPath,
    backend_of,
    checked_release,
    decode_architecture,
    read_model_file,
    read_weights,
)
from normscope.keras1.files.keras_archive import check_archive
from normscope.keras1.live.building import Builder, Classes, live_classes
from normscope.keras1.live.compiling import compile_as_stored
from normscope.keras1.live.conventions import Told, normalizations, say_assumptions
from normscope.keras1.live.layers.base import automatic_name, one_of, weights_limited
from normscope.keras1.live.unstored import likely_backend, orderings, shared_axes
from normscope.keras1.live.weights import load_weights, set_weights
from normscope.keras1.network import build_network
from normscope.keras1.network.layers import Config
from normscope.keras1.network.releases import release_by_configs

MOST_UNSTORED = 2**20
"""How many weights a model may have besides those in its file: the states of stateful layers."""


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
        ModelFileError: the file is damaged, or not a model of Keras 1, or has a layer that is not
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
        return _load_archive(os.fspath(path), custom_objects or {})
    file = read_model_file(path)
    if not file.weights:
        raise ModelFileError(
            file.path,
            "an architecture without weights; give the file that has them, as in "
            "normscope.keras1.live.loading.load_parts('model.json', 'weights.h5') or "
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
        ModelFileError: the text is not a model of Keras 1, or has a layer that is not known.
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
        ModelFileError: the text is not a model of Keras 1, or has a layer that is not known.

    Example:
        >>> dense = {"name": "dense_1", "output_dim": 2, "batch_input_shape": [None, 3]}
        >>> layers = [{"class_name": "Dense", "config": dense}]
        >>> model_from_config({"class_name": "Sequential", "config": layers}).output_shape
        (None, 2)
    """
    return model_from_json(json.dumps(config), custom_objects)


def _model(
    file: ModelFile, custom: Classes | None, told: Told, ordering: str | None
) -> keras.Model:
    ordering = None if ordering is None else one_of("dim_ordering", ordering, ("th", "tf"))
    backend = told.backend or file.backend
    network = build_network(file.architecture, file.path, ordering)
    calls = list(network.all_calls())
    unstored = {**orderings(file.path, calls, ordering, backend), **shared_axes(file, calls)}
    origin = told.origin or backend or likely_backend(file.path, calls)
    release, known = told.release or file.release, True
    if release is None:
        configs = (call.config for call in calls if call.layer_class == "BatchNormalization")
        release, known = release_by_configs(configs)
    builder = Builder(file.path, {**live_classes(), **(custom or {})}, origin, release, unstored)
    is_sequential = network.class_name == "Sequential"
    name = automatic_name("Sequential") if is_sequential else network.name
    model = builder.model(network.model, name)
    model.stored_origin = told.origin or backend
    model.user_origin = told.origin
    for layer in normalizations(model):
        layer.release_told = known
    return model


def _load_archive(path: str, custom_objects: Classes) -> keras.Model:
    """The model of a `.keras` archive."""
    if not path.endswith(".keras"):
        raise ModelFileError(
            path,
            "a .keras archive, which Keras loads only where its name ends so: rename it",
        )
    live_classes()  # Keras knows them from now on
    check_archive(
        path, lambda name: keras.saving.get_registered_object(name, custom_objects) is not None
    )
    try:
        return keras.saving.load_model(path, custom_objects=custom_objects)
    except Exception as error:  # whatever Keras and its backend raise where a setting is wrong
        said = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise ModelFileError(path, f"Keras cannot load it: {said[:300]}") from error


def _parsed(text: str) -> ModelFile:
    architecture = decode_architecture("the text", text, "it")
    release = checked_release("the text", architecture.get("keras_version"))
    return ModelFile("the text", architecture, release, None, {})

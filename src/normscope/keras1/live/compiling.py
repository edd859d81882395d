"""How a file says that its model was trained: loss, metrics, optimizer and its state."""

from __future__ import annotations

import json
import os
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import keras

from normscope.errors import ModelFileError, NormscopeError
from normscope.files.hdf5 import open_hdf5
from normscope.keras1.files import StrPath
from normscope.keras1.live.training import optimizers
from normscope.keras1.live.weights import Array, LoadWarning


@dataclass(frozen=True)
class Training:
    """What a file of `model.save()` holds of the training; `state` is that of the optimizer."""

    optimizer: Mapping[str, Any]
    loss: Any
    metrics: Any
    loss_weights: Any
    sample_weight_mode: Any
    state: Sequence[Array]


def read_training(path: StrPath) -> Training | None:
    """The training in a file, or None: its model was not compiled.

    Raises:
        ModelFileError: the file is damaged.
    """
    with open_hdf5(os.fspath(path)) as file:
        text = file.text("training_config")
        if text is None:
            return None
        state: list[Array] = []
        if "optimizer_weights" in file.file:
            group = file.group(file.file, "optimizer_weights")
            state = [file.array(group, name) for name in file.names(group, "weight_names")]
    try:
        config = json.loads(text)
        return Training(
            optimizer=config["optimizer_config"],
            loss=config["loss"],
            metrics=config.get("metrics"),
            loss_weights=config.get("loss_weights"),
            sample_weight_mode=config.get("sample_weight_mode"),
            state=state,
        )
    except (ValueError, RecursionError, KeyError, TypeError, AttributeError) as error:
        reason = f"its attribute training_config is not as Keras 1 writes it: {error!r}"
        raise ModelFileError(os.fspath(path), reason) from error


def compile_as_stored(
    model: keras.Model,
    path: StrPath,
    names: Mapping[int, str],
    custom_objects: Mapping[str, Any] | None = None,
) -> None:
    """Compile a model as it was compiled when it was saved; nothing is done if it was not.

    The state of the optimizer follows the trained weights sorted by their names in the file.
    What is not of Keras 1, such as a loss of one's own, is left to the user, with a warning.

    Args:
        model: with the weights of the file.
        path: of the file.
        names: the name in the file of each weight, by the id of its variable.
        custom_objects: losses and metrics of one's own, by name.

    Raises:
        ModelFileError: the state does not fit the model.
    """
    training = read_training(path)
    if training is None:
        return
    try:
        optimizer = optimizers.get(training.optimizer)
        model.compile(
            optimizer=optimizer,
            loss=_with_functions(training.loss, custom_objects or {}),
            metrics=_with_functions(training.metrics, custom_objects or {}),
            loss_weights=training.loss_weights,
            sample_weight_mode=training.sample_weight_mode,
        )
    except NormscopeError as error:
        warnings.warn(
            f"{os.fspath(path)}: the model is loaded, but not compiled: {error}; "
            "give functions of your own as custom_objects={name: function}, or "
            "call model.compile(...) to train it",
            LoadWarning,
            stacklevel=3,
        )
        return
    variables = model.trainable_variables
    optimizer.build(variables)
    if training.state:
        order = sorted(range(len(variables)), key=lambda k: names.get(id(variables[k]), ""))
        try:
            optimizer.set_state(training.state, order)
        except NormscopeError as error:
            raise ModelFileError(os.fspath(path), str(error)) from error


def _with_functions(given: Any, known: Mapping[str, Any]) -> Any:
    """Names of losses or metrics, those of one's own replaced by what they name."""
    if isinstance(given, Mapping):
        return {key: _with_functions(one, known) for key, one in given.items()}
    if isinstance(given, list):
        return [_with_functions(one, known) for one in given]
    return known.get(given, given) if isinstance(given, str) else given

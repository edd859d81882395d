"""A live model compiled as the file says that it was trained."""

from __future__ import annotations

import os
import warnings
from collections.abc import Mapping
from typing import Any

import keras

from normscope.errors import ModelFileError, NormscopeError
from normscope.keras1.files import StrPath
from normscope.keras1.files.training import read_training
from normscope.keras1.live.conventions import LoadWarning
from normscope.keras1.live.training import optimizers


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

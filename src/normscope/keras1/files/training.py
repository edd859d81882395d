"""How a file of Keras 1 says that its model was trained: loss, metrics, optimizer and its state."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from normscope.errors import ModelFileError
from normscope.files.hdf5 import holds, open_hdf5
from normscope.keras1.files.weights import Array, StrPath


@dataclass(frozen=True)
class StoredTraining:
    """What a file of `model.save()` holds of the training; `state` is that of the optimizer."""

    optimizer: Mapping[str, Any]
    loss: Any
    metrics: Any
    loss_weights: Any
    sample_weight_mode: Any
    state: Sequence[Array]


def read_training(path: StrPath) -> StoredTraining | None:
    """The training in a file, or None: its model was not compiled.

    Raises:
        ModelFileError: the file is damaged.
    """
    with open_hdf5(os.fspath(path)) as file:
        text = file.text("training_config")
        if text is None:
            return None
        state: list[Array] = []
        if holds(file.file, "optimizer_weights"):
            group = file.group(file.file, "optimizer_weights")
            state = [file.array(group, name) for name in file.names(group, "weight_names")]
    try:
        config = json.loads(text)
        return StoredTraining(
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

"""Which files open as a model, told by their content, whatever their names."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from normscope.files.keras_release import keras_release
from normscope.files.recognition import KERAS_ARCHIVE, ONNX, SAVED_MODEL, TORCH_EXPORT, recognise
from normscope.frameworks.registry import opener_of

_ENDINGS = {ONNX: ".onnx", KERAS_ARCHIVE: ".keras", TORCH_EXPORT: ".pt2"}
"""The kinds that open as data and run as a model, and the ending by which they are opened."""


def opener(path: str) -> Callable[[Path], Any] | None:
    """What opens a file, or a folder, as a model, running nothing of it; None if nothing does.

    Raises:
        ModelFileError: it cannot be opened.
    """
    kind = recognise(path)
    if kind is SAVED_MODEL:
        whole = os.path.exists(os.path.join(path, "keras_metadata.pb"))
        return opener_of(".keras") if whole else None
    later = (keras_release(path, kind) or 1) > 1  # than Keras 1, whose files are read otherwise
    return opener_of(".keras" if later else _ENDINGS.get(kind, ""))


def opener_by_name(path: str) -> Callable[[Path], Any] | None:
    """What opens a file by its content; where it is missing, or nothing opens that, by its ending.

    >>> opener_by_name("math") is None
    True
    """
    found = opener(path) if os.path.exists(path) else None
    return found or opener_of(Path(path).suffix.lower())

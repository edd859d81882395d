"""A file of Keras 2 or 3, opened once it is known that Keras is installed."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from normscope.errors import missing_package

if TYPE_CHECKING:
    from normscope.frameworks.keras.saved.reading import KerasFile


def keras_file(path: Path) -> KerasFile:
    """The model in a file of Keras 2 or 3: .keras, .h5, .json, or a SavedModel with its settings.

    Raises:
        ModelFileError: the file cannot be read, or its model not be rebuilt.
        MissingPackageError: Keras, its backend or h5py is not installed.
    """
    try:
        from normscope.frameworks.keras.saved.reading import read
    except ImportError as error:
        raise missing_package(error, f"{path.name}, a model of Keras,") from error
    return read(path)

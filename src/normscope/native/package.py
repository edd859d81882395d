"""Import of a framework at the moment when it is needed."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from normscope.errors import MissingPackageError


def needed(module: str, *, by: str, install: str) -> Any:
    """A module of a framework.

    Raises:
        MissingPackageError: it is not installed.
    """
    try:
        return import_module(module)
    except ModuleNotFoundError as error:
        if error.name is None or error.name.split(".")[0] != module.split(".")[0]:
            raise
        raise MissingPackageError(f"{by} needs {install}: pip install {install}") from error

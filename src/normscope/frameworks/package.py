"""Import of a framework at the moment when it is needed."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from normscope.errors import missing_package


def needed(module: str, *, by: str) -> Any:
    """A module of a framework.

    Raises:
        MissingPackageError: it is not installed.
    """
    try:
        return import_module(module)
    except ModuleNotFoundError as error:
        raise missing_package(error, by) from error

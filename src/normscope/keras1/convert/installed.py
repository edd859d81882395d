"""Whether Keras can be imported, for the command line; nothing is imported here."""

from __future__ import annotations

import os
from importlib.util import find_spec

from normscope.errors import MissingPackageError

BACKENDS = ("tensorflow", "jax", "torch")


def ensure_keras() -> None:
    """Check that Keras and a backend are installed; let Keras take one that is.

    The user chooses by the environment variable KERAS_BACKEND. Without it Keras takes TensorFlow,
    and fails where that is not installed, though another backend may be.

    Raises:
        MissingPackageError: Keras, or every backend, is missing.
    """
    installed = [name for name in BACKENDS if _is_installed(name)]
    if not _is_installed("keras") or not installed:
        raise MissingPackageError(
            "this needs Keras 3 and one of tensorflow, jax and torch, such as: "
            "pip install keras torch"
        )
    if "tensorflow" not in installed:
        os.environ.setdefault("KERAS_BACKEND", installed[0])
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")  # no greetings


def _is_installed(name: str) -> bool:
    try:
        return find_spec(name) is not None
    except (ImportError, ValueError):  # an import that somebody has blocked
        return False

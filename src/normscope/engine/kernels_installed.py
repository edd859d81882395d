"""Whether `normalize` and `fit` run the kernels, or compute by the definition."""

from __future__ import annotations

from functools import cache
from importlib.util import find_spec

from normscope.errors import missing_package


@cache
def kernels_installed() -> bool:
    """Whether Numba is installed, which compiles the kernels; it is not imported."""
    return find_spec("numba") is not None


def check_kernels(who: str) -> None:
    """What only kernels can do is possible.

    Raises:
        MissingPackageError: Numba is not installed.
    """
    if not kernels_installed():
        raise missing_package(ModuleNotFoundError(name="numba"), who)

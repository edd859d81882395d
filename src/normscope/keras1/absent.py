"""The names of Keras 1 that are not offered, each with what to write in its place."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from normscope.errors import SpecError


def refusing(module: str, instead: Mapping[str, str]) -> Callable[[str], Any]:
    """The `__getattr__` of a module for the names that it does not offer.

    Args:
        module: its name in Keras 1, without `keras.`.
        instead: what to write in place of each name.

    >>> refusing("utils.visualize_util", {"plot": "use keras.utils.plot_model"})("plot")
    Traceback (most recent call last):
    normscope.errors.SpecError: keras.utils.visualize_util.plot of Keras 1 is not offered; ...
    """

    def found(name: str) -> Any:
        if name in instead:
            raise SpecError(f"keras.{module}.{name} of Keras 1 is not offered; {instead[name]}")
        raise AttributeError(f"module 'normscope.keras1.{module}' has no attribute {name!r}")

    return found

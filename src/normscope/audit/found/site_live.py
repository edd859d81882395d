"""`SiteLive`: the operators of a site, as `identify` calls a layer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from normscope.frameworks.live import Live
from normscope.frameworks.trees import Array
from normscope.graph.extract import Extracted
from normscope.graph.operators import Graph

_EPS = {"bfloat16": 2.0**-7, "float16": 2.0**-10}


class SiteLive(Live):
    """The operators of one site; its arrays are copies, so that the model keeps its own.

    Args:
        title: the site in words.
        graph: one of its graphs, for its arrays.
        functions: the site in each mode; True is training.
        dtype: of what is normalized.
        state: which of its arrays are no learned parameters, if that is known.
    """

    def __init__(
        self,
        title: str,
        graph: Graph,
        functions: Mapping[bool, Extracted],
        dtype: str,
        state: frozenset[str] = frozenset(),
    ) -> None:
        super().__init__(title, "site")
        self._arrays = graph.arrays
        self._functions = functions
        self._native = dtype
        self.modes = (True, False) if len(functions) == 2 else (False,)
        self.dtype = np.dtype(np.float64 if dtype == "float64" else np.float32)
        # by statistics at hand, all digits are seen; by stored ones, those that float32 has
        eps = float(np.finfo(np.float32 if state else self.dtype).eps)
        self.eps = _EPS.get(dtype, eps)
        self.learned = frozenset(self._owners()) - state

    def _owners(self) -> dict[str, Extracted]:
        return {name: one for one in self._functions.values() for name in one.names()}

    def tensor(self, x: Array) -> Any:
        """Numbers as a native array."""
        return self._arrays.from_numpy(np.asarray(x), self._native)

    def call(self, arguments: tuple[Any, ...], named: dict[str, Any], training: bool) -> Any:
        """The operators of one mode, run once."""
        function = self._functions.get(training) or next(iter(self._functions.values()))
        return self._arrays.to_numpy(function(*arguments))

    def arrays(self) -> dict[str, Array]:
        """The arrays of the model that the site uses."""
        return {
            name: array for one in self._functions.values() for name, array in one.arrays().items()
        }

    def write(self, name: str, value: Array) -> None:
        """Give an array new values, in each mode that uses it."""
        for one in self._functions.values():
            if name in one.names():
                one.write(name, value)

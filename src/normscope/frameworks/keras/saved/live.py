"""`KerasFileLive`: a model in a file of Keras 2 or 3, as any live model of Keras."""

from __future__ import annotations

from typing import Any

from normscope.frameworks.keras.live import KerasLive
from normscope.frameworks.keras.saved.reading import KerasFile
from normscope.frameworks.keras.saved.unknown import is_traced
from normscope.frameworks.live import FirstCall
from normscope.graph.operators import CannotTraceError


class KerasFileLive(KerasLive):
    """The model that was rebuilt; what is known only of the file is told in its notes."""

    def __init__(self, file: KerasFile, first: FirstCall) -> None:
        super().__init__(file.model, first)
        self.notes += file.notes
        self._unknown = [layer.kind for layer in file.unknown.values()]

    def call(self, arguments: tuple[Any, ...], named: dict[str, Any], training: bool) -> Any:
        """One call in a mode.

        Raises:
            CannotTraceError: it holds layers of which nothing is known, and is not being traced.
        """
        if self._unknown and not is_traced():
            raise CannotTraceError(f"{self._unknown[0]} cannot be run: it is none of Keras's own")
        return super().call(arguments, named, training)

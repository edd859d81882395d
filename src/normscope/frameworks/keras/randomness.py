"""`CommonGenerators`: the generator that Keras makes for those who give no seed."""

from __future__ import annotations

from typing import Any

import numpy as np
from keras.src.backend.common import global_state

from normscope.frameworks.keras.state import value_of
from normscope.frameworks.state import State


class CommonGenerators(State):
    """The shared generator, which is made once it is needed."""

    def __init__(self) -> None:
        shared = _shared()
        self._found = None if shared is None else value_of(shared.state)

    def put_back(self, stream: int | None = 0) -> None:
        """Draw again what was drawn; in another stream others; with None go on."""
        shared = _shared()
        if stream is None or shared is None:
            return
        if self._found is None:  # it was made meanwhile
            global_state.set_global_attribute("global_seed_generator", None)
        else:
            shared.state.assign(self._found + np.asarray(stream, self._found.dtype))


def _shared() -> Any:
    return global_state.get_global_attribute("global_seed_generator")

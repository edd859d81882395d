"""`Randomness`: the random generators of the process, as they were found."""

from __future__ import annotations

import random
import sys
from typing import Any

import numpy as np

from normscope.frameworks.state import State


class Randomness(State):
    """The common generators of Python and NumPy, and of torch and Keras where they are loaded.

    >>> found = Randomness()
    >>> drawn = np.random.rand()
    >>> found.put_back()
    >>> drawn == np.random.rand()
    True
    >>> found.put_back()
    """

    def __init__(self) -> None:
        self._python = random.getstate()
        self._numpy = np.random.get_state()
        self._torch = _torch_states()
        shared = _keras_generator()
        self._keras = None if shared is None else np.array(_value(shared))

    def put_back(self, stream: int | None = 0) -> None:
        """Let every generator draw again what it drew; or others, or go on.

        Args:
            stream: 0 draws the same again, another number draws others, None goes on.
        """
        if stream is None:
            return
        self._put_back(stream)
        if stream:
            random.seed(stream)
            np.random.seed(stream)
            if self._torch:
                sys.modules["torch"].manual_seed(stream)

    def _put_back(self, stream: int) -> None:
        random.setstate(self._python)
        np.random.set_state(self._numpy)
        for device, state in self._torch.items():
            torch = sys.modules["torch"]
            if device == "cpu":
                torch.set_rng_state(state)
            else:
                torch.cuda.set_rng_state(state, device)
        shared = _keras_generator()
        if shared is None:
            return
        if self._keras is None:  # it was made meanwhile
            _keras_global_state().set_global_attribute("global_seed_generator", None)
        else:
            shared.state.assign(self._keras + np.asarray(stream, self._keras.dtype))


def _torch_states() -> dict[str, Any]:
    torch = sys.modules.get("torch")
    if torch is None or not hasattr(torch, "get_rng_state"):
        return {}
    states = {"cpu": torch.get_rng_state()}
    if torch.cuda.is_initialized():
        for number in range(torch.cuda.device_count()):
            states[f"cuda:{number}"] = torch.cuda.get_rng_state(number)
    return states


def _keras_generator() -> Any:
    """The generator that Keras makes for those who give no seed, once it was needed."""
    state = _keras_global_state()
    return None if state is None else state.get_global_attribute("global_seed_generator")


def _keras_global_state() -> Any:
    return sys.modules.get("keras.src.backend.common.global_state")


def _value(generator: Any) -> Any:
    return sys.modules["keras"].ops.convert_to_numpy(generator.state.value)

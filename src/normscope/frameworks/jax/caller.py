"""`Caller`: calls layers of JAX, and sees to it that they are not compiled at each call.

A `lax.cond` or `lax.scan` over functions that each call makes anew, as in Keras's
`SpectralNormalization`, is compiled anew each time. Run step by step, only the steps are compiled,
each once.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

import jax

T = TypeVar("T")

_LONG = 0.02
"""Seconds. A layer of a few thousand elements takes less, unless something is compiled."""

_COMPILES, _PATIENCE, _TRIALS = 2, 3, 2
"""Calls that compile for good; slow calls after them until steps are tried; trials of steps."""


class Caller:
    """Calls one layer, step by step once that turns out to be faster.

    >>> Caller()(lambda: 3)
    3
    """

    def __init__(self) -> None:
        self._calls = 0
        self._slow: list[float] = []
        self._steps: list[float] = []

    def __call__(self, function: Callable[[], T]) -> T:
        """What the function returns."""
        self._calls += 1
        if self._in_steps():
            with jax.disable_jit():
                result, seconds = _timed(function)
            self._steps.append(seconds)
            return result
        result, seconds = _timed(function)
        if self._calls > _COMPILES and seconds > _LONG:
            self._slow.append(seconds)
        return result

    def _in_steps(self) -> bool:
        if len(self._slow) < _PATIENCE:
            return False
        return len(self._steps) < _TRIALS or min(self._steps) < min(self._slow)


def _timed(function: Callable[[], T]) -> tuple[T, float]:
    start = time.perf_counter()
    return function(), time.perf_counter() - start

"""`Randomness`: the random generators of the process, as they were found."""

from __future__ import annotations

import random

import numpy as np

from normscope.frameworks.registry import common_generators
from normscope.frameworks.state import State


class Randomness(State):
    """The common generators of Python, of NumPy, and of the frameworks that are loaded.

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
        self._of_frameworks = list(common_generators())

    def put_back(self, stream: int | None = 0) -> None:
        """Let every generator draw again what it drew; or others, or go on.

        Args:
            stream: 0 draws the same again, another number draws others, None goes on.
        """
        if stream is None:
            return
        random.setstate(self._python)
        np.random.set_state(self._numpy)
        for state in self._of_frameworks:
            state.put_back(stream)
        if stream:
            random.seed(stream)
            np.random.seed(stream)

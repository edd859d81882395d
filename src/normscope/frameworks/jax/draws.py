"""`Draws`: which random numbers the calls of a model of JAX are given."""

from __future__ import annotations

from normscope.frameworks.state import State


class Draws(State):
    """Numbers of which keys are made, another one for each call.

    >>> draws = Draws()
    >>> draws.next(), draws.next()
    (0, 1)
    >>> draws.put_back()
    >>> draws.next()
    0
    """

    def __init__(self) -> None:
        self._count = 0

    def next(self) -> int:
        """The number for the next call."""
        self._count += 1
        return self._count - 1

    def put_back(self, stream: int | None = 0) -> None:
        """Draw again from the beginning of a stream; None goes on."""
        if stream is not None:
            self._count = stream

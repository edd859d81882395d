"""`State`: what a layer or model holds, as it was found."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager


class State:
    """Puts back what calls change; the base class knows of nothing that they change."""

    def put_back(self, stream: int | None = 0) -> None:
        """Put back whatever has changed.

        Args:
            stream: of random numbers: 0 draws what would have been drawn, another number draws
                others, None lets the random generators go on.
        """

    @contextmanager
    def kept(self) -> Iterator[None]:
        """Whatever happens inside, everything is afterwards as it was before."""
        try:
            yield
        finally:
            self.put_back()

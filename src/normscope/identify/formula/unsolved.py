"""`Unsolved`: what a step returns that has no answer, with the reason."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Unsolved:
    """No answer.

    Attributes:
        reason: in words, as a line of the evidence.
        certain: it is known that there is none; else there may be one that was not found.
    """

    reason: str
    certain: bool

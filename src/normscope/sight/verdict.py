"""Whether samples see each other: in a word, where, and why."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any


class Word(StrEnum):
    """Whether samples see each other, in a word."""

    PROVED = "proved apart"
    MIXED = "mixed"
    PROBED = "apart, by probing"
    UNKNOWN = "unknown"


@dataclass(frozen=True)
class Through:
    """The operator in which samples meet first, or that leaves it open.

    Attributes:
        path: of the layer whose operator it is; "" is the model itself.
        type: the class of that layer.
        operator: its native name; "" if it is not known.
        source: the line of the program, "file.py:12"; "" if it is not known.
    """

    path: str
    type: str
    operator: str = ""
    source: str = ""

    def __str__(self) -> str:
        layer = f"{self.path} ({self.type})" if self.path else self.type or "the model itself"
        return ", ".join(filter(None, (f"{self.operator} in {layer}", self.source)))

    def to_dict(self) -> dict[str, Any]:
        """As JSON types."""
        return {
            "path": self.path,
            "type": self.type,
            "operator": self.operator,
            "source": self.source,
        }


@dataclass(frozen=True)
class Samples:
    """Whether samples see each other in one mode.

    Attributes:
        verdict: one of "proved apart", "mixed", "apart, by probing" and "unknown".
        through: where they meet first, or what leaves it open; None if there is no such place.
        why: the reason, in words.
    """

    verdict: Word = Word.UNKNOWN
    through: Through | None = None
    why: str = ""

    def to_dict(self) -> dict[str, Any]:
        """As JSON types."""
        through = self.through
        return {
            "verdict": str(self.verdict),
            "through": None if through is None else through.to_dict(),
            "why": self.why,
        }

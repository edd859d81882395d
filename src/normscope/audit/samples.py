"""`Samples`: whether samples see each other in one mode of a model, and through what."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Samples:
    """Whether samples see each other in one mode.

    Attributes:
        verdict: "proved apart", "mixed", "apart, by probing" or "unknown".
        through: the first place where they meet, or that leaves it open: path, type, operator and
            source; None if there is none.
        why: the reason, in words.
    """

    verdict: str
    through: dict[str, str] | None = None
    why: str = ""

    def to_dict(self) -> dict[str, Any]:
        """The verdict as JSON types."""
        return {"verdict": self.verdict, "through": self.through, "why": self.why}

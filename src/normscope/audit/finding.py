"""`Finding`: one thing that an audit has to say about one layer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any


class Severity(StrEnum):
    """How bad a finding is."""

    ERROR = "error"  # the result is wrong, or the promise of the layer is broken
    WARNING = "warning"  # most likely not meant
    INFO = "info"  # could be better

    @property
    def rank(self) -> int:
        """0 is the worst."""
        return list(Severity).index(self)


@dataclass(frozen=True)
class Finding:
    """What a rule found in one layer.

    Attributes:
        code, name, severity: of the rule.
        path: the layer, as its user names it.
        message: what is wrong, with the numbers.
        fix: what to do instead.
        evidence: the facts behind the message, as JSON types.
    """

    code: str
    name: str
    severity: Severity
    path: str
    message: str
    fix: str
    evidence: Mapping[str, Any]

    def to_dict(self) -> dict[str, Any]:
        """The finding as JSON types."""
        return {
            "code": self.code,
            "name": self.name,
            "severity": str(self.severity),
            "path": self.path,
            "message": self.message,
            "fix": self.fix,
            "evidence": dict(self.evidence),
        }

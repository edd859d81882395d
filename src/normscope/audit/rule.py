"""`Rule`: one thing that can be wrong with a normalization, and how to see it.

A rule is one file in `rules/`. The docstring of that file is its documentation: the page on the
web, `normscope rules CODE`, the help text in reports.
"""

from __future__ import annotations

import inspect
import sys
from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import Any, ClassVar

from normscope.audit.finding import Finding, Severity
from normscope.audit.model_graph import ModelGraph, Site


class Rule(ABC):
    """Base class of the rules. A rule is named after the bad pattern, so "allow NAME" reads well.

    Attributes:
        code: the family and a number, never used again. Families: NS1 statistics sets, NS2
            numbers, NS3 running statistics, NS4 parameters, NS5 differences between frameworks.
        name, severity: of its findings.
        since: the release of normscope that has it first.
    """

    code: ClassVar[str]
    name: ClassVar[str]
    severity: ClassVar[Severity]
    since: ClassVar[str]

    @abstractmethod
    def check(self, site: Site, graph: ModelGraph) -> Iterator[Finding]:
        """The findings at one site."""

    def finding(
        self,
        site: Site,
        message: str,
        *,
        fix: str,
        evidence: dict[str, Any],
        severity: Severity | None = None,
    ) -> Finding:
        """A finding of this rule."""
        return Finding(
            self.code, self.name, severity or self.severity, site.path, message, fix, evidence
        )

    @property
    def documentation(self) -> str:
        """The docstring of the rule's file."""
        return inspect.getdoc(sys.modules[type(self).__module__]) or ""

    @property
    def summary(self) -> str:
        """The first line of the documentation, without code and name."""
        return self.documentation.splitlines()[0].split(":", 1)[1].strip()

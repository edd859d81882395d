"""An audit as a SARIF 2.1.0 log, which code scanning tools read."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from normscope.audit.catalogue import all_rules
from normscope.audit.finding import Finding, Severity
from normscope.audit.reports.answer import differences, what_nobody_knows
from normscope.audit.reports.grouping import grouped

if TYPE_CHECKING:
    from normscope.audit.result import Audit

_LEVELS = {Severity.ERROR: "error", Severity.WARNING: "warning", Severity.INFO: "note"}


def as_sarif(audit: Audit, version: str) -> dict[str, Any]:
    """The findings of an audit; the place of one is the file and the layer in it."""
    return {
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [
            {
                "tool": {
                    "driver": {
                        "name": "normscope",
                        "version": version,
                        "rules": [
                            {
                                "id": rule.code,
                                "name": rule.name,
                                "shortDescription": {"text": rule.summary},
                                "fullDescription": {"text": rule.documentation},
                                "help": {"text": rule.documentation},
                                "defaultConfiguration": {"level": _LEVELS[rule.severity]},
                            }
                            for rule in all_rules()
                        ],
                    }
                },
                "invocations": [
                    {
                        "executionSuccessful": True,
                        "toolExecutionNotifications": [
                            {"level": "warning", "message": {"text": message}}
                            for message in _notifications(audit)
                        ],
                    }
                ],
                "results": [
                    _result(audit, number, finding)
                    for number, findings in enumerate(audit.by_site)
                    for finding in findings
                ],
            }
        ],
    }


def _result(audit: Audit, number: int, finding: Finding) -> dict[str, Any]:
    """A finding; its place is the line of the program, or else the file and the layer in it."""
    site = audit.layers[number]
    file, _, line = site.source.rpartition(":")
    place: dict[str, Any] = {
        "artifactLocation": {"uri": quote(os.fsencode(audit.graph.file or audit.graph.name))}
    }
    if file and line.isdigit():
        place = {"artifactLocation": {"uri": quote(file)}, "region": {"startLine": int(line)}}
    return {
        "ruleId": finding.code,
        "level": _LEVELS[finding.severity],
        "message": {"text": f"{finding.message}\n{finding.fix}"},
        "locations": [
            {
                "physicalLocation": place,
                "logicalLocations": [{"fullyQualifiedName": finding.path, "kind": "member"}],
            }
        ],
        "properties": dict(finding.evidence),
    }


def _notifications(audit: Audit) -> Iterator[str]:
    """What is said of the model as a whole."""
    yield from (f"assumed: {message}" for message in audit.graph.assumed)
    yield from differences(grouped(audit))
    unknown = what_nobody_knows(audit.graph.unknown_operators)
    if unknown:
        yield unknown

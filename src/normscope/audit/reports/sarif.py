"""An audit as a SARIF 2.1.0 log, which code scanning tools read."""

from __future__ import annotations

import hashlib
import os
from collections import Counter
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from normscope.audit.catalogue import all_rules
from normscope.audit.finding import Finding, Severity
from normscope.audit.model_graph import Site
from normscope.audit.reports.answer import differences, what_nobody_knows
from normscope.audit.reports.grouping import grouped
from normscope.audit.reports.recurring import MODEL_AS_A_WHOLE, THE_MODEL
from normscope.audit.reports.rule_pages import as_markdown, parts_of
from normscope.audit.rule import Rule

if TYPE_CHECKING:
    from normscope.audit.result import Audit

_LEVELS = {Severity.ERROR: "error", Severity.WARNING: "warning", Severity.INFO: "note"}

FINGERPRINT = "normscope/v1"
"""The name of the fingerprints: of rule, layer and kind, so that an edited line keeps them."""


def as_sarif(audit: Audit, version: str) -> dict[str, Any]:
    """The findings of an audit; the place of one is the file and the layer in it."""
    rules = all_rules()
    return {
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [
            {
                "tool": {
                    "driver": {
                        "name": "normscope",
                        "version": version,
                        "semanticVersion": version,
                        "rules": [_rule(rule) for rule in rules],
                    }
                },
                "automationDetails": {"id": f"normscope/{_uri(audit)}/"},
                "artifacts": [{"location": {"uri": _uri(audit)}, "roles": ["analysisTarget"]}],
                "columnKind": "unicodeCodePoints",
                "invocations": [
                    {
                        "executionSuccessful": True,
                        "toolExecutionNotifications": [
                            {"level": "warning", "message": {"text": message}}
                            for message in _notifications(audit)
                        ],
                    }
                ],
                "results": list(_results(audit, {r.code: n for n, r in enumerate(rules)})),
            }
        ],
    }


def _rule(rule: Rule) -> dict[str, Any]:
    parts = parts_of(rule)
    family = rule.code.rstrip("0123456789") + rule.code.lstrip("ABCDEFGHIJKLMNOPQRSTUVWXYZ")[:1]
    return {
        "id": rule.code,
        "name": rule.name,
        "shortDescription": {"text": rule.summary},
        "fullDescription": {"text": rule.documentation},
        "help": {"text": rule.documentation, "markdown": as_markdown(rule.summary, parts)},
        "defaultConfiguration": {"level": _LEVELS[rule.severity]},
        "properties": {"tags": ["normalization", family], "since": rule.since},
    }


def _results(audit: Audit, indices: dict[str, int]) -> Iterator[dict[str, Any]]:
    """The findings about the model as a whole, those at each layer, and those that do not count."""
    seen: Counter[tuple[str, str, str]] = Counter()
    compared = bool(audit.known or audit.stale)
    for site, finding, accepted in _places(audit):
        told = (finding.code, finding.path, "model" if site is None else str(site.kind))
        seen[told] += 1
        yield {
            "ruleId": finding.code,
            **({"ruleIndex": indices[finding.code]} if finding.code in indices else {}),
            "level": _LEVELS[finding.severity],
            "message": {"text": f"{finding.message}\n{finding.fix}"},
            "locations": [
                {
                    "physicalLocation": _physical(audit, site),
                    "logicalLocations": [_logical(site, finding)],
                }
            ],
            "partialFingerprints": {FINGERPRINT: _fingerprint(*told, str(seen[told]))},
            **({"baselineState": "unchanged" if accepted == KNOWN else "new"} if compared else {}),
            **({"suppressions": [_suppression(accepted)]} if accepted else {}),
            "properties": dict(finding.evidence),
        }


KNOWN = "it is in the baseline"


def _places(audit: Audit) -> Iterator[tuple[Site | None, Finding, str]]:
    """Each finding with its layer, and why it does not count; "" if it does."""
    for finding in audit.of_model:
        yield None, finding, ""
    for site, findings in zip(audit.layers, audit.by_site, strict=True):
        for finding in findings:
            yield site, finding, ""
    by_path = {site.path: site for site in reversed(audit.layers)}
    for one in audit.allowed:
        yield by_path.get(one.finding.path), one.finding, one.reason
    for finding in audit.known:
        yield by_path.get(finding.path), finding, KNOWN


def _suppression(reason: str) -> dict[str, str]:
    return {"kind": "external", "status": "accepted", "justification": reason}


def _physical(audit: Audit, site: Site | None) -> dict[str, Any]:
    """The line of the program where it is known, else the file of the model, or its name."""
    file, _, line = ("", "", "") if site is None else site.source.rpartition(":")
    if file and line.isdigit() and int(line) > 0:
        return {"artifactLocation": {"uri": _quoted(file)}, "region": {"startLine": int(line)}}
    return {"artifactLocation": {"uri": _uri(audit), "index": 0}}


def _logical(site: Site | None, finding: Finding) -> dict[str, Any]:
    if site is None and not finding.path:
        return {"name": MODEL_AS_A_WHOLE, "kind": "module"}
    path = finding.path or THE_MODEL
    return {"name": path.rpartition(".")[2] or path, "fullyQualifiedName": path, "kind": "member"}


def _fingerprint(*told: str) -> str:
    """The same for the same rule at the same layer, whatever its line and numbers."""
    text = "\0".join(told)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:32]


def _uri(audit: Audit) -> str:
    return _quoted(audit.graph.file or audit.graph.name)


def _quoted(text: str) -> str:
    """A name as a URI: of a file the bytes that it has, of anything else what it holds."""
    try:
        return quote(os.fsencode(text))
    except UnicodeEncodeError:  # half of a letter, which no file can be called
        return quote(text.encode("utf-8", "surrogatepass"))


def _notifications(audit: Audit) -> Iterator[str]:
    """What is said of the model as a whole."""
    yield from (f"assumed: {message}" for message in audit.graph.assumed)
    yield from differences(grouped(audit))
    unknown = what_nobody_knows(audit.graph.unknown_operators)
    if unknown:
        yield unknown

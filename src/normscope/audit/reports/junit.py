"""An audit as JUnit XML, which the dashboards of CI show: one test case for each layer."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING
from xml.etree import ElementTree

from normscope.audit.finding import Finding, Severity
from normscope.audit.reports.recurring import MODEL_AS_A_WHOLE, THE_MODEL
from normscope.errors import printable

if TYPE_CHECKING:
    from normscope.audit.result import Audit


def as_junit(audit: Audit) -> str:
    """The report as a JUnit document: one suite for the model, one case for each layer.

    The first case is the model as a whole. A case fails by errors and warnings; what is only good
    to know stands in its output. Each case has at most one `<failure>`, since many readers show no
    second one; it holds every finding. There is no time in it, so it is the same every time.
    """
    model = printable(audit.graph.file or audit.graph.name)
    cases = [(MODEL_AS_A_WHOLE, audit.of_model), *_layers(audit)]
    failures = sum(bool(_failing(findings)) for _, findings in cases)
    counts = {"tests": f"{len(cases)}", "failures": f"{failures}", "errors": "0"}
    root = ElementTree.Element("testsuites", {"name": "normscope", **counts})
    suite = ElementTree.SubElement(root, "testsuite", {"name": model, **counts, "skipped": "0"})
    properties = ElementTree.SubElement(suite, "properties")
    for name, value in _properties(audit):
        ElementTree.SubElement(properties, "property", {"name": name, "value": printable(value)})
    for path, findings in cases:
        _case(suite, model, printable(path), findings)
    ElementTree.indent(root)
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{ElementTree.tostring(root, "unicode")}'


def _layers(audit: Audit) -> list[tuple[str, Sequence[Finding]]]:
    """Name and findings of each layer; a path that comes again is numbered."""
    seen: Counter[str] = Counter()
    named: list[tuple[str, Sequence[Finding]]] = []
    for number, site in enumerate(audit.layers):
        path = site.path or THE_MODEL
        seen[path] += 1
        times = f" ({seen[path]})" if seen[path] > 1 else ""
        named.append((path + times, audit.findings_of(number)))
    return named


def _properties(audit: Audit) -> Iterable[tuple[str, str]]:
    graph = audit.graph
    yield from (("framework", graph.framework), ("format", graph.format))
    for mode, samples in audit.samples.items():
        yield f"samples in {mode}", str(samples.verdict)
    for message in (*graph.assumed, *graph.notes):
        yield "note", message


def _case(suite: ElementTree.Element, model: str, name: str, findings: Sequence[Finding]) -> None:
    case = ElementTree.SubElement(suite, "testcase", {"classname": model, "name": name})
    failing = _failing(findings)
    if failing:
        first = failing[0]
        more = f" (and {len(failing) - 1} more)" if len(failing) > 1 else ""
        said = {
            "type": str(first.severity),
            "message": printable(f"{first.code} {first.name}: {first.message}{more}"),
        }
        ElementTree.SubElement(case, "failure", said).text = _text(failing)
    told = [finding for finding in findings if finding.severity is Severity.INFO]
    if told:
        ElementTree.SubElement(case, "system-out").text = _text(told)


def _failing(findings: Iterable[Finding]) -> list[Finding]:
    """What fails a case, the worst first."""
    failing = [finding for finding in findings if finding.severity is not Severity.INFO]
    return sorted(failing, key=lambda finding: finding.severity.rank)


def _text(findings: Iterable[Finding]) -> str:
    """Findings with what to do, without the characters that XML forbids."""
    lines: list[str] = []
    for finding in findings:
        where = f", {finding.path}" if finding.path else ""
        lines.append(f"{finding.code} {finding.severity} {finding.name}{where}")
        lines.append(f"  {finding.message}")
        lines += [f"  -> {advice}" for advice in finding.fix.splitlines()]
    return "\n".join(map(printable, lines))

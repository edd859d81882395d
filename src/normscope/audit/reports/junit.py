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


def as_junit(audits: Sequence[Audit]) -> str:
    """The report as a JUnit document: one suite for each model, one case for each layer.

    The first case is the model as a whole. A case fails by errors and warnings; what is only good
    to know, what is allowed and what is known stand in its output. Each case has at most one
    `<failure>`, since many readers show no second one; it holds every finding. There is no time in
    it, so it is the same every time.
    """
    root = ElementTree.Element("testsuites", {"name": "normscope"})
    suites = [_suite(audit) for audit in audits]
    root.extend(suites)
    for count in ("tests", "failures", "errors"):
        root.set(count, f"{sum(int(suite.get(count, '0')) for suite in suites)}")
    ElementTree.indent(root)
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{ElementTree.tostring(root, "unicode")}'


def _suite(audit: Audit) -> ElementTree.Element:
    model = printable(audit.graph.file or audit.graph.name)
    cases = _cases(audit)
    failures = sum(bool(_failing(findings)) for _, findings, _ in cases)
    counts = {"tests": f"{len(cases)}", "failures": f"{failures}", "errors": "0", "skipped": "0"}
    suite = ElementTree.Element("testsuite", {"name": model, **counts})
    properties = ElementTree.SubElement(suite, "properties")
    for name, value in _properties(audit):
        ElementTree.SubElement(properties, "property", {"name": name, "value": printable(value)})
    for path, findings, accepted in cases:
        _case(suite, model, printable(path), findings, accepted)
    return suite


def _cases(audit: Audit) -> list[tuple[str, Sequence[Finding], list[str]]]:
    """Name, findings, and what is accepted: of the model as a whole, then of each layer."""
    accepted: dict[str, list[str]] = {}
    for one in audit.allowed:
        said = f"{_headline(one.finding)}\n  allowed: {one.reason}"
        accepted.setdefault(one.finding.path, []).append(said)
    for finding in audit.known:
        said = f"{_headline(finding)}\n  known, in the baseline"
        accepted.setdefault(finding.path, []).append(said)
    named = _layers(audit)
    layers = [(name, findings, accepted.pop(path, [])) for path, name, findings in named]
    rest = [said for found in accepted.values() for said in found]
    return [(MODEL_AS_A_WHOLE, audit.of_model, rest), *layers]


def _layers(audit: Audit) -> list[tuple[str, str, Sequence[Finding]]]:
    """Path, name and findings of each layer; a path that comes again is numbered."""
    seen: Counter[str] = Counter()
    named: list[tuple[str, str, Sequence[Finding]]] = []
    for number, site in enumerate(audit.layers):
        path = site.path or THE_MODEL
        seen[path] += 1
        times = f" ({seen[path]})" if seen[path] > 1 else ""
        named.append((site.path, path + times, audit.findings_of(number)))
    return named


def _properties(audit: Audit) -> Iterable[tuple[str, str]]:
    graph = audit.graph
    yield from (("framework", graph.framework), ("format", graph.format))
    for mode, samples in audit.samples.items():
        yield f"samples in {mode}", str(samples.verdict)
    for message in (*graph.assumed, *graph.notes):
        yield "note", message


def _case(
    suite: ElementTree.Element,
    model: str,
    name: str,
    findings: Sequence[Finding],
    accepted: Sequence[str],
) -> None:
    case = ElementTree.SubElement(suite, "testcase", {"classname": model, "name": name})
    failing = _failing(findings)
    if failing:
        first = failing[0]
        more = f" (and {len(failing) - 1} more)" if len(failing) > 1 else ""
        said = {
            "type": str(first.severity),
            "message": printable(f"{first.code} {first.name}: {first.message}{more}"),
        }
        text = "\n".join(map(_text, failing))
        ElementTree.SubElement(case, "failure", said).text = _allowed_in_xml(text)
    told = [_text(finding) for finding in findings if finding.severity is Severity.INFO]
    if told or accepted:
        text = "\n".join([*told, *accepted])
        ElementTree.SubElement(case, "system-out").text = _allowed_in_xml(text)


def _failing(findings: Iterable[Finding]) -> list[Finding]:
    """What fails a case, the worst first."""
    failing = [finding for finding in findings if finding.severity is not Severity.INFO]
    return sorted(failing, key=lambda finding: finding.severity.rank)


def _text(finding: Finding) -> str:
    """A finding with what to do."""
    advice = (f"  -> {line}" for line in finding.fix.splitlines())
    return "\n".join([_headline(finding), f"  {printable(finding.message)}", *advice])


def _headline(finding: Finding) -> str:
    where = f", {printable(finding.path)}" if finding.path else ""
    return f"{finding.code} {finding.severity} {finding.name}{where}"


def _allowed_in_xml(text: str) -> str:
    """The lines of a text, without the characters that XML forbids."""
    return "\n".join(map(printable, text.split("\n")))

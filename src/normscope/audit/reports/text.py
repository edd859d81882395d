"""An audit as text: what is normalized, then what is wrong with it, then the layers.

What is alike is said once. Names come from strangers: what a screen would obey is escaped.
"""

from __future__ import annotations

import io
import re
import textwrap
from collections.abc import Iterator
from typing import TYPE_CHECKING

from rich.console import Console, Group
from rich.text import Text

from normscope.audit.finding import Severity
from normscope.audit.model_graph import Kind, ModelGraph, Site
from normscope.audit.reports.accepted import accepted
from normscope.audit.reports.answer import answer, differences, what_nobody_knows, who_sees_whom
from normscope.audit.reports.grouping import MOST_GROUPS, SiteGroup, grouped, not_shown
from normscope.audit.reports.recurring import Recurring, recurring
from normscope.errors import printable
from normscope.notation.spec import Running
from normscope.wording import counted, listed

if TYPE_CHECKING:
    from normscope.audit.result import Audit

WIDTH = 100

_SAYS_MODEL = re.compile(r"\bmodel\b|^the ")
"""A name with which no "model" is needed: "keras model net", "the exported program"."""

_STYLES = {Severity.ERROR: "bold red", Severity.WARNING: "bold yellow", Severity.INFO: "bold blue"}

Line = list[tuple[str, str]]
"""Words, each with its style."""


def rich_text(audit: Audit) -> Group:
    """The report as a Rich renderable: the answer, the findings, the layers, the counts."""
    return Group(*map(_shown, _lines(audit)))


def plain_text(audit: Audit) -> str:
    """The report without colours."""
    console = Console(file=io.StringIO(), width=WIDTH, color_system=None, legacy_windows=False)
    with console.capture() as capture:
        console.print(rich_text(audit), soft_wrap=True, highlight=False)
    return "\n".join(line.rstrip() for line in capture.get().rstrip().splitlines())


def _shown(line: Line) -> Text:
    return Text.assemble(*((printable(words), style) for words, style in line))


def _lines(audit: Audit) -> Iterator[Line]:
    """The lines of a report."""
    groups = grouped(audit)
    found = recurring(audit)
    for sentence in differences(groups):
        yield [(sentence, "bold red")]
    for sentence in (*answer(groups), *who_sees_whom(audit.graph)):
        yield [(sentence, "bold")]
    unknown = what_nobody_knows(audit.graph.unknown_operators)
    if unknown:
        yield [(unknown, "yellow")]
    for sentence in accepted(audit):
        yield [(sentence, "bold")]
    yield [(model_line(audit.graph), "")]
    for message in audit.graph.assumed:
        yield from _wrapped(f"assumed: {message}", "yellow", subsequent="  ")
    for message in audit.graph.notes:
        yield from _wrapped(f"note: {message}", "yellow", subsequent="  ")
    for entry in found:
        yield []
        yield from _finding(entry)
    for group in groups[:MOST_GROUPS]:
        yield []
        yield from _group(group)
    left_out = not_shown(groups)
    if left_out:
        yield from ([], [(left_out, "")])
    if audit.verbose and audit.dismissed:
        yield []
        yield from _dismissed(audit)
    yield from ([], [(summary_line(audit), "bold")])


def _wrapped(words: str, style: str, indent: str = "", subsequent: str = "") -> Iterator[Line]:
    lines = textwrap.wrap(printable(words), WIDTH - len(indent), subsequent_indent=subsequent)
    yield from ([(f"{indent}{line}", style)] for line in lines)


def model_line(graph: ModelGraph) -> str:
    """File, model and provenance in one line."""
    file = f"{printable(graph.file)}: " if graph.file else ""
    named = graph.name if _SAYS_MODEL.search(graph.name) else f"model {graph.name}"
    return f"{file}{named}, {graph.provenance}"


def summary_line(audit: Audit) -> str:
    """How many layers and findings of each kind."""
    counts = audit.summary
    layers = counted(counts["layers"], "normalization layer")
    if not counts["findings"]:
        return f"{layers}, no findings"
    kinds = [
        counted(counts[f"{severity}s"], str(severity))
        for severity in Severity
        if severity is not Severity.INFO and counts[f"{severity}s"]
    ]
    if counts["infos"]:
        kinds.append(f"{counts['infos']} to know")
    return f"{layers}: {', '.join(kinds)}"


def _dismissed(audit: Audit) -> Iterator[Line]:
    """What looked like a normalization and is none."""
    yield [("no normalization after all", "bold")]
    for site in audit.dismissed:
        place = ", ".join(filter(None, (site.title, site.source)))
        yield [(f"  {site.path or 'the model itself'} ({place}): {site.dismissed}", "")]


def _finding(entry: Recurring) -> Iterator[Line]:
    """What was found, at all the layers where it was found."""
    first = entry.first
    yield [
        (f"{first.code} ", ""),
        (str(first.severity), _STYLES[first.severity]),
        (f" {first.name}", "bold"),
        (f" in {entry.where}", ""),
    ]
    yield from _wrapped(first.message, "", indent="  ")
    for advice in first.fix.splitlines():
        yield from _wrapped(f"-> {advice}", "green", indent="  ", subsequent="   ")
    if entry.others:
        yield [(f"  {entry.others}", "")]


def _group(group: SiteGroup) -> Iterator[Line]:
    """What layers that are alike do, and which findings they have."""
    times = f" ({len(group.sites)} layers alike)" if len(group.sites) > 1 else ""
    yield [(f"{group.paths}{times}", "bold cyan")]
    yield [(f"  {place_line(group.representative)}", "")]
    for line in what_lines(group):
        yield [(f"  {line}", "")]
    if group.codes:
        yield [(f"  Findings: {listed(list(_codes(group)))}.", "")]


def _codes(group: SiteGroup) -> Iterator[str]:
    total = len(group.sites)
    for (code, severity, name), times in group.codes.items():
        at = "" if times == total else f" in {times} of them"
        yield f"{code} {severity} {name}{at}"


def place_line(site: Site) -> str:
    """What a site is, and where in the program."""
    line = site.title
    if site.declared is not None and site.composite:  # of several operators none says what it is
        line += f", by {site.operator}"
    return line + (f", {site.source}" if site.source else "")


def what_lines(group: SiteGroup) -> list[str]:
    """Pattern, shape, and the first lines of the explanation."""
    site = group.representative
    explanation = group.explanation
    shape = None if group.lengths is None else f"on ({group.lengths})"
    if site.spec is None or site.kind is Kind.MIXING:
        said = site.words or "no spec reproduces it"
        return [" ".join(filter(None, (f"{said[:1].upper()}{said[1:]}", shape)))]
    if explanation is None or shape is None:
        return [f'"{site.spec.pattern}", {shape or "on an input of unknown shape"}']
    statistics = explanation.sections[0].lines
    learned = next(s.lines for s in explanation.sections if s.title == "Learned")
    modes = next(s.lines for s in explanation.sections if s.title == "Training and inference")
    lines = [f'"{site.spec.pattern}" {shape}', *statistics, *learned]
    if site.kind is Kind.STORED and site.in_training:
        lines.append("It is frozen: stored statistics are used, in training too.")
    elif site.kind is Kind.STORED:
        lines.append("It was followed at inference only: stored statistics are used.")
    elif group.followed and (site.train is None or site.infer is None):
        lines.append(f"Seen {'in training' if site.infer is None else 'at inference'} only.")
    else:
        lines.append(modes[0] if site.running is None else _remembered(site.running))
        lines.append(explanation.sections[1].lines[-1])
    return [*lines, *_checked(group)]


def _checked(group: SiteGroup) -> list[str]:
    """What was verified of a site that runs."""
    if not group.followed:
        return []
    worst = max((site.max_ulp or 0.0 for site in group.sites), default=0.0)
    if all(site.verified for site in group.sites):
        return [f"Verified: the reference agrees with it within {worst:.3g} ulp."]
    why = f" ({group.representative.words})" if group.representative.words else ""
    return [f"Not verified: this is what its settings declare{why}."]


def _remembered(running: Running) -> str:
    if running.deviation:
        return (
            "Training takes the batch's mean and variance, inference the running mean and deviation"
            ": what is stored is no variance."
        )
    return "Training takes the batch's mean and variance, inference the running ones."

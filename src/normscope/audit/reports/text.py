"""An audit as text: what is normalized, then what is wrong with it, equal layers said once."""

from __future__ import annotations

import io
import re
import textwrap
from typing import TYPE_CHECKING

from rich.console import Console, Group
from rich.text import Text

from normscope.audit.finding import Finding, Severity
from normscope.audit.model_graph import Kind, ModelGraph, Site
from normscope.audit.reports.accepted import accepted
from normscope.audit.reports.answer import answer, differences, what_nobody_knows, who_sees_whom
from normscope.audit.reports.grouping import MOST_GROUPS, SiteGroup, grouped, not_shown
from normscope.errors import printable
from normscope.notation.spec import Running
from normscope.wording import counted

if TYPE_CHECKING:
    from normscope.audit.result import Audit

WIDTH = 100

_SAYS_MODEL = re.compile(r"\bmodel\b|^the ")
"""A name with which no "model" is needed: "keras model net", "the exported program"."""

_STYLES = {Severity.ERROR: "bold red", Severity.WARNING: "bold yellow", Severity.INFO: "bold blue"}


def rich_text(audit: Audit) -> Group:
    """The report as a Rich renderable: first the answer, then the layers, the worst first."""
    groups = grouped(audit)
    left_out = not_shown(groups)
    unknown = what_nobody_knows(audit.graph.unknown_operators)
    return Group(
        *(Text(line, style="bold red") for line in differences(groups)),
        *(Text(sentence, style="bold") for sentence in answer(groups)),
        *(Text(sentence, style="bold") for sentence in who_sees_whom(audit.graph)),
        *([Text(unknown, style="yellow")] if unknown else []),
        *(Text(sentence, style="bold") for sentence in accepted(audit)),
        Text(model_line(audit.graph)),
        *(_assumed(f"assumed: {message}") for message in audit.graph.assumed),
        *(_assumed(f"note: {message}") for message in audit.graph.notes),
        *(_group(group) for group in groups[:MOST_GROUPS]),
        *([Text(f"\n{left_out}")] if left_out else []),
        *([_dismissed(audit)] if audit.verbose and audit.dismissed else []),
        Text(""),
        Text(summary_line(audit), style="bold"),
    )


def plain_text(audit: Audit) -> str:
    """The report without colours."""
    console = Console(file=io.StringIO(), width=WIDTH, color_system=None, legacy_windows=False)
    with console.capture() as capture:
        console.print(rich_text(audit), soft_wrap=True, highlight=False)
    return "\n".join(line.rstrip() for line in capture.get().rstrip().splitlines())


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


def _assumed(message: str) -> Text:
    lines = textwrap.wrap(message, WIDTH, subsequent_indent="  ")
    return Text("\n".join(lines), style="yellow")


def _dismissed(audit: Audit) -> Text:
    """What looked like a normalization and is none."""
    text = Text("\nno normalization after all", style="bold")
    for site in audit.dismissed:
        place = ", ".join(filter(None, (site.title, site.source)))
        line = f"  {site.path or 'the model itself'} ({place}): {site.dismissed}"
        text.append(f"\n{line}", style="not bold")
    return text


def _group(group: SiteGroup) -> Text:
    site = group.representative
    times = f" ({len(group.sites)} layers alike)" if len(group.sites) > 1 else ""
    text = Text("\n")
    text.append(f"{group.paths}{times}", style="bold cyan")
    text.append(f"\n  {place_line(site)}")
    for line in what_lines(group):
        text.append(f"\n  {line}")
    for finding in group.findings:
        text.append("\n")
        _finding(text, finding)
    if group.others:
        text.append(f"\n    {group.others}")
    return text


def place_line(site: Site) -> str:
    """What a site is, and where in the program."""
    line = site.title
    if site.declared is not None and site.operator:
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
    if site.kind is Kind.STORED:
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


def _finding(text: Text, finding: Finding) -> None:
    text.append(f"\n  {finding.code} ")
    text.append(str(finding.severity), style=_STYLES[finding.severity])
    text.append(f" {finding.name}", style="bold")
    for line in textwrap.wrap(finding.message, WIDTH - 4):
        text.append(f"\n    {line}")
    for advice in finding.fix.splitlines():
        for line in textwrap.wrap(f"-> {advice}", WIDTH - 4, subsequent_indent="   "):
            text.append(f"\n    {line}", style="green")

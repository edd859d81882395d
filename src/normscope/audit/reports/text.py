"""An audit as text: what is normalized, then what is wrong with it, equal layers said once."""

from __future__ import annotations

import io
import textwrap
from typing import TYPE_CHECKING

from rich.console import Console, Group
from rich.text import Text

from normscope.audit.finding import Finding, Severity
from normscope.audit.model_graph import ModelGraph
from normscope.audit.reports.answer import answer
from normscope.audit.reports.grouping import MOST_GROUPS, SiteGroup, grouped, not_shown
from normscope.audit.site_explanation import explanation_of
from normscope.errors import printable
from normscope.notation.spec import Running
from normscope.wording import counted

if TYPE_CHECKING:
    from normscope.audit.result import Audit

WIDTH = 100

_STYLES = {Severity.ERROR: "bold red", Severity.WARNING: "bold yellow", Severity.INFO: "bold blue"}


def rich_text(audit: Audit) -> Group:
    """The report as a Rich renderable: first the answer, then the layers, the worst first."""
    groups = grouped(audit)
    left_out = not_shown(groups)
    return Group(
        *(Text(sentence, style="bold") for sentence in answer(groups)),
        Text(model_line(audit.graph)),
        *(_assumed(message) for message in audit.graph.assumed),
        *(_group(group) for group in groups[:MOST_GROUPS]),
        *([Text(f"\n{left_out}")] if left_out else []),
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
    return f"{printable(graph.file)}: model {graph.name}, {graph.provenance}"


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
    lines = textwrap.wrap(f"assumed: {message}", WIDTH, subsequent_indent="  ")
    return Text("\n".join(lines), style="yellow")


def _group(group: SiteGroup) -> Text:
    site = group.representative
    times = f" ({len(group.sites)} layers alike)" if len(group.sites) > 1 else ""
    text = Text("\n")
    text.append(f"{group.paths}{times}", style="bold cyan")
    text.append(f"\n  {site.declaration.title}")
    for line in _what(group):
        text.append(f"\n  {line}")
    for finding in group.findings:
        text.append("\n")
        _finding(text, finding)
    return text


def _what(group: SiteGroup) -> list[str]:
    """Pattern, shape, and the first lines of the explanation."""
    site = group.representative
    explanation = explanation_of(site)
    if explanation is None or site.input_shape is None:
        return [f'"{site.train.pattern}", on an input of unknown shape']
    shape = ", ".join("any" if n is None else f"{n}" for n in site.input_shape)
    statistics = explanation.sections[0].lines
    learned = next(s.lines for s in explanation.sections if s.title == "Learned")
    modes = next(s.lines for s in explanation.sections if s.title == "Training and inference")
    return [
        f'"{site.train.pattern}" on ({shape})',
        *statistics,
        *learned,
        modes[0] if site.train.running is None else _remembered(site.train.running),
        explanation.sections[1].lines[-1],
    ]


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

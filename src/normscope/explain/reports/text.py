"""An explanation as text: for a terminal with colours, and plain."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

from rich.console import Console, Group
from rich.text import Text

from normscope.explain.reports.picture import picture
from normscope.explain.reports.terminal import draw_terminal
from normscope.explain.reports.words import Section

if TYPE_CHECKING:
    from normscope.explain.result import Explanation

WIDTH = 100


def headline(explanation: Explanation) -> str:
    """The layer, its pattern and the shape in one line."""
    title = explanation.declaration.title
    shape = ", ".join("any" if n is None else f"{n}" for n in explanation.layout.shape)
    pattern = f'"{explanation.layout.pattern}" on ({shape})'
    return f"{title}: {pattern}" if title else pattern


def rich_text(explanation: Explanation) -> Group:
    """The explanation as a Rich renderable: a first screen with the picture, then the details."""
    summary = [s for s in explanation.sections if not s.detail]
    details = [s for s in explanation.sections if s.detail]
    return Group(
        Text(headline(explanation), style="bold"),
        *map(_section, summary),
        Text(""),
        draw_terminal(picture(explanation.layout, explanation.labels)),
        *map(_section, details),
    )


def plain_text(explanation: Explanation) -> str:
    """The explanation as text without colours."""
    console = Console(file=io.StringIO(), width=WIDTH, color_system=None, legacy_windows=False)
    with console.capture() as capture:
        console.print(rich_text(explanation), soft_wrap=True, highlight=False)
    return "\n".join(line.rstrip() for line in capture.get().rstrip().splitlines())


def _section(section: Section) -> Text:
    text = Text("\n")
    text.append(section.title, style="bold cyan")
    for line in section.lines:
        text.append(f"\n  {line}")
    return text

"""An audit as one self-contained HTML page with pictures: no script, nothing loaded."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

from jinja2 import Environment

from normscope.audit.reports.answer import answer, differences, what_nobody_knows, who_sees_whom
from normscope.audit.reports.grouping import MOST_GROUPS, SiteGroup, grouped, not_shown
from normscope.audit.reports.text import model_line, place_line, summary_line, what_lines
from normscope.errors import printable
from normscope.explain.reports.html import (
    as_fragment as explanation_fragment,
    as_page,
    style_sheet,
    templates,
)
from normscope.explain.reports.words import ALTERNATIVES

if TYPE_CHECKING:
    from normscope.audit.result import Audit


def as_html(audit: Audit) -> str:
    """The report as a page of its own."""
    what = printable(audit.graph.file or audit.graph.name)
    return as_page(f"What is normalized in {what}", as_fragment(audit))


def as_fragment(audit: Audit) -> str:
    """The report as a piece of a page, without its style sheet."""
    groups = grouped(audit)
    keras = audit.graph.framework in ("keras", "keras1")
    return (
        _environment()
        .get_template("report.html.j2")
        .render(
            differences=list(differences(groups)),
            answer=answer(groups),
            samples=list(who_sees_whom(audit.graph)),
            unknown=what_nobody_knows(audit.graph.unknown_operators),
            model=model_line(audit.graph),
            summary=summary_line(audit),
            assumed=audit.graph.assumed,
            notes=audit.graph.notes,
            groups=[(group, *_told(group, keras)) for group in groups[:MOST_GROUPS]],
            not_shown=not_shown(groups),
            dismissed=audit.dismissed if audit.verbose else (),
        )
    )


def as_notebook_cell(audit: Audit) -> str:
    """The report with its own style sheet, as notebooks show it."""
    return f'<div class="normscope"><style>{style_sheet()}</style>{as_fragment(audit)}</div>'


def _told(group: SiteGroup, keras: bool) -> tuple[str, list[str], str]:
    """What a group is, what it does where that is not explained, and the explanation."""
    explanation = group.explanation
    said = what_lines(group)
    place = place_line(group.representative)
    if explanation is None:
        return place, said, ""
    without = () if keras else (ALTERNATIVES,)  # they are layers of Keras
    return place, said[len(said) - group.followed :], explanation_fragment(explanation, without)


@cache
def _environment() -> Environment:
    return templates("audit/reports")

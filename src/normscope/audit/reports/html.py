"""An audit as one self-contained HTML page with pictures: no script, nothing loaded."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

from jinja2 import Environment

from normscope.audit.reports.answer import answer
from normscope.audit.reports.grouping import MOST_GROUPS, SiteGroup, grouped, not_shown
from normscope.audit.reports.text import model_line, summary_line
from normscope.audit.site_explanation import explanation_of
from normscope.errors import printable
from normscope.explain.reports.html import (
    as_fragment as explanation_fragment,
    as_page,
    style_sheet,
    templates,
)

if TYPE_CHECKING:
    from normscope.audit.result import Audit


def as_html(audit: Audit) -> str:
    """The report as a page of its own."""
    return as_page(f"What is normalized in {printable(audit.graph.file)}", as_fragment(audit))


def as_fragment(audit: Audit) -> str:
    """The report as a piece of a page, without its style sheet."""
    groups = grouped(audit)
    return (
        _environment()
        .get_template("report.html.j2")
        .render(
            answer=answer(groups),
            model=model_line(audit.graph),
            summary=summary_line(audit),
            assumed=audit.graph.assumed,
            groups=[(group, _explanation(group)) for group in groups[:MOST_GROUPS]],
            not_shown=not_shown(groups),
        )
    )


def as_notebook_cell(audit: Audit) -> str:
    """The report with its own style sheet, as notebooks show it."""
    return f'<div class="normscope"><style>{style_sheet()}</style>{as_fragment(audit)}</div>'


def _explanation(group: SiteGroup) -> str:
    explanation = explanation_of(group.representative)
    return "" if explanation is None else explanation_fragment(explanation)


@cache
def _environment() -> Environment:
    return templates("audit/reports")

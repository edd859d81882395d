"""An audit as one self-contained HTML page with pictures: no script, nothing loaded."""

from __future__ import annotations

from functools import cache

from jinja2 import Environment, PackageLoader, StrictUndefined

from normscope.audit.reports.likeness import LikeSites, alike
from normscope.audit.reports.text import model_line, summary_line
from normscope.audit.result import Audit
from normscope.explain import explain
from normscope.explain.html import as_fragment as explanation_fragment, as_page, style_sheet


def as_html(audit: Audit) -> str:
    """The report as a page of its own."""
    return as_page(f"What is normalized in {audit.graph.file}", as_fragment(audit))


def as_fragment(audit: Audit) -> str:
    """The report as a piece of a page, without its style sheet."""
    return (
        _environment()
        .get_template("report.html.j2")
        .render(
            model=model_line(audit.graph),
            summary=summary_line(audit),
            assumed=audit.graph.assumed,
            groups=[(group, _explanation(group)) for group in alike(audit)],
        )
    )


def as_notebook_cell(audit: Audit) -> str:
    """The same with its own style sheet, as notebooks show it."""
    return f'<div class="normscope"><style>{style_sheet()}</style>{as_fragment(audit)}</div>'


def _explanation(group: LikeSites) -> str:
    site = group.first
    if site.input_shape is None:
        return ""
    return explanation_fragment(explain(site.declaration, site.input_shape))


@cache
def _environment() -> Environment:
    return Environment(
        loader=PackageLoader("normscope", "audit/reports"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )

"""An explanation as HTML: a fragment for notebooks and reports, or a page of its own."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

from jinja2 import Environment, PackageLoader, StrictUndefined

from normscope.explain.mathml import mathml_formula
from normscope.explain.text import headline

if TYPE_CHECKING:
    from normscope.explain.explanation import Explanation


@cache
def environment() -> Environment:
    """The templates of explanations; what is put into them is escaped."""
    return Environment(
        loader=PackageLoader("normscope", "explain"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def style_sheet() -> str:
    """The CSS that explanations and reports share."""
    return environment().get_template("style.css").render()


def as_fragment(explanation: Explanation) -> str:
    """A piece of a page, without its style sheet."""
    return (
        environment()
        .get_template("explanation.html.j2")
        .render(
            formula=mathml_formula(explanation.spec),
            svg=explanation.svg,
            sections=explanation.sections,
        )
    )


def as_notebook_cell(explanation: Explanation) -> str:
    """A piece of a page with its own style sheet, as notebooks show it."""
    body = as_fragment(explanation)
    return f'<div class="normscope"><style>{style_sheet()}</style>{body}</div>'


def as_html(explanation: Explanation) -> str:
    """A page of its own, with nothing to load."""
    return as_page(headline(explanation), as_fragment(explanation))


def as_page(title: str, body: str) -> str:
    """A page around a fragment."""
    template = environment().get_template("page.html.j2")
    return template.render(title=title, style=style_sheet(), body=body)

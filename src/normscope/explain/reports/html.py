"""An explanation as HTML: a fragment for notebooks and reports, or a page of its own."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from functools import cache
from typing import TYPE_CHECKING

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from normscope.explain.reports.mathml import mathml_formula
from normscope.explain.reports.picture import picture
from normscope.explain.reports.svg import draw_svg
from normscope.explain.reports.text import headline

if TYPE_CHECKING:
    from normscope.explain.result import Explanation


@cache
def environment() -> Environment:
    """The templates of explanations; what is put into them is escaped."""
    return templates("explain/reports")


def templates(folder: str) -> Environment:
    """The templates in a folder of the package."""
    found = Environment(
        loader=PackageLoader("normscope", folder),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    found.filters["with_code"] = with_code
    return found


def style_sheet() -> str:
    """The CSS that explanations and reports share."""
    return environment().get_template("style.css").render()


def as_fragment(explanation: Explanation, without: Collection[str] = ()) -> str:
    """A piece of a page, without its style sheet, and without the sections of some titles."""
    return (
        environment()
        .get_template("explanation.html.j2")
        .render(
            formula=mathml_formula(explanation.spec),
            svg=draw_svg(picture(explanation.layout, explanation.labels), least_width=0),
            sections=[
                (section.title, _blocks(section.lines))
                for section in explanation.sections
                if section.title not in without
            ],
        )
    )


def _blocks(lines: Iterable[str]) -> list[tuple[bool, list[str]]]:
    """Lines in blocks: (True, those in columns), which scroll, or (False, one of words)."""
    blocks: list[tuple[bool, list[str]]] = []
    for line in lines:
        words = line.removeprefix("  ")
        columns = "  " in words or words.startswith("y = ")
        if columns and blocks and blocks[-1][0]:
            blocks[-1][1].append(line)
        else:
            blocks.append((columns, [line]))
    return blocks


def with_code(text: str) -> Markup:
    """A text as HTML in which patterns and calls are code, which does not break.

    >>> print(with_code("<b>, or keras.layers.Norm(axis=1)"))
    &lt;b&gt;, or <code>keras.layers.Norm(axis=1)</code>
    """
    parts = _CODE.split(text)
    return Markup("").join(
        Markup("<code>{}</code>").format(part) if number % 2 else part
        for number, part in enumerate(parts)
    )


_CODE = re.compile(r'("[^"]*[\[\]][^"]*"|\w+(?:\.\w+)+\([^()]*\))')
"""A pattern in quotation marks, or a call by its full name."""


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

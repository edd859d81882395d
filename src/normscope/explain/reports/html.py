"""An explanation as HTML: a fragment for notebooks and reports, or a page of its own."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from functools import cache
from typing import TYPE_CHECKING

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape

from normscope.errors import printable
from normscope.explain.reports.mathml import mathml_formula
from normscope.explain.reports.picture import picture
from normscope.explain.reports.svg import STYLE as PICTURE_STYLE, draw_svg
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
        finalize=_shown,
    )
    found.filters["with_code"] = with_code
    found.filters["code"] = as_code
    return found


def _shown(value: object) -> object:
    """A value of a template, without what a screen would obey; names come from strangers."""
    return printable(value) if type(value) is str else value


def style_sheet() -> str:
    """The CSS that explanations and reports share."""
    return environment().get_template("style.css").render() + PICTURE_STYLE


def as_fragment(
    explanation: Explanation,
    without: Collection[str] = (),
    folded: Collection[str] = (),
    heading: int = 3,
    svg: str = "",
) -> str:
    """A piece of a page, without its style sheet.

    Args:
        explanation: what is shown.
        without: titles of sections that are left out.
        folded: titles of those that open when asked; they come last.
        heading: the level of the titles.
        svg: the picture, where the page has a way of its own to show it.

    Returns:
        HTML.
    """
    return (
        environment()
        .get_template("explanation.html.j2")
        .render(
            formula=mathml_formula(explanation.spec),
            svg=svg or drawn(explanation),
            sections=[
                (section, _blocks(section.lines))
                for section in sorted(explanation.sections, key=lambda one: one.title in folded)
                if section.title not in without
            ],
            folded=folded,
            heading=heading,
        )
    )


def drawn(explanation: Explanation) -> str:
    """The picture as it stands in a page that has its style."""
    return draw_svg(picture(explanation.layout, explanation.labels), least_width=0, styled=False)


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


def with_code(text: str, alone: bool = True) -> Markup:
    """A text as HTML in which patterns and calls are code, which does not break.

    Args:
        text: words.
        alone: code that is long scrolls on its own, and so takes the focus of a keyboard; else it
            stands in something that scrolls.

    Example:
        >>> print(with_code("<b>, or keras.layers.Norm(axis=1)"))
        &lt;b&gt;, or <code>keras.layers.Norm(axis=1)</code>
    """
    return Markup("").join(
        as_code(part, alone) if number % 2 else escape(printable(part))
        for number, part in enumerate(_CODE.split(text))
    )


def as_code(text: str, alone: bool = True) -> Markup:
    """A text as code; `alone` is that of `with_code`."""
    shown = printable(text)
    if alone and len(shown) > LONG_CODE:
        return Markup('<code tabindex="0">{}</code>').format(shown)
    return Markup("<code>{}</code>").format(shown)


LONG_CODE = 28
"""Code of more letters may be wider than the screen of a phone."""

_CODE = re.compile(r'("[^"]*[\[\]][^"]*"|\w+(?:\.\w+)+\([^()]*\))')
"""A pattern in quotation marks, or a call by its full name."""


def as_notebook_cell(explanation: Explanation) -> str:
    """A piece of a page with its own style sheet, as notebooks show it."""
    body = as_fragment(explanation)
    return f'<div class="normscope"><style>{style_sheet()}</style>{body}</div>'


def as_html(explanation: Explanation) -> str:
    """A page of its own, with nothing to load."""
    return as_page(headline(explanation), as_fragment(explanation, heading=2))


def as_page(title: str, body: str, style: str = "", script: str = "") -> str:
    """A page around a fragment.

    Args:
        title: of the page, its first heading.
        body: HTML.
        style: CSS of its own, besides that which all pages share.
        script: for what is only there with a script; the page is whole without.

    Returns:
        HTML.
    """
    template = environment().get_template("page.html.j2")
    return template.render(title=title, style=style_sheet() + style, body=body, script=script)

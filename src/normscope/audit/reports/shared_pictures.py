"""Pictures of a page, each drawn once: those that look alike are shown again from the first."""

from __future__ import annotations

import re

from markupsafe import Markup

from normscope.explain import Explanation
from normscope.explain.reports.html import drawn

_BOX = re.compile(r'viewBox="([-\d.]+) ([-\d.]+) ([-\d.]+) ([-\d.]+)" width="100%" (style="[^"]+")')


class SharedPictures:
    """The pictures that a page has so far."""

    def __init__(self, prefix: str) -> None:
        """Begin a page, whose ids begin with the prefix."""
        self._prefix = prefix
        self._ids: dict[str, str] = {}

    def shown(self, explanation: Explanation) -> Markup:
        """The picture of an explanation, or a reference to one that looks the same."""
        svg = drawn(explanation)
        known = self._ids.get(svg)
        if known is None:
            known = self._ids[svg] = f"{self._prefix}picture{len(self._ids) + 1}"
            return Markup(svg.replace("<svg ", f'<svg id="{known}" ', 1))
        box = _BOX.search(svg)
        assert box is not None, "draw_svg says the box of its picture"
        left, top, width, height, style = box.groups()
        words = svg[svg.index("<title>") : svg.index("</desc>")] + "</desc>"
        return Markup(
            f'<svg class="normscope-picture" role="img" viewBox="{left} {top} {width} {height}" '
            f'width="100%" {style}>{words}<use href="#{known}" x="{left}" y="{top}" '
            f'width="{width}" height="{height}"/></svg>'
        )

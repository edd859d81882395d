"""The documentation of a rule in its parts, from the docstring of its file."""

from __future__ import annotations

import inspect
import re
from dataclasses import dataclass
from functools import cache

from normscope.audit.rule import Rule

_TITLE = re.compile(r"^(\w[^:]*):(?: +(.*))?$")


@dataclass(frozen=True)
class Part:
    """One part of a page: its title, its paragraphs, and whether each of these is code."""

    title: str
    paragraphs: tuple[tuple[str, bool], ...]


@cache
def parts_of(rule: Rule) -> tuple[Part, ...]:
    """The parts of a rule's documentation after its first line.

    >>> from normscope.audit.catalogue import find_rule
    >>> [part.title for part in parts_of(find_rule("NS302"))][:3]
    ['What it finds', 'Why it matters', 'How it is found']
    """
    found: list[tuple[str, list[str]]] = []
    for line in rule.documentation.splitlines()[1:]:
        title = _TITLE.match(line)
        if title:
            found.append((title[1], [f"    {title[2]}"] if title[2] else []))
        elif found:
            found[-1][1].append(line)
        elif line.strip():
            found.append(("", [line]))
    return tuple(Part(title, _paragraphs(lines)) for title, lines in found)


def _paragraphs(lines: list[str]) -> tuple[tuple[str, bool], ...]:
    """Blocks between empty lines; a block that is indented further than the first is code."""
    text = inspect.cleandoc("\n".join(lines))
    blocks = [block for block in re.split(r"\n\s*\n", text) if block.strip()]
    return tuple(
        (inspect.cleandoc(block), True)
        if block.startswith(" ")
        else (" ".join(block.split()), False)
        for block in blocks
    )


def as_markdown(summary: str, parts: tuple[Part, ...]) -> str:
    """The parts as Markdown, under the summary."""
    blocks = [summary]
    for part in parts:
        if part.title:
            blocks.append(f"**{part.title}**")
        for text, code in part.paragraphs:
            blocks.append(f"```\n{text}\n```" if code else text)
    return "\n\n".join(blocks)

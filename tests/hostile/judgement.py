"""What must hold of what came of a file."""

from __future__ import annotations

import json
from html.parser import HTMLParser
from xml.etree import ElementTree

from hostile.case import Expected
from hostile.pool import Outcome

MOST_SECONDS = 20
MOST_MEMORY = 2**29
"""Beside what a process has that has loaded the frameworks."""
LONGEST_LINE = 3000


def problems(outcome: Outcome, expected: Expected, said: str = "") -> list[str]:
    """What is wrong with it, in words."""
    found = [f"it did: {event}" for event in outcome.events]
    wanted = {Expected.READ: (0, 1), Expected.REFUSED: (2,), Expected.EITHER: (0, 1, 2)}[expected]
    if outcome.status not in wanted:
        found.append(f"status {outcome.status}, not {expected.value}")
    if outcome.seconds > MOST_SECONDS:
        found.append(f"it took {outcome.seconds:.0f} s")
    if outcome.memory > MOST_MEMORY:
        found.append(f"it took {outcome.memory >> 20} MiB")
    if outcome.status == 2:
        found += _message_problems(outcome)
    elif outcome.err:
        found.append(f"beside its report it says {outcome.err[:300]!r}")
    if said and said not in outcome.out + outcome.err:
        found.append(f"it does not say {said!r}: {(outcome.err or outcome.out)[:300]!r}")
    found += _form_problems(outcome.out)
    found += [f"a line holds {odd!r}" for odd in unprintable(outcome.out + outcome.err)]
    return found


def _message_problems(outcome: Outcome) -> list[str]:
    found = []
    text = outcome.err
    if outcome.out:
        found.append(f"it prints {outcome.out[:200]!r}")
    if text.count("\n") != 1 or not text.startswith("normscope: "):
        found.append(f"not one line: {text[:600]!r}")
    if "Traceback" in text or "fault of normscope" in text:
        found.append(f"a fault: {text[:600]!r}")
    if "not enough memory" in text:
        found.append(f"memory: {text[:300]!r}")
    if len(text) > LONGEST_LINE:
        found.append(f"a line of {len(text)} letters: {text[:300]!r}")
    return found


def _form_problems(text: str) -> list[str]:
    """What is wrong with a report in JSON, XML or HTML as such."""
    try:
        if text.startswith("{\n"):
            json.loads(text)
        elif text.startswith("<?xml"):
            ElementTree.fromstring(text)
    except (ValueError, ElementTree.ParseError) as error:
        return [f"its report is broken: {error}"]
    if text.startswith("<!"):
        page = _Page()
        page.feed(text)
        return page.found
    return []


class _Page(HTMLParser):
    """Looks for what a name in it would have a browser do."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []
        self._tag = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """An element: none is of a name."""
        self._tag = tag
        for name, value in attrs:
            leads = name in ("href", "src") and "localhost" in (value or "")
            if leads or (name == "onerror") or (tag == "img" and value == "x"):
                self.found.append(f"its page has <{tag} {name}={value!r:.100}>")

    def handle_data(self, data: str) -> None:
        """Text, or code in the element of code."""
        if self._tag == "script" and data.startswith("alert(1)"):
            self.found.append("its page runs a name")


def unprintable(text: str) -> list[str]:
    """Letters that a screen would obey instead of showing them."""
    return sorted({letter for letter in text if not letter.isprintable() and letter != "\n"})

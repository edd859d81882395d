"""What a team allows, and what it means: findings that need no mending, at layers by their paths.

An allowance names a layer, a rule and the reason: the finding is kept, and does not fail the audit.
An intent says what a layer is meant to do; rules that would take that for a mistake are silent.
Paths may hold `*` for any text and `?` for any letter: "decoder.*".
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cached_property

from normscope.audit.catalogue import find_rule, rules_called
from normscope.audit.finding import Finding
from normscope.audit.rule import Intent
from normscope.errors import SpecError
from normscope.notation.values import shown
from normscope.wording import listed

Allow = Mapping[str, str | Sequence[str]]
"""Allowances as a user writes them: path -> "rule: reason", one or several."""

Intents = Mapping[str, str | Sequence[str]]
"""Intents as a user writes them: path -> tag, one or several."""


@dataclass(frozen=True)
class AtPaths:
    """Something that is said of layers.

    Attributes:
        path: of the layers, as a glob.
        where: it is said, for messages: "allow", "pyproject.toml, allow".
    """

    path: str
    where: str

    @cached_property
    def _pattern(self) -> re.Pattern[str]:
        parts = {"*": ".*", "?": "."}
        return re.compile("".join(parts.get(c) or re.escape(c) for c in self.path), re.DOTALL)

    def matches(self, path: str) -> bool:
        """Whether it is about the layer at a path."""
        return self._pattern.fullmatch(path) is not None


@dataclass(frozen=True)
class Allowance(AtPaths):
    """A finding that need not be mended.

    Attributes:
        rule: code, name or family, as it was written.
        codes: of the rules that these are.
        reason: why.
    """

    rule: str
    codes: frozenset[str]
    reason: str

    def covers(self, finding: Finding) -> bool:
        """Whether it allows a finding."""
        return finding.code in self.codes and self.matches(finding.path)


@dataclass(frozen=True)
class Tag(AtPaths):
    """What layers are meant to do."""

    intent: Intent

    def silences(self, finding: Finding) -> bool:
        """Whether what was found is meant."""
        return self.intent in find_rule(finding.code).intents and self.matches(finding.path)


@dataclass(frozen=True)
class Allowed:
    """A finding that is allowed, and why."""

    finding: Finding
    reason: str


def allowances(allow: Allow | None, where: str = "allow") -> tuple[Allowance, ...]:
    """What is allowed.

    >>> (one,) = allowances({"encoder.*": "redundant-bias: the published model has it"})
    >>> one.codes, one.reason
    (frozenset({'NS401'}), 'the published model has it')

    Raises:
        SpecError: there is no such rule, or no reason is given.
    """
    found = []
    for path, text in _entries(allow, where, "rule-name: why it is meant"):
        rule, _, reason = (part.strip() for part in text.partition(":"))
        if not reason:
            raise SpecError(
                f"{where}[{shown(path)}]: {shown(text)} says no reason; write what is allowed and "
                f'why, such as "{rule or "rule-name"}: why it is meant"'
            )
        try:
            codes = frozenset(one.code for one in rules_called([rule]))
        except SpecError as error:
            raise SpecError(f"{where}[{shown(path)}]: {error}") from None
        found.append(Allowance(path, where, rule, codes, reason))
    return tuple(found)


def tags(intents: Intents | None, where: str = "intents") -> tuple[Tag, ...]:
    """What layers are meant to do.

    Raises:
        SpecError: there is no such tag.
    """
    found = []
    known = [str(intent) for intent in Intent]
    for path, text in _entries(intents, where, known[0]):
        if text not in known:
            close = get_close_matches(text, known, n=1, cutoff=0.5)
            hint = f"did you mean {close[0]}? There" if close else "there"
            raise SpecError(
                f"{where}[{shown(path)}]: {shown(text)} is not an intent; {hint} are "
                f"{listed(known)}"
            )
        found.append(Tag(path, where, Intent(text)))
    return tuple(found)


def _entries(said: object, where: str, example: str) -> Iterator[tuple[str, str]]:
    if said is None:
        return
    if not isinstance(said, Mapping):
        raise SpecError(
            f'{where} is {shown(said)}; write a table of paths: {{"encoder.bn1": "{example}"}}'
        )
    for path, texts in said.items():
        if isinstance(texts, Mapping):
            raise SpecError(
                f"{where}[{shown(path)}] is a table of its own; write the path of the layer in "
                f'quotes: "{path}.{next(iter(texts), "...")}" = "{example}"'
            )
        for text in [texts] if isinstance(texts, str) else texts if _is_list(texts) else [texts]:
            if not isinstance(text, str):
                raise SpecError(
                    f'{where}[{shown(path)}] holds {shown(text)}; write a text, "{example}"'
                )
            yield str(path), text


def _is_list(value: object) -> bool:
    return isinstance(value, Sequence) and not isinstance(value, bytes)


def silenced(findings: Iterable[Finding], said: Sequence[Tag]) -> tuple[Finding, ...]:
    """The findings without those that are meant so."""
    return tuple(f for f in findings if not any(tag.silences(f) for tag in said))


def why_unused(one: AtPaths, paths: Iterable[str], ran: frozenset[str]) -> str:
    """Why what is said of layers changes nothing in an audit; "" if that cannot be told.

    Args:
        one: it was not used.
        paths: of the layers that there are.
        ran: the codes of the rules that were applied.
    """
    there = sorted(set(paths))
    if not any(one.matches(path) for path in there):
        close = get_close_matches(one.path, there, n=1, cutoff=0.6)
        hint = f"; did you mean {shown(close[0])}?" if close else ""
        return f"nothing is normalized or found at {shown(one.path)}{hint}"
    if isinstance(one, Allowance) and one.codes <= ran:
        return f"{one.rule} finds nothing at {shown(one.path)}"
    return ""

"""Findings that recur, said once: fifty layers with one fault have one entry between them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from normscope.audit.finding import Finding, Severity

if TYPE_CHECKING:
    from normscope.audit.result import Audit

THE_MODEL = "the model itself"
"""What stands for a path that is empty."""

MODEL_AS_A_WHOLE = "the model as a whole"

_NAME = re.compile(r"[^\s\[\]()]{2,}")
"""What in the evidence can be the name of a layer; a pattern is none."""

_NUMBER = re.compile(r"\d+(?:[.,]\d+)*(?:e[+-]?\d+)?")


@dataclass(frozen=True)
class Located:
    """A finding and where it was made.

    Attributes:
        finding: what was found.
        number: of the layer, in the order of computation; None if it is about the model.
    """

    finding: Finding
    number: int | None = None


@dataclass(frozen=True, eq=False)
class Recurring:
    """Findings of one rule that say alike, in the order of computation."""

    located: tuple[Located, ...]

    @property
    def first(self) -> Finding:
        """The finding that speaks for all."""
        return self.located[0].finding

    @property
    def of_model(self) -> bool:
        """Whether it is about the model as a whole."""
        return self.located[0].number is None

    @cached_property
    def paths(self) -> tuple[str, ...]:
        """The layers concerned, each once; none for a finding about the model itself."""
        paths = (one.finding.path for one in self.located)
        if self.of_model:
            return tuple(dict.fromkeys(filter(None, paths)))
        return tuple(dict.fromkeys(path or THE_MODEL for path in paths))

    @property
    def where(self) -> str:
        """The layers in one line: of more than three, how many, the first and the last."""
        if not self.paths:
            return MODEL_AS_A_WHOLE
        if len(self.paths) <= 3:
            return ", ".join(self.paths)
        return f"{len(self.paths)} layers, {self.paths[0]} ... {self.paths[-1]}"

    @cached_property
    def same_message(self) -> bool:
        """Whether all have the same message, to the letter."""
        return len({one.finding.message for one in self.located}) == 1

    @cached_property
    def same_fix(self) -> bool:
        """Whether all have the same fix, to the letter."""
        return len({one.finding.fix for one in self.located}) == 1

    @property
    def same_words(self) -> bool:
        """Whether all say the same."""
        return self.same_message and self.same_fix

    @property
    def others(self) -> str:
        """That the others say alike with numbers of their own; "" where all say the same."""
        return (
            "" if self.same_words else "The others likewise, each with its own names and numbers."
        )


def recurring(audit: Audit) -> tuple[Recurring, ...]:
    """The findings of an audit, alike ones together: about the model first, then the worst.

    Findings are alike if they are of one rule and severity and say the same but for numbers, and
    for the names of layers that their evidence tells.
    """
    together: dict[object, list[Located]] = {}
    for one in _located(audit):
        finding = one.finding
        key = (one.number is None, finding.code, finding.severity, *_skeleton(finding))
        together.setdefault(key, []).append(one)
    return tuple(sorted((Recurring(tuple(found)) for found in together.values()), key=_order))


def by_rule(entries: Iterable[Recurring]) -> list[tuple[Recurring, ...]]:
    """Entries of the same rule together, the rule with the worst finding first."""
    rules: dict[str, list[Recurring]] = {}
    for entry in entries:
        rules.setdefault(entry.first.code, []).append(entry)
    ordered = sorted(
        rules.values(), key=lambda found: (min(map(_rank, found)), found[0].first.code)
    )
    return [tuple(sorted(found, key=_rank)) for found in ordered]


def _rank(entry: Recurring) -> int:
    return entry.first.severity.rank


def _located(audit: Audit) -> Iterator[Located]:
    yield from map(Located, audit.of_model)
    if len(audit.by_site) == len(audit.layers):
        for number, findings in enumerate(audit.by_site):
            yield from (Located(finding, number) for finding in findings)


def _order(entry: Recurring) -> tuple[bool, int, str]:
    return (not entry.of_model, entry.first.severity.rank, entry.first.code)


def _skeleton(finding: Finding) -> tuple[str, str]:
    """Message and fix without what differs from layer to layer."""
    names = {text for text in _texts(finding.evidence) if _NAME.fullmatch(text)}
    longest_first = sorted({finding.path, *names} - {""}, key=len, reverse=True)

    def bare(text: str) -> str:
        for name in longest_first:
            text = text.replace(name, "\0")
        return _NUMBER.sub("\1", text)

    return bare(finding.message), bare(finding.fix)


def _texts(value: Any) -> Iterator[str]:
    """All texts in the evidence, however deep."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for inner in value.values():
            yield from _texts(inner)
    elif isinstance(value, list | tuple):
        for inner in value:
            yield from _texts(inner)


def worst(findings: Iterable[Finding]) -> Severity | None:
    """The worst severity there is; None without findings."""
    return min((finding.severity for finding in findings), key=lambda s: s.rank, default=None)

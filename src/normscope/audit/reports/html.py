"""An audit as one self-contained HTML page: nothing loaded, whole without its small script."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from jinja2 import Environment
from markupsafe import Markup

from normscope.audit.catalogue import all_rules
from normscope.audit.finding import Severity
from normscope.audit.model_graph import Kind, Site
from normscope.audit.reports.accepted import accepted
from normscope.audit.reports.answer import (
    answer,
    differences,
    place_of,
    what_nobody_knows,
    who_sees_whom,
)
from normscope.audit.reports.family import Family, family_of
from normscope.audit.reports.grouping import MOST_GROUPS, SiteGroup, grouped
from normscope.audit.reports.model_map import FOLDED_ABOVE, model_map
from normscope.audit.reports.recurring import Recurring, by_rule, recurring
from normscope.audit.reports.rule_pages import parts_of
from normscope.audit.reports.shared_pictures import SharedPictures
from normscope.audit.reports.text import model_line, place_line, what_lines
from normscope.audit.rule import Rule
from normscope.errors import printable
from normscope.explain.reports.html import (
    as_fragment as explanation_fragment,
    as_page,
    style_sheet,
    templates,
)
from normscope.explain.reports.words import ALTERNATIVES
from normscope.notation.spec import NormSpec
from normscope.wording import counted

if TYPE_CHECKING:
    from normscope.audit.result import Audit

FEW_LAYERS = 8
"""So many layers of a kind are listed at once; more, when asked."""

MOST_WORDS = 200
"""Of so many findings that differ in names and numbers a page shows the words."""

_DETAILS = ("Who sees whom", "Contract", ALTERNATIVES)
"""Sections of an explanation that open when asked: the answer has said what matters of them."""


def as_html(audit: Audit) -> str:
    """The report as a page of its own."""
    what = printable(audit.graph.file or audit.graph.name)
    title = f"What is normalized in {what}"
    return as_page(title, _fragment(audit, "", page=True), _file("report.css"), _file("report.js"))


def as_notebook_cell(audit: Audit) -> str:
    """The report with its own style sheet, as notebooks show it."""
    body = _fragment(audit, f"n{_digest(audit)}-", page=False)
    style = style_sheet() + _file("report.css")
    return f'<div class="normscope"><style>{style}</style>{body}</div>'


@dataclass(frozen=True)
class RuleEntries:
    """What one rule found."""

    rule: Rule | None
    entries: tuple[tuple[str, Recurring], ...]
    severity: Severity


@dataclass(frozen=True)
class Kindred:
    """Layers that are alike, and what is shown of them."""

    group: SiteGroup
    family: Family
    place: str
    said: list[str]
    explanation: Markup
    specs: list[tuple[str, str]]


def _fragment(audit: Audit, prefix: str, page: bool) -> str:
    """The report as a piece of a page, without its style sheet; its ids begin with the prefix."""
    groups = grouped(audit)
    entries = recurring(audit)
    pictures = SharedPictures(prefix)
    placed = model_map(audit)
    anchors = _anchors(entries)
    return (
        _environment()
        .get_template("report.html.j2")
        .render(
            audit=audit,
            graph=audit.graph,
            p=prefix,
            page=page,
            differences=list(differences(groups)),
            answer=answer(groups),
            samples=list(who_sees_whom(audit.graph)),
            model=model_line(audit.graph),
            layers=counted(len(audit.layers), "normalization layer"),
            counts=_counts(audit),
            map=placed,
            folded=len(audit.layers) > FOLDED_ABOVE,
            families=placed.families,
            of_model=[(anchors[e], e) for e in entries if e.of_model],
            rules=[_rule_entries(found, anchors) for found in by_rule(entries)],
            kinds=[_kindred(group, audit, pictures) for group in groups[:MOST_GROUPS]],
            rest=[row for group in groups[MOST_GROUPS:] for row in rows_of(group)],
            rows_of=rows_of,
            anchors=_anchors_by_layer(entries, anchors),
            few=FEW_LAYERS,
            most_words=MOST_WORDS,
            evidence=evidence_rows,
            proofs=list(_proofs(audit)),
            accepted=list(accepted(audit)),
            promises=audit.graph.promises,
            place_of=place_of,
            unverified=_unverified(audit),
            unknown=what_nobody_knows(audit.graph.unknown_operators),
            dismissed=audit.dismissed if audit.verbose else (),
            details=[(key, _told(value)) for key, value in audit.graph.details.items()],
            parts_of=parts_of,
        )
    )


def _anchors(entries: tuple[Recurring, ...]) -> dict[Recurring, str]:
    return {entry: f"f{number}" for number, entry in enumerate(entries, 1)}


def _anchors_by_layer(
    entries: tuple[Recurring, ...], anchors: dict[Recurring, str]
) -> dict[int, list[tuple[str, Recurring]]]:
    """Where the findings of each layer are told, each place once."""
    found: dict[int, dict[str, Recurring]] = {}
    for entry in entries:
        for one in entry.located:
            if one.number is not None:
                found.setdefault(one.number, {})[anchors[entry]] = entry
    return {number: list(places.items()) for number, places in found.items()}


def _rule_entries(found: tuple[Recurring, ...], anchors: dict[Recurring, str]) -> RuleEntries:
    rule = next((rule for rule in all_rules() if rule.code == found[0].first.code), None)
    worst = min((entry.first.severity for entry in found), key=lambda severity: severity.rank)
    return RuleEntries(rule, tuple((anchors[entry], entry) for entry in found), worst)


def _counts(audit: Audit) -> list[tuple[Severity, str]]:
    """The findings of each severity in words, those that there are."""
    summary = audit.summary
    found = []
    for severity in Severity:
        number = summary[f"{severity}s"]
        plural = "to know" if severity is Severity.INFO else f"{severity}{'s' * (number != 1)}"
        if number:
            found.append((severity, f"{number:,} {plural}"))
    return found


def _kindred(group: SiteGroup, audit: Audit, pictures: SharedPictures) -> Kindred:
    explanation = group.explanation
    site = group.representative
    said = what_lines(group)
    shown = Markup()
    if explanation is not None:
        keras = audit.graph.framework in ("keras", "keras1")
        shown = Markup(
            explanation_fragment(
                explanation,
                without=() if keras else (ALTERNATIVES,),  # they are layers of Keras
                folded=_DETAILS if explanation.contract_met else (ALTERNATIVES,),
                heading=4,
                svg=pictures.shown(explanation),
            )
        )
        said = said[len(said) - group.followed :]
    return Kindred(group, family_of(site), place_line(site), said, shown, _specs(site))


def _specs(site: Site) -> list[tuple[str, str]]:
    """What is computed in each mode, and what was declared where that is something else."""
    declared = site.declared.train if site.declared is not None else None
    rows = [("In training", _spec(site.train)), ("At inference", _spec(site.infer))]
    if declared is not None and (declared != site.train or site.differs):
        rows.append(("As declared", _spec(declared)))
    return rows


def _spec(spec: NormSpec | None) -> str:
    return "not known, or not there in this mode" if spec is None else str(spec)


@dataclass(frozen=True)
class Row:
    """One layer in a table."""

    number: int
    path: str
    shape: str
    checked: str
    source: str
    pattern: str
    family: Family


def rows_of(group: SiteGroup) -> Iterator[Row]:
    """The layers of a group, one row for each."""
    for number, site in zip(group.numbers, group.sites, strict=True):
        shape = site.input_shape
        yield Row(
            number,
            site.path or "the model itself",
            "not known" if shape is None else "(" + ", ".join(map(_size, shape)) + ")",
            _checked(site),
            site.source,
            f'"{site.spec.pattern}"' if site.spec is not None else site.words,
            family_of(site),
        )


def _size(length: int | None) -> str:
    return "any" if length is None else f"{length}"


def _checked(site: Site) -> str:
    if not site.operator:
        return "read, not run"
    if site.verified:
        return "verified" if site.max_ulp is None else f"within {site.max_ulp:.3g} ulp"
    return "seen, as words say" if site.kind is Kind.MIXING else "not verified"


def evidence_rows(entry: Recurring) -> list[tuple[str, str]]:
    """The facts behind a finding, by name."""
    return [(key.replace("_", " "), _told(value)) for key, value in entry.first.evidence.items()]


def _told(value: Any) -> str:
    """A fact as text."""
    match value:
        case None:
            return "not known"
        case bool():
            return "yes" if value else "no"
        case float():
            return f"{value:.6g}"
        case str():
            return value
        case list() | tuple() if all(not isinstance(one, list | tuple | dict) for one in value):
            return ", ".join(map(_told, value)) or "none"
    return json.dumps(value, ensure_ascii=False, default=str)


def _proofs(audit: Audit) -> Iterator[tuple[str, str, str, str]]:
    """For each mode: its name, the verdict on samples, where that is decided, and why."""
    for mode, samples in audit.samples.items():
        name = "In training" if mode == "training" else "At inference"
        yield name, str(samples.verdict), place_of(samples.through), samples.why


def _unverified(audit: Audit) -> list[tuple[int, str, str]]:
    """The layers that were run and whose spec could not be verified: number, path, why."""
    return [
        (number, site.path or "the model itself", site.words or "no spec reproduces it")
        for number, site in enumerate(audit.layers)
        if site.operator and not site.verified and site.kind is not Kind.MIXING
    ]


def _digest(audit: Audit) -> str:
    """A few letters that tell apart the cells of one notebook."""
    told = json.dumps(audit.to_dict(), sort_keys=True, default=str)
    return hashlib.sha256(told.encode("utf-8", "surrogatepass")).hexdigest()[:8]


@cache
def _file(name: str) -> str:
    """A style sheet or a script as it stands in its file."""
    return files("normscope.audit.reports").joinpath(name).read_text("utf-8")


@cache
def _environment() -> Environment:
    return templates("audit/reports")

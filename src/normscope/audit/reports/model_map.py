"""The map of a model: one mark for each site in the order of computation, by the layers' names.

Layers that hold many sites become branches; what is small stands in strips, side by side, so that
a page shows a network of thousands of sites in a few lines.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from normscope.audit.finding import Severity
from normscope.audit.model_graph import Site
from normscope.audit.reports.family import FAMILIES, Family, family_of
from normscope.audit.reports.recurring import THE_MODEL, worst
from normscope.explain.reports.picture import shorter
from normscope.wording import counted, listed

if TYPE_CHECKING:
    from normscope.audit.result import Audit

LONGEST_STRIP = 24
"""The most marks of a strip, unless one layer has more of its own."""

SMALL = 6
"""Branches of at most so many marks share a strip with their neighbours."""

DEEPEST = 6
"""Levels of names that are told apart; a hostile name can have a million."""

LONGEST_NAME = 120

FOLDED_ABOVE = 300
"""A map of more sites opens with its branches closed."""

_STEP = re.compile(r"[./]")


@dataclass(frozen=True)
class Mark:
    """One site on the map.

    Attributes:
        number: of the site, in the order of computation.
        path: its layer, shortened where it is very long.
        family: the kind of normalization.
        severity: of its worst finding; None without one.
        coupled: for training and inference, whether samples see each other here; None if unknown.
        findings: its findings in words.
        block: the path of what holds the layer.
    """

    number: int
    path: str
    family: Family
    severity: Severity | None
    coupled: tuple[bool | None, bool | None]
    findings: tuple[str, ...]
    block: str

    @property
    def label(self) -> str:
        """All that the mark says, in words; what a reader searches in."""
        said = [f"{self.path}, {self.family.name}"]
        if self.coupling:
            said.append(self.coupling)
        return "; ".join([*said, *self.findings])

    @property
    def coupling(self) -> str:
        """In which mode samples see each other here; "" if in none, or if it is not known."""
        modes = [mode for mode, is_coupled in zip(MODES, self.coupled, strict=True) if is_coupled]
        return f"samples see each other {listed(modes)}" if modes else ""

    @property
    def classes(self) -> str:
        """What a style sheet needs to know."""
        bar = "".join({True: "1", False: "0", None: "u"}[one] for one in self.coupled)
        return " ".join(filter(None, (f"k-{self.family.key}", str(self.severity or ""), f"c{bar}")))


MODES = ("in training", "at inference")


@dataclass(frozen=True)
class Branch:
    """A layer that holds sites: its own marks, or further branches."""

    name: str
    marks: tuple[Mark, ...]
    branches: tuple[Branch, ...] = ()

    @cached_property
    def all_marks(self) -> tuple[Mark, ...]:
        """The marks of it and of the branches in it."""
        inner = (mark for branch in self.branches for mark in branch.all_marks)
        return (*self.marks, *inner)

    @property
    def summary(self) -> str:
        """What it holds: "48 layers, 3 with errors, samples see each other in 48 in training"."""
        counts = Counter(mark.severity for mark in self.all_marks)
        bad = [f"{counts[s]} with {_PLURAL[s]}" for s in Severity if counts[s]]
        coupled = [sum(mark.coupled[mode] is True for mark in self.all_marks) for mode in (0, 1)]
        modes = [f"{n} {mode}" for n, mode in zip(coupled, MODES, strict=True) if n]
        sees = [f"samples see each other in {listed(modes)}"] if modes else []
        return ", ".join([counted(len(self.all_marks), "layer"), *bad, *sees])

    @property
    def worst(self) -> Severity | None:
        """The worst severity of its findings; None without any."""
        found = [mark.severity for mark in self.all_marks if mark.severity]
        return min(found, key=lambda severity: severity.rank, default=None)

    @property
    def families(self) -> tuple[tuple[Family, int], ...]:
        """The kinds of its sites, and how many there are of each."""
        counts = Counter(mark.family for mark in self.all_marks)
        return tuple((family, counts[family]) for family in FAMILIES if counts[family])


_PLURAL = {Severity.ERROR: "errors", Severity.WARNING: "warnings", Severity.INFO: "remarks"}


@dataclass(frozen=True)
class _Placed:
    mark: Mark
    steps: tuple[str, ...]


def model_map(audit: Audit) -> Branch:
    """The map of an audit; the branch that is returned is the model."""
    placed = [_placed(audit, number, site) for number, site in enumerate(audit.layers)]
    marks = tuple(one.mark for one in placed)
    if len(placed) <= LONGEST_STRIP:
        return Branch("", (), (Branch("", marks),) if marks else ())
    return Branch("", (), tuple(_branches(placed, 0)))


def _placed(audit: Audit, number: int, site: Site) -> _Placed:
    path = shorter(site.path or THE_MODEL, LONGEST_NAME)
    *block, name = [step for step in _STEP.split(path) if step] or [path]
    steps = (*block[: DEEPEST - 1], name)
    findings = audit.findings_of(number)
    independent = site.samples_independent
    mark = Mark(
        number,
        path,
        family_of(site),
        worst(findings),
        (_coupled(independent["train"]), _coupled(independent["infer"])),
        tuple(dict.fromkeys(f"{f.severity} {f.code} {f.name}" for f in findings)),
        ".".join(block),
    )
    return _Placed(mark, steps)


def _coupled(independent: bool | None) -> bool | None:
    return None if independent is None else not independent


def _branches(placed: Sequence[_Placed], depth: int) -> Iterator[Branch]:
    """What stands at one level: branches, and strips of neighbours that are small."""
    children: dict[str, list[_Placed]] = {}
    for one in placed:
        step = one.steps[depth] if depth < len(one.steps) else one.steps[-1]
        children.setdefault(step, []).append(one)
    strip: list[tuple[str, list[_Placed]]] = []
    for name, inside in children.items():
        if len(inside) > SMALL or sum(len(kept) for _, kept in strip) + len(inside) > LONGEST_STRIP:
            yield from _strip(strip)
            strip = []
        if len(inside) > SMALL:
            yield _branch(name, inside, depth + 1)
        else:
            strip.append((name, inside))
    yield from _strip(strip)


def _branch(name: str, inside: Sequence[_Placed], depth: int) -> Branch:
    """A layer with what it holds; one that holds a single other one is named together with it."""
    marks = tuple(one.mark for one in inside)
    deeper = {one.steps[depth] if depth < len(one.steps) else "" for one in inside}
    if len(inside) <= LONGEST_STRIP or depth >= DEEPEST or "" in deeper:
        return Branch(name, marks)
    if len(deeper) == 1:
        return _branch(f"{name}.{deeper.pop()}", inside, depth + 1)
    return Branch(name, (), tuple(_branches(inside, depth)))


def _strip(children: Sequence[tuple[str, list[_Placed]]]) -> Iterator[Branch]:
    if children:
        first, last = children[0][0], children[-1][0]
        name = first if first == last else f"{first} … {last}"
        yield Branch(name, tuple(one.mark for _, inside in children for one in inside))

"""Layers that are alike, said once: a report of eight equal layers has one entry for them."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING

from normscope.audit.finding import Finding, Severity
from normscope.audit.model_graph import Shape, Site
from normscope.audit.site_explanation import explanation_of
from normscope.errors import NormscopeError
from normscope.explain import Explanation
from normscope.frameworks.declaration import Declaration
from normscope.notation.spec import NormSpec

if TYPE_CHECKING:
    from normscope.audit.result import Audit

MOST_GROUPS = 100
"""How many groups a report shows. A real model has a few; `Audit.to_dict` has every layer."""


@dataclass(frozen=True)
class SiteGroup:
    """Sites that do alike.

    Attributes:
        numbers: of the sites, in the order of computation.
        sites: they themselves.
        findings_at: the findings at each of them.
    """

    numbers: tuple[int, ...]
    sites: tuple[Site, ...]
    findings_at: tuple[tuple[Finding, ...], ...]

    @cached_property
    def representative(self) -> Site:
        """The site that stands for all; where their shapes differ, a length that varies is None."""
        first, *others = self.sites
        if all(site.input_shape == first.input_shape for site in others):
            return first
        shape = tuple(
            length if all(_length(site, axis) == length for site in others) else None
            for axis, length in enumerate(first.input_shape or ())
        )
        declared = first.declared and _any_size(first.declared)
        train, infer = _without_sizes(first.train), _without_sizes(first.infer)
        return replace(first, input_shape=shape, declared=declared, train=train, infer=infer)

    @property
    def lengths(self) -> str | None:
        """The shape of the inputs, with a range where it varies; None if it is not known."""
        shapes = [site.input_shape for site in self.sites]
        known = [shape for shape in shapes if shape is not None]
        if len(known) < len(shapes):
            return None
        return ", ".join(map(_range, map(set, zip(*known, strict=True))))

    @property
    def explanation(self) -> Explanation | None:
        """What they compute; None where no spec says it."""
        return explanation_of(self.representative)

    @property
    def codes(self) -> dict[tuple[str, Severity, str], int]:
        """Code, severity and name of what was found, with how many of the sites have it."""
        counts: Counter[tuple[str, Severity, str]] = Counter()
        for findings in self.findings_at:
            counts.update({(f.code, f.severity, f.name) for f in findings})
        return dict(sorted(counts.items(), key=lambda item: (item[0][1].rank, item[0][0])))

    @property
    def followed(self) -> bool:
        """Whether they were found in operators that were followed."""
        return bool(self.sites[0].operator)

    @cached_property
    def all_paths(self) -> tuple[str, ...]:
        """The paths of the layers, in the order of computation."""
        return tuple(dict.fromkeys(site.path or "the model itself" for site in self.sites))

    @property
    def paths(self) -> str:
        """The paths of the layers in one line: of more than three, the first and the last."""
        paths = self.all_paths
        return ", ".join(paths) if len(paths) <= 3 else f"{paths[0]} ... {paths[-1]}"


def grouped(audit: Audit) -> tuple[SiteGroup, ...]:
    """The sites of a model, alike ones together, those with the worst findings first."""
    together: dict[object, list[int]] = {}
    for number, site in enumerate(audit.layers):
        together.setdefault(_likeness(site), []).append(number)
    groups = [
        SiteGroup(
            tuple(numbers),
            tuple(audit.layers[n] for n in numbers),
            tuple(audit.findings_of(n) for n in numbers),
        )
        for numbers in together.values()
    ]
    return tuple(sorted(groups, key=_worst))


def not_shown(groups: tuple[SiteGroup, ...]) -> str:
    """What a text leaves out, in words; empty if nothing."""
    left = sum(len(group.sites) for group in groups[MOST_GROUPS:])
    return f"{left} more layers are in --format json and --format html only." if left else ""


def _likeness(site: Site) -> object:
    """What sites have in common that are said once.

    Of a layer that was read from a file the numbers are told; of operators, of which there are
    many, those of the same kind go together, whatever their lengths.
    """
    alike = (site.title, site.kind, site.differs, site.words, site.dtype)
    if not site.operator:
        return (*alike, site.declared, site.input_shape)
    specs = tuple(map(_without_sizes, (site.train, site.infer)))
    rank = None if site.input_shape is None else len(site.input_shape)
    return (*alike, site.operator if site.declared is None else "", specs, rank)


def _without_sizes(spec: NormSpec | None) -> NormSpec | None:
    """A spec for any length of the axes that are not split."""
    if spec is None or spec.pattern is None or not spec.sizes:
        return spec
    try:
        layout = spec.layout([None] * sum(1 for _ in spec.parsed.items))
        split = {axis.base for axis in layout.axes if len(layout.parts(axis.dim)) > 1}
    except NormscopeError:
        return spec
    return replace(spec, sizes={name: n for name, n in spec.sizes.items() if name in split})


def _any_size(declared: Declaration) -> Declaration:
    train, infer = _without_sizes(declared.train), _without_sizes(declared.infer)
    return replace(declared, train=train or declared.train, infer=infer or declared.infer)


def _length(site: Site, axis: int) -> int | None:
    shape: Shape = site.input_shape or ()
    return shape[axis] if axis < len(shape) else None


def _range(lengths: set[int | None]) -> str:
    known = sorted(length for length in lengths if length is not None)
    if None in lengths:
        return "any"
    return f"{known[0]}" if len(known) == 1 else f"{known[0]} to {known[-1]}"


def _worst(group: SiteGroup) -> int:
    ranks = (finding.severity.rank for findings in group.findings_at for finding in findings)
    return min(ranks, default=99)

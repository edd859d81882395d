"""Layers that are alike, said once: a report of eight equal layers has one entry for them."""

from __future__ import annotations

from dataclasses import dataclass

from normscope.audit.finding import Finding
from normscope.audit.graph import Site
from normscope.audit.result import Audit


@dataclass(frozen=True)
class LikeSites:
    """Sites with the same layer, input and findings. The findings are those of the first."""

    sites: tuple[Site, ...]
    findings: tuple[Finding, ...]

    @property
    def first(self) -> Site:
        """The one that stands for all."""
        return self.sites[0]

    @property
    def all_paths(self) -> tuple[str, ...]:
        """The paths of the layers, in the order of computation."""
        return tuple(dict.fromkeys(site.path for site in self.sites))

    @property
    def paths(self) -> str:
        """The same in one line: the first and the last of many."""
        paths = self.all_paths
        return ", ".join(paths) if len(paths) <= 3 else f"{paths[0]} ... {paths[-1]}"


MOST_GROUPS = 100
"""How many groups a report shows. A real model has a few; `Audit.to_dict` has every layer."""


def not_shown(groups: tuple[LikeSites, ...]) -> str:
    """What a report leaves out, in words; empty if nothing."""
    left = sum(len(group.sites) for group in groups[MOST_GROUPS:])
    return f"{left} more layers are in --format json and --format sarif only." if left else ""


def alike(audit: Audit) -> tuple[LikeSites, ...]:
    """The sites of a model, equal ones together, those with the worst findings first."""
    groups: dict[object, list[Site]] = {}
    for site in audit.layers:
        said = tuple((f.code, f.message, f.fix) for f in audit.findings_at(site.path))
        key = (site.declaration, site.input_shape, said)
        groups.setdefault(key, []).append(site)
    likes = [
        LikeSites(
            tuple(sites),
            audit.findings_at(sites[0].path),
        )
        for sites in groups.values()
    ]
    return tuple(sorted(likes, key=_worst))


def _worst(group: LikeSites) -> int:
    return min((finding.severity.rank for finding in group.findings), default=99)

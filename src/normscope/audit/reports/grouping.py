"""Layers that are alike, said once: a report of eight equal layers has one entry for them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from normscope.audit.finding import Finding
from normscope.audit.model_graph import Site

if TYPE_CHECKING:
    from normscope.audit.result import Audit

MOST_GROUPS = 100
"""How many groups a report shows. A real model has a few; `Audit.to_dict` has every layer."""


@dataclass(frozen=True)
class SiteGroup:
    """Sites with the same layer, input and findings. The findings are those of the first."""

    sites: tuple[Site, ...]
    findings: tuple[Finding, ...]

    @property
    def representative(self) -> Site:
        """The site that stands for all."""
        return self.sites[0]

    @property
    def all_paths(self) -> tuple[str, ...]:
        """The paths of the layers, in the order of computation."""
        return tuple(dict.fromkeys(site.path for site in self.sites))

    @property
    def paths(self) -> str:
        """The paths of the layers in one line: of more than three, the first and the last."""
        paths = self.all_paths
        return ", ".join(paths) if len(paths) <= 3 else f"{paths[0]} ... {paths[-1]}"


def grouped(audit: Audit) -> tuple[SiteGroup, ...]:
    """The sites of a model, equal ones together, those with the worst findings first."""
    together: dict[object, list[Site]] = {}
    for site in audit.layers:
        said = tuple((f.code, f.message, f.fix) for f in audit.findings_at(site.path))
        together.setdefault((site.declaration, site.input_shape, said), []).append(site)
    groups = [
        SiteGroup(tuple(sites), audit.findings_at(sites[0].path)) for sites in together.values()
    ]
    return tuple(sorted(groups, key=_worst))


def not_shown(groups: tuple[SiteGroup, ...]) -> str:
    """What a report leaves out, in words; empty if nothing."""
    left = sum(len(group.sites) for group in groups[MOST_GROUPS:])
    return f"{left} more layers are in --format json and --format sarif only." if left else ""


def _worst(group: SiteGroup) -> int:
    return min((finding.severity.rank for finding in group.findings), default=99)

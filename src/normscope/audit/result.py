"""`Audit`: every normalization of a model, and what is wrong with them."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass
from functools import cached_property
from importlib.resources import files
from typing import Any

from normscope.audit.allowances import Allowed, AtPaths
from normscope.audit.baseline import Entry
from normscope.audit.finding import Finding, Severity
from normscope.audit.model_graph import ModelGraph, Site
from normscope.errors import printable
from normscope.sight.verdict import Samples
from normscope.version import __version__

SCHEMA_VERSION = "1.0"
"""Of the report as JSON: the first number grows where a field goes or changes its meaning, the
second where one is added. `audit_schema` has the schema."""

SCHEMA_ID = f"urn:normscope:audit:{SCHEMA_VERSION}"


@dataclass(frozen=True, repr=False)
class Audit:
    """Every normalization of a model, and what is wrong with them.

    `str()` is the report as text; notebooks show it as HTML.

    Attributes:
        graph: the model.
        findings: those about the model as a whole, then by place in the model; there by code.
        verbose: the report lists, too, what looked like a normalization and is none.
        by_site: the findings at each of the layers.
        of_model: those about the model as a whole, or about layers that normalize nothing.
        allowed: the findings that do not count, as they are allowed for a reason.
        known: those that do not count, as they are in the baseline.
        stale: what the baseline holds and was not found any more; writing it anew removes them.
        unused: what was allowed or said to be meant, and was not needed.
        entries: the findings that count or are known, as a baseline holds them.
    """

    graph: ModelGraph
    findings: tuple[Finding, ...]
    verbose: bool = False
    by_site: tuple[tuple[Finding, ...], ...] = ()
    of_model: tuple[Finding, ...] = ()
    allowed: tuple[Allowed, ...] = ()
    known: tuple[Finding, ...] = ()
    stale: tuple[Entry, ...] = ()
    unused: frozenset[AtPaths] = frozenset()
    entries: tuple[Entry, ...] = ()

    @property
    def layers(self) -> tuple[Site, ...]:
        """The places where something is normalized, in the order of computation."""
        return self.graph.sites

    @cached_property
    def summary(self) -> dict[str, int]:
        """How many layers and findings there are."""
        counts = Counter(finding.severity for finding in self.findings)
        return {
            "layers": len(self.layers),
            "findings": len(self.findings),
            **{f"{severity}s": counts[severity] for severity in Severity},
        }

    @property
    def dismissed(self) -> tuple[Site, ...]:
        """The places that looked like a normalization and are none; `dismissed` says why."""
        return self.graph.dismissed

    @property
    def samples(self) -> dict[str, Samples]:
        """For each mode, "training" and "inference", whether samples see each other."""
        not_run = Samples(why="it was read, and not run")
        return {mode: self.graph.samples.get(mode, not_run) for mode in ("training", "inference")}

    def findings_at(self, path: str) -> tuple[Finding, ...]:
        """The findings in one layer."""
        return tuple(self._by_path.get(path, ()))

    def findings_of(self, number: int) -> tuple[Finding, ...]:
        """The findings at one of the layers; of a layer that was read, all those at its path."""
        site = self.layers[number]
        followed = site.operator and len(self.by_site) == len(self.layers)
        return self.by_site[number] if followed else self.findings_at(site.path)

    @cached_property
    def _by_path(self) -> dict[str, list[Finding]]:
        found: dict[str, list[Finding]] = {}
        for finding in self.findings:
            found.setdefault(finding.path, []).append(finding)
        return found

    def to_dict(self) -> dict[str, Any]:
        """The report as JSON types, as `audit_schema` describes it."""
        graph = self.graph
        unknown = dict(graph.unknown_operators)
        return {
            "$schema": SCHEMA_ID,
            "schema_version": SCHEMA_VERSION,
            "model": {
                "name": graph.name,
                "format": graph.format,
                "framework": graph.framework,
                "details": {
                    "file": printable(graph.file),
                    **graph.details,
                    "assumed": list(graph.assumed),
                    **({"notes": list(graph.notes)} if graph.notes else {}),
                    **({"unknown_operators": unknown} if unknown else {}),
                },
                "samples": {mode: samples.to_dict() for mode, samples in self.samples.items()},
            },
            "layers": [_layer_dict(site) for site in self.layers],
            "promises": [promise.to_dict() for promise in graph.promises],
            "findings": [finding.to_dict() for finding in self.findings],
            "allowed": [{**a.finding.to_dict(), "reason": a.reason} for a in self.allowed],
            "known": [finding.to_dict() for finding in self.known],
            "stale": [entry.to_dict() for entry in self.stale],
            "summary": self.summary,
        }

    def to_html(self) -> str:
        """The report as one self-contained page with pictures."""
        from normscope.audit.reports.html import as_html

        return as_html(self)

    def to_sarif(self) -> dict[str, Any]:
        """The findings as a SARIF 2.1.0 log, for code scanning tools."""
        from normscope.audit.reports.sarif import as_sarif

        return as_sarif(self, __version__)

    def to_junit(self) -> str:
        """The findings as JUnit XML, one test case for each layer, for dashboards of CI."""
        from normscope.audit.reports.junit import as_junit

        return as_junit([self])

    def __str__(self) -> str:
        from normscope.audit.reports.text import plain_text

        return plain_text(self)

    def __repr__(self) -> str:
        return str(self)

    def _repr_html_(self) -> str:
        from normscope.audit.reports.html import as_notebook_cell

        return as_notebook_cell(self)


def audit_schema() -> dict[str, Any]:
    """The JSON schema (draft 2020-12) of what `Audit.to_dict` returns."""
    text = files("normscope.audit.reports").joinpath("audit.schema.json").read_text("utf-8")
    schema: dict[str, Any] = json.loads(text)
    return schema


def _layer_dict(site: Site) -> dict[str, Any]:
    declared = None if site.declared is None else site.declared.train
    specs = {"declared": declared, "spec_train": site.train, "spec_infer": site.infer}
    return {
        "path": site.path,
        "type": site.type,
        "operator": site.operator or None,
        "source": site.source or None,
        **{name: None if spec is None else spec.to_dict() for name, spec in specs.items()},
        "input_shape": None if site.input_shape is None else list(site.input_shape),
        "kind": str(site.kind),
        "verified": site.verified,
        "max_ulp": site.max_ulp,
        "sample_independent": site.samples_independent,
    }

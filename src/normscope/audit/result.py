"""`audit`, and the `Audit` that it returns."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from normscope.audit.catalogue import selected_rules
from normscope.audit.finding import Finding, Severity
from normscope.audit.graph import ModelGraph, Site
from normscope.audit.readers import read_graph
from normscope.errors import SpecError, printable
from normscope.version import __version__


@dataclass(frozen=True, repr=False)
class Audit:
    """Every normalization of a model, and what is wrong with them.

    `str()` is the report as text; notebooks show it as HTML.

    Attributes:
        graph: the model.
        findings: sorted by place in the model, then by code.
    """

    graph: ModelGraph
    findings: tuple[Finding, ...]

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

    def findings_at(self, path: str) -> tuple[Finding, ...]:
        """The findings in one layer."""
        return tuple(self._by_path.get(path, ()))

    @cached_property
    def _by_path(self) -> dict[str, list[Finding]]:
        found: dict[str, list[Finding]] = {}
        for finding in self.findings:
            found.setdefault(finding.path, []).append(finding)
        return found

    def to_dict(self) -> dict[str, Any]:
        """The report as JSON types."""
        graph = self.graph
        return {
            "model": {
                "file": printable(graph.file),
                "name": graph.name,
                "format": graph.format,
                "framework": graph.framework,
                "release": graph.release,
                "backend": graph.backend,
                "assumed": list(graph.assumed),
            },
            "layers": [_layer_dict(site) for site in self.layers],
            "findings": [finding.to_dict() for finding in self.findings],
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

    def __str__(self) -> str:
        from normscope.audit.reports.text import plain_text

        return plain_text(self)

    def __repr__(self) -> str:
        return str(self)

    def _repr_html_(self) -> str:
        from normscope.audit.reports.html import as_notebook_cell

        return as_notebook_cell(self)


def audit(
    path: str | os.PathLike[str],
    *,
    select: Sequence[str] = (),
    ignore: Sequence[str] = (),
    release: str | None = None,
    backend: str | None = None,
) -> Audit:
    """Find every normalization of a model file, and what is wrong with it.

    Only data is read: no code in the file, and none that it names, is run.

    Args:
        path: a Keras 1 model: `.h5` from `model.save()`, `.json` from `model.to_json()`.
        select: codes, names or families ("NS1") of the rules to apply; all, if none is given.
        ignore: those not to apply.
        release, backend: the release of Keras 1 ("1.0.0" to "1.2.2") and the backend
            ("tensorflow", "theano" or "theano<0.9") that wrote the file, where it does not tell
            them; what is assumed without them is in `Audit.graph.assumed` and in the report.

    Returns:
        The `Audit`.

    Raises:
        ModelFileError: the file could not be read, or what it holds contradicts itself.
        SpecError: there is no rule of a code or name, no such release or backend, or it is a model
            instead of a file.

    Example:
        >>> report = audit("examples/seed_network_full_th.json")
        >>> report.layers[0].train.pattern
        'b c h [w]'
        >>> report.findings[0].name
        'rank-outside-contract'
    """
    _check_path(path)
    rules = selected_rules(select, ignore)
    graph = read_graph(Path(path), release, backend)
    findings = [
        finding for site in graph.sites for rule in rules for finding in rule.check(site, graph)
    ]
    return Audit(graph, tuple(findings))


def _check_path(path: object) -> None:
    """Refuse what is not a path, and say which call takes it.

    Raises:
        SpecError: it is not a path.
    """
    if isinstance(path, str | os.PathLike) and path != "":
        return
    if isinstance(path, str):
        came = "an empty text"
    elif path is None:
        came = "None"
    elif isinstance(path, type):
        came = f"the class {path.__qualname__}"
    else:
        came = f"an object of {type(path).__module__}.{type(path).__qualname__}"
    instance = f"make an instance, {path.__qualname__}(...); " if isinstance(path, type) else ""
    if hasattr(path, "dtype") and hasattr(path, "shape"):
        use = "for an array write ns.normalize(x, pattern)"
    elif isinstance(path, bytes):
        use = "write the path as a str"
    elif hasattr(path, "read") and isinstance(name := getattr(path, "name", None), str):
        use = f"write its path, {name!r}"
    else:
        use = (
            f"{instance}for a live model write ns.scope(model, inputs), which finds out whether "
            "samples see each other, for one layer ns.identify(layer, shape), which finds out what "
            "it normalizes"
        )
    raise SpecError(
        f"audit takes the path of a model file of Keras 1 (.h5, .json) today, not {came}; {use}"
    )


def _layer_dict(site: Site) -> dict[str, Any]:
    independent = not site.couples_samples
    return {
        "path": site.path,
        "type": site.node.kind,
        "spec_train": site.train.to_dict(),
        "spec_infer": site.infer.to_dict(),
        "input_shape": None if site.input_shape is None else list(site.input_shape),
        "sample_independent": {
            "train": independent,
            "infer": True if site.infer.pattern is None else independent,
        },
    }

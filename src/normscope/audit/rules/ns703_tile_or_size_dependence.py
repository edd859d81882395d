"""NS703 tile-or-size-dependence: a tile is normalized otherwise than the whole, though it must not.

What it finds:
    A break of the promise independent="h w": a normalization whose statistics run along an axis of
    positions, so that a crop, a tile or another resolution changes every pixel.

Why it matters:
    Tiled inference shows seams and shifts of colour; scores change with the size of the image.

How it is found:
    Only where the promise is declared: audit(..., independent="h w"), --independent "h w", or in
    pyproject.toml. What each site normalizes over tells it, in each mode. As a check, one half of
    the axis is given other values, and the far quarter of the output is looked at.

Measured:
    The largest difference between the output of the whole and that of two tiles; also away from
    the cut, in the outer quarters, which padding at the cut does not reach.

Known limits:
    The promise is about statistics: attention, which sees as far, keeps it. Pooling over all of
    the axis and gates may be statistics, and are reported as not known.
    A model that takes one size only cannot be tiled; then nothing is measured.
    What takes such statistics in training alone, and stored ones at inference, is an info.

Use instead:
    Layer normalization of each position over its channels, batch normalization with running
    statistics; or statistics of the whole that are given to each tile.

References:
    ScaleCrafter#2, diffusers PR 1441, ComfyUI#163, stable-diffusion.cpp#353
"""

from __future__ import annotations

from collections.abc import Iterator

from normscope.audit.finding import Finding, Severity
from normscope.audit.model_graph import ModelGraph, Site
from normscope.audit.promises import About
from normscope.audit.promises_at import broken_at, not_known
from normscope.audit.rule import Rule, Symptom


class TileOrSizeDependence(Rule):
    code, name, since = "NS703", "tile-or-size-dependence", "0.1"
    severity = Severity.ERROR
    symptoms = (Symptom.SIZE,)

    def check(self, site: Site, graph: ModelGraph) -> Iterator[Finding]:
        broken = broken_at(graph, site, About.POSITIONS)
        if broken is not None:
            yield self.finding(
                site,
                f"{broken.modes}, its statistics are taken along {broken.axes}, which "
                f"{broken.asked} forbids{broken.measured}",
                fix="normalize each position over its channels alone, or use running statistics: "
                f"{graph.advice.running_statistics}",
                evidence=broken.evidence,
                severity=Severity.INFO if broken.only_training(site) else Severity.ERROR,
            )

    def check_model(self, graph: ModelGraph) -> Iterator[Finding]:
        for path, unknown in not_known(graph, About.POSITIONS):
            yield self.finding(
                path,
                f"whether a tile along {unknown.axes} is treated as the whole {unknown.modes}, as "
                f"{unknown.asked} promises, is not known: {unknown.promises[0].why}",
                fix="give longer axes, or allow this finding with the reason why it is so",
                evidence=unknown.evidence,
                severity=Severity.WARNING,
            )

"""NS702 causal-leak: a step sees a later one, though the model must be causal.

What it finds:
    A break of the promise causal="t": a layer through which the output at one step depends on
    input at later steps. Group and instance normalization over time do, and layer normalization
    over time and channels.

Why it matters:
    In streaming, later steps are not there yet, so the score of whole sequences is not reached;
    results with a cache differ from those without.

How it is found:
    Only where the promise is declared: audit(..., causal="t"), --causal t, or in pyproject.toml.
    The operators of the model are followed from each step; where they prove nothing, steps are
    given other values and earlier ones are looked at. What is not known is a warning.

Measured:
    How many steps ahead an output was seen to look.

Known limits:
    Models that are meant for whole sequences must not promise it. A normalization with running
    statistics over time breaks it in training and keeps it at inference, where streams
    are: that is an info, and causal="t@inference" promises no more.

Use instead:
    Layer or RMS normalization of each step over its channels; or cumulative statistics.

References:
    Wan2.1#294, Open-Sora-Plan#526, asteroid PR 503, DeepXi#18
"""

from __future__ import annotations

from collections.abc import Iterator

from normscope.audit.finding import Finding, Severity
from normscope.audit.model_graph import ModelGraph, Site
from normscope.audit.promises import About
from normscope.audit.promises_at import Together, broken_at, broken_elsewhere, not_known
from normscope.audit.rule import Rule, Symptom


class CausalLeak(Rule):
    code, name, since = "NS702", "causal-leak", "0.1"
    severity = Severity.ERROR
    symptoms = (Symptom.STREAMING,)

    def check(self, site: Site, graph: ModelGraph) -> Iterator[Finding]:
        broken = broken_at(graph, site, About.STEPS)
        if broken is not None:
            yield self.finding(
                site,
                f"{broken.modes}, its statistics are taken over later steps too, which "
                f"{broken.asked} forbids{broken.measured}",
                fix=_fix(broken),
                evidence=broken.evidence,
                severity=Severity.INFO if broken.only_training(site) else Severity.ERROR,
            )

    def check_model(self, graph: ModelGraph) -> Iterator[Finding]:
        for path, broken in broken_elsewhere(graph, About.STEPS):
            through = broken.promises[0].through
            where = "" if through is None else f", first in {through}"
            yield self.finding(
                path,
                f"{broken.modes}, a step sees a later one{where}, which {broken.asked} "
                f"forbids{broken.measured}",
                fix="mask what is later, or pad convolutions on the side of the past alone",
                evidence=broken.evidence,
            )
        for path, unknown in not_known(graph, About.STEPS):
            yield self.finding(
                path,
                f"whether steps see later ones {unknown.modes}, which {unknown.asked} forbids, is "
                f"not known: {unknown.promises[0].why}",
                fix="give at least two steps of different values, and a model that can be run; or "
                "allow this finding with the reason why it is so",
                evidence=unknown.evidence,
                severity=Severity.WARNING,
            )


def _fix(broken: Together) -> str:
    fix = (
        "normalize each step over its channels alone (layer or RMS normalization), or cumulatively"
    )
    if {promise.mode for promise in broken.promises} != {"training"}:
        return fix
    axis = broken.promises[0].wanted.axis
    return f'{fix}; where only inference must be causal, promise causal="{axis}@inference"'

"""NS701 batch-coupling-where-forbidden: samples see each other, though they must not.

What it finds:
    A break of the promise independent="b": a layer through which the output for one sample depends
    on other samples, in training or at inference.

Why it matters:
    DP-SGD loses its proof of privacy, a gradient penalty constrains another function, contrastive
    learning finds a shortcut through the statistics, few-shot scores leak between queries.

How it is found:
    Only where the promise is declared: audit(..., independent="b"), --independent b, or in
    pyproject.toml. The operators of the model are followed in each mode; where they prove nothing,
    one sample is replaced and the others are looked at. What is not known is a warning.

Measured:
    By how much the output for sample 0 changes when another sample is replaced.

Known limits:
    An ordinary batch normalization breaks the promise in training and keeps it at inference: say
    independent="b@inference" where training may couple. Of a file that is read and not run only
    the settings of its normalizations are known.

Use instead:
    Layer, group or instance normalization, whose statistics lie within one sample.

References:
    opacus#319, Keras-GAN#48, moco#137, higher#107
"""

from __future__ import annotations

from collections.abc import Iterator

from normscope.audit.finding import Finding, Severity
from normscope.audit.model_graph import ModelGraph, Site
from normscope.audit.promises import About
from normscope.audit.promises_at import Together, broken_at, broken_elsewhere, not_known
from normscope.audit.rule import Intent, Rule, Symptom


class BatchCouplingWhereForbidden(Rule):
    code, name, since = "NS701", "batch-coupling-where-forbidden", "0.1"
    severity = Severity.ERROR
    symptoms = (Symptom.BATCH,)
    intents = (Intent.TRANSDUCTIVE, Intent.TEST_TIME_ADAPTATION)

    def check(self, site: Site, graph: ModelGraph) -> Iterator[Finding]:
        broken = broken_at(graph, site, About.SAMPLES)
        if broken is not None:
            yield self.finding(
                site,
                f"{broken.modes}, its statistics are taken over the samples, which {broken.asked} "
                f"forbids{broken.measured}",
                fix=_fix(broken),
                evidence=broken.evidence,
            )

    def check_model(self, graph: ModelGraph) -> Iterator[Finding]:
        for path, broken in broken_elsewhere(graph, About.SAMPLES):
            through = broken.promises[0].through
            where = "" if through is None else f", first in {through}"
            yield self.finding(
                path,
                f"{broken.modes}, samples see each other{where}, which {broken.asked} "
                f"forbids{broken.measured}",
                fix="keep the axis of the samples out of every sum, sort and product there",
                evidence=broken.evidence,
            )
        for path, unknown in not_known(graph, About.SAMPLES):
            yield self.finding(
                path,
                f"whether samples stay apart {unknown.modes}, as {unknown.asked} promises, is not "
                f"known: {unknown.promises[0].why}",
                fix="give at least two samples of different values, and a model that can be run; "
                "or allow this finding with the reason why it is so",
                evidence=unknown.evidence,
                severity=Severity.WARNING,
            )


def _fix(broken: Together) -> str:
    fix = "use a normalization within one sample: layer, group or instance normalization"
    if {promise.mode for promise in broken.promises} != {"training"}:
        return fix
    axis = broken.promises[0].wanted.axis
    only = f'independent="{axis}@inference"'
    return f"{fix}; where only inference must keep samples apart, promise {only}"

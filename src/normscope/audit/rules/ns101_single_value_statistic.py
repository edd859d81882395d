"""NS101 single-value-statistic: a statistics set holds one value, or two.

What it finds:
    A normalization whose statistics sets hold a single value: then x - mean is 0 and the output
    is the bias, whatever the input. With two values the output keeps only which of them is larger:
    it is +1 and -1.

Why it matters:
    The signal is erased while the loss still moves through the bias. Most frameworks do this
    silently, some raise an error in training only.

How it is found:
    By counting the elements of a set for the shape at this place in the model. Sets that span a
    batch of unknown size are not judged; a live model is audited with any number of samples.

Measured:
    The number of values in a set. Layer normalization over an axis of length 1, and group
    normalization with one channel per group after global pooling, have one.

Known limits:
    Sets of two values can be meant so, but rarely are.

Use instead:
    Normalize before pooling, or over more axes.

References:
    pytorch#45687, pytorch#11991, fastai#1352
"""

from __future__ import annotations

from collections.abc import Iterator

from normscope.audit.finding import Finding, Severity
from normscope.audit.model_graph import ModelGraph, Site
from normscope.audit.rule import Rule, Symptom


class SingleValueStatistic(Rule):
    code, name, since = "NS101", "single-value-statistic", "0.1"
    severity = Severity.ERROR
    symptoms = (Symptom.CONSTANT, Symptom.LEARNING)

    def check(self, site: Site, graph: ModelGraph) -> Iterator[Finding]:
        spec, layout = site.spec, site.layout
        if spec is None or layout is None or not spec.center or layout.set_size not in (1, 2):
            return
        if graph.followed and site.couples_samples(spec):
            return  # the inputs of an audit may hold fewer samples than a batch
        if spec.measure == "none" and layout.set_size == 2:
            return  # what is left is half their difference
        size = layout.set_size
        consequence = (
            "so the output is the bias, whatever the input"
            if size == 1
            else "so the output only says which of the two is larger"
        )
        yield self.finding(
            site,
            f'each statistics set of "{spec.pattern}" holds {size} value'
            f"{'s' if size == 2 else ''}, {consequence}",
            fix="normalize before the axes become this short, or share statistics over more axes",
            evidence={"set_size": size, "input_shape": list(site.input_shape or ())},
            severity=Severity.ERROR if size == 1 else Severity.WARNING,
        )

"""NS605 dropout-before-batchnorm: the stored variance is that under dropout, not that at inference.

What it finds:
    A dropout that is active in training and feeds a batch normalization, directly or through linear
    layers.

Why it matters:
    Dropout raises the variance of what it lets through. The batch norm stores that variance; at
    inference there is no dropout, and the output is smaller than in training by the root of the
    ratio. The mismatch adds up over layers.

How it is found:
    From the graph in training: products with learned numbers, average pooling, moves, shifts and
    factors may stand between, an activation or a sum of several values may not. A rate of 0.05 or
    less is left alone, and so is a layer norm, which takes its statistics anew at inference.

Measured:
    Normal noise, through the activation before the dropout, is run through the dropout and the
    linear layers with the weights of the model: the variance with dropout, divided by that without.

Known limits:
    The inputs of the dropout are made up; those of a trained model may have other means. Some
    networks reach better accuracy all the same.

Use instead:
    Dropout behind the last batch norm, or before layers whose statistics are not stored.

References:
    arXiv 1801.05134, mlcolvar PR 205
"""

from __future__ import annotations

from collections.abc import Iterator
from math import sqrt

from normscope.audit.finding import Finding, Severity
from normscope.audit.model_graph import ModelGraph, Site
from normscope.audit.rule import Rule, Symptom

_SMALL_RATE = 0.05
_SMALL_RATIO = 1.1
_LARGE_RATIO = 1.5


class DropoutBeforeBatchnorm(Rule):
    code, name, since = "NS605", "dropout-before-batchnorm", "0.1"
    severity = Severity.WARNING
    symptoms = (Symptom.EVALUATION,)

    def check(self, site: Site, graph: ModelGraph) -> Iterator[Finding]:
        stores = graph.one_mode or site.infer is None or site.infer.pattern is None
        if not stores or not site.couples_samples(site.spec) or site.layout is None:
            return
        dropped = site.around.dropped
        if dropped is None or dropped.rate <= _SMALL_RATE:
            return
        kept = [n for n in range(len(site.layout.shape)) if site.word(n) == "independent"]
        ratio = dropped.measuring(kept)
        if ratio is None or ratio < _SMALL_RATIO:
            return
        through = "" if dropped.direct else ", through linear layers"
        yield self.finding(
            site,
            f"{dropped.path} drops {dropped.rate:.2g} of what it is given in training{through}, so "
            f"the stored variance is {ratio:.2f} times the one at inference, where the output is "
            f"then smaller by {sqrt(ratio):.2f}",
            fix=f"move {dropped.path} behind the last batch norm, or use a layer norm here",
            evidence={"dropout": dropped.path, "rate": dropped.rate, "variance_ratio": ratio},
            severity=Severity.WARNING if ratio >= _LARGE_RATIO else Severity.INFO,
        )

"""NS308 running-variance-bessel: inference divides by a larger variance than training did.

What it finds:
    A layer that divides by the biased variance in training, as all do, but stores the unbiased one
    for inference, over sets of at most 10 values whose number does not depend on the batch: the
    instance normalization of PyTorch with track_running_stats=True over a few positions.

Why it matters:
    With n values in a set, what inference divides by is sqrt(n / (n - 1)) of what training divided
    by: 1.41 for two values, 1.05 for ten. Evaluation comes out smaller than training, and a port to
    a framework that stores the biased variance (Keras, Flax, ONNX) does not agree.

How it is found:
    From how a call in training moves the running variance, and the number of values in a set for
    the shape at this place of the model.

Measured:
    n, and sqrt(n / (n - 1)).

Known limits:
    Batch normalization is not reported: with how many samples it was trained is not in the model,
    and the inputs of an audit do not tell it.

Use instead:
    Sets with more values; or instance normalization without running statistics.

References:
    pytorch#1410, pytorch#3122, pytorch#77427, pytorch#60528, tensorflow#55545, keras#10443
"""

from __future__ import annotations

import math
from collections.abc import Iterator

from normscope.audit.finding import Finding, Severity
from normscope.audit.model_graph import ModelGraph, Site
from normscope.audit.rule import Rule, Symptom
from normscope.audit.training_signs import moves_statistics

MOST = 10
"""Values in a set; with more of them it is less than 5 %."""


class RunningVarianceBessel(Rule):
    code, name, since = "NS308", "running-variance-bessel", "0.1"
    severity = Severity.INFO
    symptoms = (Symptom.EVALUATION, Symptom.PORT)

    def check(self, site: Site, graph: ModelGraph) -> Iterator[Finding]:
        running, layout = site.running, site.layout
        if running is None or running.ddof != 1 or layout is None or not moves_statistics(site):
            return
        if site.couples_samples(site.train) is not False or site.infer is None:
            return
        size = layout.set_size
        if size is None or not 2 <= size <= MOST or site.infer.pattern is not None:
            return
        factor = math.sqrt(size / (size - 1))
        yield self.finding(
            site,
            f"each set holds {size} values, and the running variance is the unbiased one: "
            f"inference divides by {factor:.3g} times what training divides by",
            fix="share statistics over more values, or set track_running_stats=False",
            evidence={"set_size": size, "factor": factor},
        )

"""NS313 ema-without-statistics: the weights are an average, the running statistics are not.

What it finds:
    A model whose weights are an average (EMA, SWA, a mean teacher) of those of another, while its
    running statistics are still the initial ones, or are bit for bit those of the other model.

Why it matters:
    The averaged weights give other activations than the statistics were taken of; with initial
    statistics inference does not normalize at all. The average evaluates far below its student.

How it is found:
    With a model to compare with (the student), by comparing scale, bias and statistics of each pair
    of layers: audit(average, inputs, against=student). Without one, NS301 tells of statistics that
    are still the initial ones.

Measured:
    The number of channels whose statistics are the initial ones, or those of the student.

Known limits:
    Many copy the statistics of the student, so that is an info only.
    A student whose own statistics are initial is not an example to compare with.

Use instead:
    Average or copy the buffers too (use_buffers=True), or run torch.optim.swa_utils.update_bn over
    some data before evaluation.

References:
    pytorch/ignite#2590, MixMatch-pytorch#16, boschresearch/OASIS#21, ema-pytorch#8, timm#245,
    pytorch_ema#13, sb3-contrib PR 99
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from normscope.audit.finding import Finding, Severity
from normscope.audit.model_graph import ModelGraph, Site
from normscope.audit.rule import Intent, Rule, Symptom
from normscope.audit.training_signs import has_initial_statistics


class EmaWithoutStatistics(Rule):
    code, name, since = "NS313", "ema-without-statistics", "0.1"
    severity = Severity.ERROR
    symptoms = (Symptom.EVALUATION,)
    intents = (Intent.TRAIN_MODE_TEACHER,)

    def check(self, site: Site, graph: ModelGraph) -> Iterator[Finding]:
        mean, var = site.stored("running_mean"), site.stored("running_var")
        if mean is None or var is None:
            return
        initial = has_initial_statistics(site)
        other = graph.counterpart(site)
        if other is None or not _differ(site, other):
            return
        theirs = other.stored("running_mean"), other.stored("running_var")
        if theirs[0] is None or theirs[1] is None or has_initial_statistics(other):
            return
        if initial:
            yield self._finding(
                site,
                "its weights are others than those of the model that it is compared with, but its "
                "running statistics are still mean 0 and variance 1, and those are not",
                "initial",
            )
        elif np.array_equal(mean, theirs[0]) and np.array_equal(var, theirs[1]):
            yield self._finding(
                site,
                "its weights are others than those of the model that it is compared with, but its "
                "running statistics are bit for bit the same",
                "copied",
            )

    def _finding(self, site: Site, message: str, statistics: str) -> Finding:
        return self.finding(
            site,
            message,
            fix="average the buffers too (use_buffers=True), or run update_bn over some data",
            evidence={"statistics": statistics, "values": int(site.arrays["running_mean"].size)},
            severity=Severity.ERROR if statistics == "initial" else Severity.INFO,
        )


def _differ(site: Site, other: Site) -> bool:
    """Whether scale or bias of two layers, of the same shape, are not the same numbers."""
    pairs = [(site.stored(role), other.stored(role)) for role in ("scale", "bias")]
    both = [(one, two) for one, two in pairs if one is not None and two is not None]
    return any(one.shape == two.shape and not np.array_equal(one, two) for one, two in both)

"""NS307 statistics-lag: much of the running statistics is still the initial 0 and 1.

What it finds:
    Running statistics after so few updates, for how slowly they move, that 5 % or more of them are
    still the mean 0 and variance 1 with which they began, in a model whose parameters were trained.

Why it matters:
    A decay of 0.99 needs about 300 updates until 5 % are left and 460 until 1 % is. Evaluation
    before that uses statistics that are not those of the data: validation looks broken while
    training is fine, and early stopping fires.

How it is found:
    The counter of updates (num_batches_tracked in PyTorch, the steps of the optimizer in Keras)
    and the decay of the layer tell the share: decay ** updates. No stored variance can be below
    that share; where one is, the statistics did not begin with 1, and nothing is said.

Measured:
    The share of the initial values, and the smallest stored variance without it.

Known limits:
    A model early in its training has this and grows out of it. Flax and ONNX count nothing.

Use instead:
    A faster decay (0.9 in Keras and Flax, momentum 0.1 in PyTorch), more steps, or statistics that
    are estimated anew over some data before evaluation.

References:
    tensorflow#1122, keras#7265, keras#6977, tensorflow#33771, chemprop#607
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from normscope.audit.finding import Finding, Severity
from normscope.audit.model_graph import ModelGraph, Site
from normscope.audit.rule import Intent, Rule, Symptom
from normscope.audit.training_signs import (
    decay_of,
    has_initial_statistics,
    moves_statistics,
    was_trained,
)
from normscope.wording import counted

LEAST = 0.05
"""The share of initial values that is worth telling."""


class StatisticsLag(Rule):
    code, name, since = "NS307", "statistics-lag", "0.1"
    severity = Severity.WARNING
    symptoms = (Symptom.EVALUATION,)
    intents = (Intent.RE_ESTIMATION,)

    def check(self, site: Site, graph: ModelGraph) -> Iterator[Finding]:
        updates, decay = site.condition.updates, decay_of(site)
        var = site.stored("running_var")
        if not updates or decay is None or not 0 < decay < 1 or var is None or var.size == 0:
            return
        share = decay**updates
        least = float(var.min())
        if share < LEAST or not np.isfinite(least) or least < share * (1 - 1e-3):
            return
        if has_initial_statistics(site) or not moves_statistics(site):
            return
        if not was_trained(site, graph):
            return
        without = max(least - share, 0.0) / (1 - share)
        yield self.finding(
            site,
            f"after {counted(updates, 'update')}, each of which keeps {decay:.4g} of the old "
            f"values, {share:.0%} of the running statistics are still the initial 0 and 1: a "
            f"stored variance of {least:.3g} stands for one of {without:.3g}",
            fix="re-estimate the statistics over some data, or let them move faster",
            evidence={
                "updates": updates,
                "decay": decay,
                "initial_share": share,
                "least_variance": least,
                "without_initial": without,
            },
        )

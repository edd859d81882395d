"""NS309 swa-or-edited-weights-stale-statistics: stored statistics that are not those of the data.

What it finds:
    Running statistics that differ from what the layer is given at inference: weights were averaged
    (SWA), pruned, merged or edited after the statistics had been taken, or the data are others than
    those of training.

Why it matters:
    Inference normalizes by the statistics of another model. Averaged and pruned networks have "very
    poor" accuracy until their statistics are taken anew, by one pass over some data.

How it is found:
    Only with data, audit(model, inputs, data=samples): the model is run on them at inference, and
    at each layer the mean and variance of what comes in are compared with the stored ones. Inputs
    that are given for their shapes are never used for it.

Measured:
    How far the means are off, in stored standard deviations (root mean square over the channels),
    and by which factor the variances are (median). From 1 deviation or a factor of 4 on it is an
    error, from 0.5 or 2 on a warning, above what the number of samples explains by chance.

Known limits:
    At least 16 samples are needed. A shift of the data is told as well, as it looks the same. A
    layer behind one that is off is off too. Layers that take more than one input, and functional
    calls, are not observed.

Use instead:
    Re-estimate the statistics over some data: torch.optim.swa_utils.update_bn; in Keras calls with
    training=True; in Flax calls that keep the new statistics.

References:
    mosaicml/composer#624, timgaripov/swa#7, leela-zero PR 1090, keras-swa PR 2, L-OBS#14,
    filter-pruning-geometric-median#27
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from normscope.audit.finding import Finding, Severity
from normscope.audit.model_graph import ModelGraph, Site
from normscope.audit.rule import Intent, Rule, Symptom
from normscope.audit.training_signs import has_initial_statistics

_FEWEST = 16
"""Values in a statistics set."""


class SwaOrEditedWeightsStaleStatistics(Rule):
    code, name, since = "NS309", "swa-or-edited-weights-stale-statistics", "0.1"
    severity = Severity.ERROR
    symptoms = (Symptom.EVALUATION, Symptom.FINETUNING)
    intents = (Intent.RE_ESTIMATION, Intent.TEST_TIME_ADAPTATION, Intent.TRAIN_MODE_TEACHER)

    def check(self, site: Site, graph: ModelGraph) -> Iterator[Finding]:
        seen, mean, var = site.observed, site.stored("running_mean"), site.stored("running_var")
        if seen is None or mean is None or var is None or has_initial_statistics(site):
            return
        if seen.count < _FEWEST or not mean.size == var.size == seen.mean.size:
            return
        spread = np.ravel(var).astype(np.float64)
        if site.running is not None and site.running.deviation:
            spread = spread**2
        eps = site.spec.eps if site.spec is not None else 0.0
        spread = spread + eps
        if not np.all(np.isfinite(spread)) or np.any(spread <= 0):
            return  # unusable-running-variance says it
        shifts = np.abs(seen.mean - np.ravel(mean)) / np.sqrt(spread)
        ratios = (seen.var + eps) / spread
        if not np.all(np.isfinite(shifts)) or np.any(ratios <= 0):
            return
        shift = float(np.sqrt(np.mean(shifts**2)))
        factor = float(np.exp(np.median(np.abs(np.log(ratios)))))
        chance = 3 * float(np.sqrt(np.mean(ratios) / seen.count))
        if shift < 0.5 + chance and factor < 2:
            return
        severe = shift >= 1 + chance or factor >= 4
        yield self.finding(
            site,
            f"on the data its input is not what its running statistics say: the means are off by "
            f"{shift:.2g} standard deviations, the variances by a factor of {factor:.3g}",
            fix="take the statistics anew in one pass over some data (update_bn)",
            evidence={"shift": shift, "factor": factor, "values": seen.count},
            severity=Severity.ERROR if severe else Severity.WARNING,
        )

"""NS301 running-statistics-never-updated: the parameters are trained, the statistics are not.

What it finds:
    Stored running statistics that are exactly the initial ones, mean 0 and variance 1 (or deviation
    1, before Keras 1.0.7), beside a scale or bias that is not the initial one.

Why it matters:
    Training uses batch statistics and looks perfect; inference then does not normalize at all.

How it is found:
    By comparing the stored arrays with 0 and 1. Training moves the scale and the bias: a bias that
    is exactly 0 beside a scale whose numbers all differ is a model that was just made.

Measured:
    The number of channels whose mean and variance are the initial ones (all of them), and which
    parameters moved.

Known limits:
    An untrained model holds initial parameters too and is not reported; a scale of 0 throughout, as
    in the last layer of a residual block, is initial too. A model of a few layers whose scale and
    bias were both drawn at random is not told from a trained one; from four layers on it is, where
    scales were drawn around zero. A layer that was frozen at its initial parameters is not
    reported.

Use instead:
    Run the update operations in training (in a loop of your own in Keras, call the model with
    training=True; in JAX keep the new statistics that a call returns); or re-estimate the
    statistics over some data, as torch.optim.swa_utils.update_bn does.

References:
    tensorflow#11965, tensorflow#10118, tensorflow#16455, keras#13316, ageron/handson-ml#56,
    facebookresearch/higher#55
"""

from __future__ import annotations

from collections.abc import Iterator

from normscope.audit.finding import Finding, Severity
from normscope.audit.model_graph import ModelGraph, Site
from normscope.audit.rule import Intent, Rule, Symptom
from normscope.audit.training_signs import has_initial_statistics, moved, was_drawn


class RunningStatisticsNeverUpdated(Rule):
    code, name, since = "NS301", "running-statistics-never-updated", "0.1"
    severity = Severity.ERROR
    symptoms = (Symptom.EVALUATION, Symptom.PORT)
    intents = (Intent.RE_ESTIMATION, Intent.TEST_TIME_ADAPTATION)

    def check(self, site: Site, graph: ModelGraph) -> Iterator[Finding]:
        if not has_initial_statistics(site):
            return
        found = list(moved(site))
        if not found or was_drawn(graph):
            return
        spread = "deviation" if site.running is not None and site.running.deviation else "variance"
        yield self.finding(
            site,
            f"the stored running statistics are still mean 0 and {spread} 1, but the "
            f"{' and '.join(found)} moved: at inference nothing is normalized",
            fix="run the updates of the layer in training, or re-estimate the statistics over data",
            evidence={"values": int(site.arrays["running_mean"].size), "moved": found},
        )

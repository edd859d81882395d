"""NS302 batch-statistics-at-inference: a prediction depends on the other samples of its batch.

What it finds:
    A layer that takes its statistics from the batch at inference too: Keras 1
    BatchNormalization(mode=2), and any layer without running statistics whose statistics sets
    span the samples. And a layer that a model of Keras calls with training=True, written down in
    the model: it takes the running statistics only where the whole model is called with
    training=False.

Why it matters:
    The same sample gets another prediction in another batch. A batch of one sample gives, for
    features without positions, the bias alone. Test sets sorted by class leak their labels.

How it is found:
    From what the layer computes at inference, as it was followed; of a file of Keras 1, from the
    inference mode that the settings of the layer declare. The mode that is written down in the
    model is read from the call of the layer.

Measured:
    The number of values in a statistics set where the batch is one sample, for the shape at this
    place of the model; 1 means that a sample that is predicted alone comes out as the bias.

Known limits:
    Meant so in some GANs, in style transfer and in test-time adaptation: declare that intent.

Use instead:
    Running statistics (mode 0, today's BatchNormalization), or statistics within one sample.

References:
    keras#5162, keras#10210, ArdhenduBehera/cap#8, skip-ganomaly#11, pytorch#58986, coinrun#41
"""

from __future__ import annotations

from collections.abc import Iterator

from normscope.audit.finding import Finding, Severity
from normscope.audit.model_graph import ModelGraph, Site
from normscope.audit.rule import Intent, Rule, Symptom
from normscope.notation.shape import product
from normscope.notation.spec import Measure


class BatchStatisticsAtInference(Rule):
    code, name, since = "NS302", "batch-statistics-at-inference", "0.1"
    severity = Severity.ERROR
    symptoms = (Symptom.BATCH, Symptom.EVALUATION)
    intents = (Intent.TRANSDUCTIVE, Intent.TEST_TIME_ADAPTATION)

    def check(self, site: Site, graph: ModelGraph) -> Iterator[Finding]:
        if site.infer is None:
            return
        if not site.couples_samples(site.infer):
            if site.condition.told and site.couples_samples(site.train):
                yield self._written_down(site)
            return
        if not site.infer.center and site.infer.measure in (Measure.L1, Measure.L2):
            return  # lengths of vectors: l2-normalize-dim says it
        alone = _values_of_one_sample(site)
        erased = "; a sample predicted alone comes out as the bias" if alone == 1 else ""
        yield self.finding(
            site,
            "at inference, too, mean and variance are those of the batch, so a prediction changes "
            f"with the other samples in it{erased}",
            fix=f"use a layer with running statistics ({graph.advice.running_statistics}), or one "
            "whose statistics lie within one sample",
            evidence={"pattern": site.infer.pattern, "set_size_at_batch_1": alone},
        )

    def _written_down(self, site: Site) -> Finding:
        """The finding at a layer that is told to train, in a model that is called at inference."""
        alone = _values_of_one_sample(site)
        return self.finding(
            site,
            "training=True is written into the model at this layer: model(x) takes mean and "
            "variance of the batch, so a prediction changes with the other samples in it; only "
            "model(x, training=False) and predict(x) take the running ones",
            fix="call the layer without training=True; what calls the model then tells it the mode",
            evidence={
                "pattern": site.train.pattern if site.train is not None else None,
                "set_size_at_batch_1": alone,
            },
        )


def _values_of_one_sample(site: Site) -> int | None:
    """How many values a statistics set holds when the batch is a single sample."""
    spec = site.infer if site.infer is not None and site.infer.pattern else site.train
    if spec is None or site.input_shape is None or site.sample_axes is None:
        return None
    axes = spec.layout(site.input_shape).axes
    return product([a.size for a in axes if a.shared and a.dim not in site.sample_axes])

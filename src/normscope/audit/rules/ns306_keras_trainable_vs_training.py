"""NS306 keras-trainable-vs-training: trainable=False decides the mode, whatever training says.

What it finds:
    A BatchNormalization of Keras with trainable=False, in inference mode in fit() too; the same
    with training=True written into its call, which then has no effect; and a class of one's own
    that overrides the call of BatchNormalization, which decides by itself.

Why it matters:
    In Keras 1 and 2 a frozen layer still used and updated the statistics of the batch; since
    TensorFlow 2 and in Keras 3 it does not. Recipes of fine-tuning that were written for the one
    do something else in the other, and classes that work around the old behaviour outlive it.

How it is found:
    By following the model in training mode: which layers take statistics of the batch. What calls
    and classes say is read from the model.

Measured:
    The mode in which the layer runs in fit(): "inference" where it was seen to use its moving
    statistics, "training" where it takes those of the batch.

Known limits:
    It tells what is so, which may be just what is wanted: an info, but for training=True without
    effect, which is a warning.

Use instead:
    trainable=False alone to freeze a layer in Keras 3; and the layer of Keras in the place of a
    class that overrides its call.

References:
    keras PR 9965, keras#9522, keras#7085, keras#6570, yolov3-tf2 PR 188, keras-resnet PR 31,
    tensorflow/models#9538
"""

from __future__ import annotations

from collections.abc import Iterator

from normscope.audit.finding import Finding, Severity
from normscope.audit.model_graph import ModelGraph, Site
from normscope.audit.rule import Intent, Rule, Symptom
from normscope.audit.training_signs import takes_batch_statistics


class KerasTrainableVsTraining(Rule):
    code, name, since = "NS306", "keras-trainable-vs-training", "0.1"
    severity = Severity.INFO
    symptoms = (Symptom.FROZEN, Symptom.FINETUNING, Symptom.PORT)
    intents = (Intent.RE_ESTIMATION,)

    def check(self, site: Site, graph: ModelGraph) -> Iterator[Finding]:
        stands = site.condition
        if graph.framework != "keras" or site.stored("running_mean") is None:
            return
        by_batch = takes_batch_statistics(site)
        mode = "training" if by_batch else "inference"
        evidence = {"mode_in_fit": mode, "trainable": stands.trainable, "told": stands.told}
        if stands.overrides:
            yield self.finding(
                site,
                f"{site.type} overrides the call of {stands.overrides}; with "
                f"trainable={stands.trainable is not False} it runs in {mode} mode in fit()",
                fix=f"use {stands.overrides} itself: in Keras 3 trainable=False freezes its "
                "statistics too",
                evidence=evidence,
            )
        elif stands.trainable is False and not by_batch:
            yield self.finding(
                site,
                "its call says training=True, but trainable=False keeps it in inference mode: it "
                "uses its moving statistics, and they stay as they are"
                if stands.told
                else "trainable=False keeps it in inference mode in fit() too; in Keras 1 and 2 it "
                "would use the statistics of the batch, and update the moving ones",
                fix="leave out training=True to keep it frozen, or set trainable=True to have "
                "statistics of the batch"
                if stands.told
                else "leave it so to keep the statistics; set trainable=True and freeze gamma and "
                "beta alone to have the old behaviour",
                evidence=evidence,
                severity=Severity.WARNING if stands.told else Severity.INFO,
            )

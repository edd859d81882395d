"""NS305 frozen-but-updating: the parameters of a layer are frozen, its running statistics are not.

What it finds:
    A normalization with running statistics none of whose own parameters is learned (of one without
    any: none of the layer around it), but which is in training mode: it uses the statistics of the
    batch, and each call rewrites the running ones.

Why it matters:
    The "frozen" part drifts away from what it was trained to be: features change from batch to
    batch, a checkpoint that claims to hold the original is another, results cannot be reproduced.

How it is found:
    From the state in which the model was given: requires_grad of the parameters and the mode of
    the layer in PyTorch; in Keras, variables that are not trainable in a layer that is. That the
    statistics would move is what a call in training mode does.

Measured:
    The share of each running statistic that one training step replaces.

Known limits:
    A teacher that is called in training mode beside its student, as in BYOL and MoCo, is told by
    its name (teacher, target, ema, momentum, key) and a learned twin at the same place of another
    part, and not reported; one of another name needs the intent train-mode-teacher. A model nothing
    of which is learned is a warning only: it may be a teacher that is called in
    training mode, or have been frozen for a look at it. What an optimizer of JAX leaves out does
    not show in the model.

Use instead:
    Call .eval() on the frozen layers after every .train() of the model (override train() of the
    model), or use a frozen batch normalization; in Keras set trainable=False on the layer.

References:
    pytorch#86590, pytorch#66073, pytorch#9046, lightly#1438, chemprop PR 952,
    isht7/pytorch-deeplab-resnet#39
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from normscope.audit.finding import Finding, Severity
from normscope.audit.model_graph import ModelGraph, Site
from normscope.audit.rule import Intent, Rule, Symptom
from normscope.audit.training_signs import decay_of, moves_statistics

_TEACHERS = re.compile(r"teacher|target|ema|momentum|averaged?|(^|_)(k|key)$", re.IGNORECASE)
"""In the name of a part that follows another one."""


class FrozenButUpdating(Rule):
    code, name, since = "NS305", "frozen-but-updating", "0.1"
    severity = Severity.ERROR
    symptoms = (Symptom.FROZEN, Symptom.FINETUNING)
    intents = (Intent.RE_ESTIMATION, Intent.TRAIN_MODE_TEACHER)

    def check(self, site: Site, graph: ModelGraph) -> Iterator[Finding]:
        stands = site.condition
        if stands.trainable is not False or stands.training is False or not moves_statistics(site):
            return
        if _teaches(site, graph):
            return
        decay = decay_of(site)
        share = None if decay is None else round(1 - decay, 6)
        keras = graph.framework == "keras"
        yield self.finding(
            site,
            "its parameters are frozen, but "
            + ("its layer is trainable" if keras else "it is in training mode")
            + ": it normalizes by each batch, and "
            + (
                "its running statistics move"
                if share is None
                else f"{share:.3g} of its running statistics is replaced"
            )
            + " at every step",
            fix="set trainable=False on the layer itself"
            if keras
            else "call .eval() on it after every .train() of the model, or replace it by a frozen "
            "batch normalization",
            evidence={"share_per_step": share, "updates": stands.updates},
            severity=Severity.ERROR if stands.learning is not False else Severity.WARNING,
        )


def _teaches(site: Site, graph: ModelGraph) -> bool:
    """Whether it stands in a part with the name of a teacher that has a learned twin elsewhere."""
    parts = re.split(r"[./]", site.path)
    for place, part in enumerate(parts):
        if not _TEACHERS.search(part):
            continue
        for other in graph.sites:
            theirs = re.split(r"[./]", other.path)
            alike = theirs[:place] == parts[:place] and theirs[place + 1 :] == parts[place + 1 :]
            if alike and other.condition.trainable and other.type == site.type:
                return True
    return False

"""NS310 double-update: a training step updates running statistics more than once by the same data.

What it finds:
    A layer whose running statistics move more often in one training step than it is given different
    inputs: activation checkpointing runs it again in the backward pass, or the model calls it twice
    with the same numbers.

Why it matters:
    A step with share m of the newest batch then has 1 - (1 - m)^2 of it: the effective momentum
    doubles, runs with and without checkpointing do not reproduce each other, and the last batches
    weigh more at evaluation.

How it is found:
    Where layers run more than once or under torch.utils.checkpoint, or where the program names a
    checkpoint, which may need gradients to be reached, one step is made, forward and backward, and
    the counter of each layer (num_batches_tracked) is compared with the number of different inputs.
    In other frameworks, from calls of a layer with the very same value.

Measured:
    Updates and different inputs in one step.

Known limits:
    Gradient accumulation is not a double update, and none is made here. Extra forward passes that
    the training loop makes do not show in the model.

Use instead:
    A batch normalization that knows of checkpointing and leaves out the second update; or the
    momentum 1 - sqrt(1 - m) in PyTorch; and call the layer once and use its output twice.

References:
    pytorch#96136, pytorch#62471, fairscale#1035, pytorch-pfn-extras PR 117, insightface#2053
"""

from __future__ import annotations

import math
from collections.abc import Iterator

from normscope.audit.finding import Finding, Severity
from normscope.audit.model_graph import ModelGraph, Site
from normscope.audit.rule import Intent, Rule, Symptom
from normscope.audit.training_signs import decay_of
from normscope.wording import counted


class DoubleUpdate(Rule):
    code, name, since = "NS310", "double-update", "0.1"
    severity = Severity.WARNING
    symptoms = (Symptom.EVALUATION,)
    intents = (Intent.RE_ESTIMATION,)

    def check(self, site: Site, graph: ModelGraph) -> Iterator[Finding]:
        updates, inputs = site.condition.updates_per_step, site.condition.inputs_per_step
        if updates is None or not inputs or updates <= inputs or site.call_number > 1:
            return
        decay = decay_of(site)
        times = updates / inputs
        share, effect, momentum = None, "", ""
        if decay is not None:
            share = 1 - decay**times
            effect = f": {share:.3g} of them is replaced, not {1 - decay:.3g}"
            instead = 1 - math.pow(decay, 1 / times)
            momentum = f", or let an update take {instead:.4g} of the batch"
        yield self.finding(
            site,
            f"one training step updates its running statistics {counted(updates, 'time')} from "
            f"{counted(inputs, 'different input')}{effect}",
            fix=f"leave out the updates of what is run again{momentum}",
            evidence={"updates": updates, "inputs": inputs, "share": share},
        )

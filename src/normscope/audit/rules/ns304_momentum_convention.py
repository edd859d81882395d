"""NS304 momentum-convention: running statistics that are little more than the last batch.

What it finds:
    A running mean and variance of which an update keeps less than half. PyTorch calls the share of
    the new batch momentum (0.1); Keras, Flax and ONNX call that of the old statistics so (0.99,
    0.99, 0.9). A number that was copied from one to the other means the opposite.

Why it matters:
    Inference then uses the statistics of the last batch, or of a few: predictions depend on which
    samples training ended with, and validation jumps from epoch to epoch.

How it is found:
    From the momentum that the layer, the functional call, or the attribute of the file states, and
    else from what a call in training makes of the running statistics.

Measured:
    The share of the newest batch in the statistics after an update.

Known limits:
    A momentum that takes the newest batch whole, or nothing of it, is meant so in calibration and
    meta-learning and is not reported; nor is momentum=None of PyTorch, the average of all batches.
    Numbers on the right side of one half that are still far from usual ones are not either.

Use instead:
    One minus the number: momentum=0.1 in PyTorch is momentum=0.9 in Keras, Flax and ONNX.

References:
    r9y9/tacotron_pytorch#19, kazuto1011/deeplab-pytorch#79, KAIR#132, EfficientNet-PyTorch#3,
    titu1994/Wide-Residual-Networks#21, pytorch#41559, ludwig PR 2100
"""

from __future__ import annotations

from collections.abc import Iterator

from normscope.audit.finding import Finding, Severity
from normscope.audit.model_graph import ModelGraph, Site
from normscope.audit.rule import Intent, Rule, Symptom
from normscope.audit.training_signs import decay_of

_NEW_SHARE = ("torch", "torch_geometric")
"""The frameworks in which momentum is the share of the newest batch."""


class MomentumConvention(Rule):
    code, name, since = "NS304", "momentum-convention", "0.1"
    severity = Severity.WARNING
    symptoms = (Symptom.EVALUATION, Symptom.PORT)
    intents = (Intent.RE_ESTIMATION, Intent.TEST_TIME_ADAPTATION)

    def check(self, site: Site, graph: ModelGraph) -> Iterator[Finding]:
        decay = decay_of(site)
        if decay is None or not 1e-6 < decay < 0.5 - 1e-6:
            return
        decay = round(decay, 6)
        new = round(1 - decay, 6)
        stated, meant = (new, decay) if graph.framework in _NEW_SHARE else (decay, new)
        yield self.finding(
            site,
            f"momentum={stated:g} makes {_percent(new)} of the running statistics those of the "
            f"newest batch; by the convention of {_others(graph)} it would be {_percent(decay)}",
            fix=f"momentum={meant:g} was probably meant: {graph.advice.framework} calls the share "
            f"of the {'new batch' if graph.framework in _NEW_SHARE else 'old statistics'} momentum",
            evidence={"momentum": stated, "newest_share": new, "meant": meant},
        )


def _others(graph: ModelGraph) -> str:
    return "Keras, Flax and ONNX" if graph.framework in _NEW_SHARE else "PyTorch"


def _percent(share: float) -> str:
    return f"{100 * share:.3g} %"

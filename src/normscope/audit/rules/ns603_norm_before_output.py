"""NS603 norm-before-output: a batch norm is the last layer, or stands right before softmax.

What it finds:
    A batch normalization whose output is the model's output through a softmax, a sigmoid or a tanh,
    or that is itself a prediction of a few numbers.

Why it matters:
    In training the mean of each output over a batch is fixed to the bias and its spread to the
    scale, whatever the targets of that batch are: a batch of positives alone gets the scores of a
    mixed one. At inference the running statistics decide where the threshold lies.

How it is found:
    From the graph: between the normalization and the output there is nothing but a bounding
    function, moves and casts. Statistics within one sample are left alone, and so are embeddings:
    a direct output of more than a few numbers is taken for one.

Measured:
    The bias of the layer: in training that is the mean of each of its outputs over any batch.

Known limits:
    Kept on purpose where it helps: binary networks, cosine heads, some metric learning.

Use instead:
    A dense layer or convolution with a bias as the last one.

References:
    fastai2#107, attalos PR 89, DAN#14, BayesBiNN#1
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from normscope.audit.finding import Finding, Severity
from normscope.audit.model_graph import ModelGraph, Site
from normscope.audit.rule import Rule, Symptom
from normscope.graph.operators import Role

_MOST_NUMBERS = 4
"""A direct output of a dense layer with more numbers is taken for an embedding."""

_MOST_CHANNELS = 3
"""A direct output of a convolution with more channels is taken for a feature map."""


class NormBeforeOutput(Rule):
    code, name, since = "NS603", "norm-before-output", "0.1"
    severity = Severity.WARNING
    symptoms = (Symptom.EVALUATION, Symptom.LEARNING, Symptom.BATCH)

    def check(self, site: Site, graph: ModelGraph) -> Iterator[Finding]:
        last = _what_follows(site)
        if last is None or not site.couples_samples(site.spec):
            return
        bias = site.stored("bias")
        values = np.zeros(1) if bias is None or not bias.size else np.asarray(bias, np.float64)
        low, high = float(values.min()), float(values.max())
        mean = f"{low:.3g}" if low == high else f"between {low:.3g} and {high:.3g}"
        yield self.finding(
            site,
            f"it is the last layer before {last}: in training the mean of each output over the "
            f"batch is its bias, {mean}, whatever the targets are",
            fix="end with a dense layer or convolution that has a bias, without a batch norm",
            evidence={"before": last, "mean_low": low, "mean_high": high},
        )


def _what_follows(site: Site) -> str | None:
    """What stands between a site and the output of the model, in words; None if something else."""
    if not site.spec or not site.spec.center or site.input_shape is None:
        return None
    steps = site.around.to_output
    if steps is None:
        return None
    roles = {step.role for step in steps}
    if Role.SOFTMAX in roles or {Role.EXPONENTIAL, Role.STATISTIC} <= roles:
        return "a softmax"
    if roles and roles <= {Role.SQUASH}:
        return f"the output, through {steps[-1].operator}"
    return "the output" if not roles and _is_prediction(site) else None


def _is_prediction(site: Site) -> bool:
    """Whether the site gives a few numbers, made by a product of its own."""
    made = [maker for maker in site.makers if maker.channel_axis is not None and maker.direct]
    if len(made) != 1 or len(site.makers) != 1 or made[0].channel_axis is None:
        return False
    assert site.input_shape is not None
    most = _MOST_CHANNELS if made[0].convolves else _MOST_NUMBERS
    length = site.input_shape[made[0].channel_axis]
    return length is not None and length <= most

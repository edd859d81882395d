"""NS801 training-mode-norm: an exported model normalizes, or drops, as in training.

What it finds:
    A batch normalization in an ONNX file or exported program that takes mean and variance from the
    batch, and a dropout there that still sets elements to zero.

Why it matters:
    An exported file is run as it is: nothing switches it to inference. Each prediction then depends
    on the others in its batch, one sample alone gives constants, and runtimes find outputs that
    nobody asked for.

How it is found:
    From what the operator computes: `training_mode=1`, before opset 14 its further outputs, in an
    exported program the operator of training. It is confirmed by running the site.

Measured:
    By how much the output of one sample changes when the others in its batch are replaced, in
    standard deviations of the output; of a dropout, the share of elements that it sets to zero.

Known limits:
    A file that is meant to be trained further is right as it is. Instance normalization that an
    exporter writes as a batch normalization of a reshaped input keeps samples apart, and is not
    reported. The share that a dropout sets to zero is known next to normalizations only.

Use instead:
    `model.eval()` before the export, with `track_running_stats=True` while training; for the old
    exporter of torch, `training=TrainingMode.EVAL`.

References:
    pytorch#75252, pytorch#53887, onnxscript#1262, nnUNet#2040, fast-reid#727, onnxruntime#26584
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from normscope.audit.finding import Finding, Severity
from normscope.audit.model_graph import Kind, ModelGraph, Site
from normscope.audit.probe import Probe
from normscope.audit.rule import Intent, Rule, Symptom
from normscope.notation.spec import Measure


class TrainingModeNorm(Rule):
    code, name, since = "NS801", "training-mode-norm", "0.1"
    severity = Severity.ERROR
    symptoms = (Symptom.BATCH, Symptom.DEPLOYMENT, Symptom.EVALUATION)
    intents = (Intent.TRANSDUCTIVE, Intent.TEST_TIME_ADAPTATION)

    def check(self, site: Site, graph: ModelGraph) -> Iterator[Finding]:
        if not is_exported(graph) or site.probe is None or site.kind is not Kind.NORMALIZATION:
            return
        spec = site.infer or site.train
        if spec is None or spec.measure != Measure.VARIANCE or not site.couples_samples(spec):
            return
        if "batch" not in site.operator.lower():
            return
        change = site.probe.once(change_by_others)
        if not change:
            return
        yield self.finding(
            site,
            f"{site.operator} was exported in training mode and takes its statistics from the "
            f"batch: with other samples beside it, the output of a sample changes by {change:.2g} "
            "standard deviations",
            fix="export the model from eval(), with running statistics",
            evidence={"operator": site.operator, "change": change},
        )

    def check_model(self, graph: ModelGraph) -> Iterator[Finding]:
        if not is_exported(graph):
            return
        steps = [s for site in graph.sites for s in (*site.around.between, *site.around.users)]
        rates: dict[str, float | None] = dict.fromkeys(graph.drops_at_inference)
        rates.update({step.path: step.drops for step in steps if step.drops})
        for path, rate in rates.items():
            share = "a part" if rate is None else f"{rate:.0%}"
            yield self.finding(
                path,
                f"a dropout was exported in training mode: it sets {share} of its input to zero at "
                "random",
                fix="export the model from eval()",
                evidence={"drops": rate},
            )


def is_exported(graph: ModelGraph) -> bool:
    """Whether it is a file or program that nothing switches to another mode."""
    return graph.framework == "onnx" or "exported" in graph.details


def change_by_others(probe: Probe) -> float | None:
    """How far the first sample moves when the others are replaced, beside the spread of y."""
    shape = probe.small
    if shape is None or not shape or shape[0] < 2:
        return None
    rng = np.random.default_rng(0)
    x = rng.standard_normal(shape)
    others = np.concatenate([x[:1], 2 + 3 * rng.standard_normal((shape[0] - 1, *shape[1:]))])
    y, z = probe.bare(x, training=True), probe.bare(others, training=True)
    if y is None or z is None or not (np.isfinite(y).all() and np.isfinite(z).all()):
        return None
    spread = float(y.std())
    return float(np.abs(y[0] - z[0]).max()) / spread if spread else None

"""NS502 keras-rms-scaling: x is divided by its deviation, but its mean is not subtracted.

What it finds:
    A normalization with a learned scale that divides x, as it is, by the deviation from the mean:
    Keras' LayerNormalization(rms_scaling=True), or the same by hand.

Why it matters:
    It looks like RMS normalization, which divides by the root of the mean square. Where the mean is
    not 0 the two differ by a large factor, and a constant row is divided by the root of eps alone.

How it is found:
    By running the layer: the formula that reproduces it is x / sqrt(var(x) + eps).

Measured:
    How many times as large as those of RMS normalization its outputs are, on a row whose mean is
    three times its deviation.

Known limits:
    Checkpoints that were trained with it need it. What is divided by a deviation without a learned
    scale, as amplitudes are, is not taken for a mistake.

Use instead:
    keras.layers.RMSNormalization, or layer normalization, and train again.

References:
    keras#21234, keras PR 20911, keras PR 21352
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from normscope.audit.finding import Finding, Severity
from normscope.audit.model_graph import Kind, ModelGraph, Site
from normscope.audit.rule import Rule, Symptom
from normscope.notation.spec import Measure
from normscope.reference import reference

ROW = 64
"""Elements of the row of numbers on which formulas are compared, where a set has more."""


class KerasRmsScaling(Rule):
    code, name, since = "NS502", "keras-rms-scaling", "0.1"
    severity = Severity.WARNING
    symptoms = (Symptom.PORT,)

    def check(self, site: Site, graph: ModelGraph) -> Iterator[Finding]:
        spec = site.spec
        if spec is None or site.kind is not Kind.NORMALIZATION or spec.scale is None:
            return
        if spec.center or spec.measure is not Measure.VARIANCE or spec.running is not None:
            return
        factor = _times(spec.eps, spec.eps_outside)
        instead = (
            graph.advice.layer(replace(spec, measure=Measure.MEAN_SQUARE), site.layout)
            if (site.layout is not None)
            else None
        )
        yield self.finding(
            site,
            "x is divided by its deviation from the mean, but the mean is not subtracted: on a row "
            f"whose mean is three times its deviation the outputs are {factor:.3g} times those of "
            "RMS normalization",
            fix=f"for RMS normalization write {instead.code}"
            if instead is not None
            else "divide by the root of the mean square, or subtract the mean too",
            evidence={"times": factor, "eps": spec.eps},
        )


def _times(eps: float, eps_outside: float) -> float:
    """The outputs of the layer in multiples of those of RMS normalization."""
    row = np.random.default_rng(0).standard_normal(ROW)
    row = (row - row.mean()) / row.std() + 3
    fields = {"center": False, "eps": eps, "eps_outside": eps_outside}
    own = reference(row, "[c]", measure="variance", **fields)
    rms = reference(row, "[c]", measure="mean_square", **fields)
    return float(np.abs(own).max() / np.abs(rms).max())

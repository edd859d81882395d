"""NS205 frozen-batchnorm-eps-zero: a stored variance is divided by without an eps.

What it finds:
    A normalization that uses stored statistics in every mode, such as a frozen batch norm of a
    detection model, and adds no eps to the variance.

Why it matters:
    The model was trained with an eps. Without it, channels with a small variance are multiplied by
    far more than in training; with a variance of 0 they are infinite or NaN, in float16 already
    below 6e-8.

How it is found:
    From what the site computes: the factor of each channel is scale / sqrt(variance).

Measured:
    The smallest stored variance, the factor that it gives, and the factor with eps=1e-5.

Known limits:
    Weights that were trained without eps are right as they are. Where statistics and scale were
    merged into one factor no eps can be seen, and nothing is said. Constants by which an input of
    the model is standardized, without scale and bias, need no eps, and are left alone.

Use instead:
    The eps that the model was trained with, usually 1e-5:
    `torchvision.ops.FrozenBatchNorm2d(channels, eps=1e-5)`.

References:
    vision PR 1947, vision#2169, vision#2599, vision PR 2933, vision PR 2940, pytorch#43614,
    detectron2 PR 3160
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from normscope.audit.finding import Finding, Severity
from normscope.audit.model_graph import Kind, ModelGraph, Site
from normscope.audit.rule import Rule, Symptom

_USUAL = 1e-5


class FrozenBatchnormEpsZero(Rule):
    code, name, since = "NS205", "frozen-batchnorm-eps-zero", "0.1"
    severity = Severity.WARNING
    symptoms = (Symptom.NAN, Symptom.FINETUNING, Symptom.PRECISION)

    def check(self, site: Site, graph: ModelGraph) -> Iterator[Finding]:
        spec = site.infer or site.train
        if site.kind is not Kind.STORED or spec is None or spec.pattern is not None:
            return
        if spec.eps or spec.eps_outside or spec.floor or spec.unit_below is not None:
            return
        if _is_entry(site):
            return
        var = site.stored("running_var")
        if var is None or (spec.running is not None and spec.running.deviation):
            return  # a stored deviation may hold the eps already
        var = var.astype(np.float64)
        if not np.isfinite(var).all() or (var < 0).any():
            return
        least = float(var.min())
        with np.errstate(divide="ignore"):
            factor = float(1 / np.sqrt(np.float64(least)))
        usual = float(1 / np.sqrt(least + _USUAL))
        yield self.finding(
            site,
            f"stored statistics are divided by without eps: the smallest variance, {least:.3g}, "
            f"gives a factor of {factor:.3g}, with eps={_USUAL:g} it would be {usual:.3g}",
            fix=f"use the eps that the model was trained with, usually {_USUAL:g}",
            evidence={
                "eps": 0.0,
                "smallest_variance": least,
                "factor": factor if np.isfinite(factor) else None,
                "factor_with_eps": usual,
            },
            severity=Severity.ERROR if least == 0 else Severity.WARNING,
        )


def _is_entry(site: Site) -> bool:
    """Whether it standardizes what no layer has made, and has no scale and bias of its own."""
    return not site.makers and site.stored("scale") is None and site.stored("bias") is None

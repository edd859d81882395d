"""NS804 batchnorm-folding-mistakes: a batch norm before a zero-padded convolution cannot be folded.

What it finds:
    A batch normalization whose output goes straight into a convolution that pads with zeros.

Why it matters:
    Tools merge the scale and shift of a batch norm into the weights of a neighbouring convolution.
    Merged into the convolution after it, the result is exact inside of the image and wrong along
    its border: the padding stands after the shift, where the merged one stands before it. Nothing
    says so, and the accuracy is a little lower.

How it is found:
    By running the convolution on what the batch norm makes of zeros, which is its shift: what a
    folded convolution adds everywhere is what is added in the middle, and along the border the
    model adds less.

Measured:
    The largest error along the border, beside the spread of what the convolution makes of a
    normalized input.

Known limits:
    This says what folding would do; that a tool folds is not seen. A batch norm after a
    convolution folds exactly, and is silent, and so is one whose shift is 0. Maps smaller than the
    window are not judged. To check a folded model, compare it with the original, layer by layer.

Use instead:
    Fold into the convolution before it, pad with -shift / scale in each channel, or do not fold.

References:
    tt-metal PR 5317, aimet PR 2587, AlexeyAB/darknet#5069, nncf#88, pytorch PR 26624
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from normscope.audit.finding import Finding, Severity
from normscope.audit.model_graph import ModelGraph, Site
from normscope.audit.rule import Rule, Symptom
from normscope.audit.surroundings import Step
from normscope.graph.operators import Role

_LEAST = 1e-3
"""Of a standard deviation; less is not seen in half precision."""


class BatchnormFoldingMistakes(Rule):
    code, name, since = "NS804", "batchnorm-folding-mistakes", "0.1"
    severity = Severity.INFO
    symptoms = (Symptom.DEPLOYMENT, Symptom.PORT)

    def check(self, site: Site, graph: ModelGraph) -> Iterator[Finding]:
        infer = site.infer
        if infer is None or infer.pattern is not None or site.probe is None:
            return
        if site.stored("running_var") is None:
            return
        for step in site.around.users:
            if step.role is not Role.PRODUCT or not step.pads:
                continue
            error = _border_error(site, step)
            if error is None or error < _LEAST:
                continue
            yield self.finding(
                site,
                f"folded into {step.path or step.operator} after it, which pads with zeros, the "
                f"border would be off by {error:.2g} standard deviations: padding stands after the "
                "shift",
                fix="do not fold it forward, or pad with -shift / scale in each channel",
                evidence={"convolution": step.path or step.operator, "border_error": error},
            )


def _border_error(site: Site, step: Step) -> float | None:
    """The largest error along the border, in standard deviations of what the convolution makes."""
    positions = _positions(site)
    if site.probe is None or not positions:
        return None
    shift = site.probe(np.zeros(site.probe.shape))
    usual = site.probe(_usual(site))
    if shift is None or usual is None:
        return None
    added, made = step.runs(shift), step.runs(usual)
    if added is None or made is None or added.ndim != len(site.probe.shape) or not made.std():
        return None
    middle = added
    for axis in positions:
        place = added.shape[axis] // 2
        before, at = (np.take(middle, [n], axis) for n in (place - 1, place))
        if place < 2 or not np.allclose(before, at, rtol=1e-4, atol=1e-6):
            return None  # the middle is not free of the border
        middle = at
    return float(np.abs(added - middle).max() / made.std())


def _positions(site: Site) -> list[int]:
    """The axes along which statistics are shared, but for the samples."""
    if site.layout is None or site.sample_axes is None:
        return []
    shared = {axis.dim for axis in site.layout.axes if axis.shared}
    return sorted(shared - set(site.sample_axes))


def _usual(site: Site) -> NDArray[np.float64]:
    """Numbers with the stored means and variances."""
    assert site.probe is not None
    x = np.random.default_rng(0).standard_normal(site.probe.shape)
    mean, var = site.stored("running_mean"), site.stored("running_var")
    free = set(range(x.ndim)) - set(_positions(site)) - set(site.sample_axes or ())
    if mean is None or var is None or len(free) != 1 or mean.size != x.shape[min(free)]:
        return x
    along = [-1 if axis in free else 1 for axis in range(x.ndim)]
    deviates = site.running is not None and site.running.deviation
    spread = var if deviates else np.sqrt(np.maximum(var, 0))
    moved: NDArray[np.float64] = x * spread.reshape(along) + mean.reshape(along)
    return moved

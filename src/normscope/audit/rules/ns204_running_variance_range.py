"""NS204 running-variance-range: a stored variance is so small or large that a channel explodes.

What it finds:
    Channels whose stored variance is below eps although they have a scale, so that at inference
    they are multiplied by far more than the others; and stored statistics that float16 cannot hold.

Why it matters:
    A channel that hardly varied while the statistics were taken is blown up by scale /
    sqrt(var + eps), at eps=1e-5 by up to 316, as soon as it varies after all. A variance above
    65504 becomes infinite in float16 and its channel 0; one below 6e-8 becomes 0.

How it is found:
    By looking at the stored arrays: scale / sqrt(var + eps) of each channel beside that of the
    median channel.

Measured:
    How many channels are multiplied by more than ten times the median, the largest factor, and the
    variance that makes it.

Known limits:
    A pruned channel, whose scale is 0, is not reported. Where all variances are far below eps the
    input itself is small, and nothing is said here. A variance of exactly 0 is reported by
    unusable-running-variance.

Use instead:
    Re-estimate the statistics on data that reaches these channels, or remove them; keep the
    statistics in float32 when a model is converted to half precision.

References:
    vision#2599, keras#20011, detectron2 PR 3160, apple/coreai-torch PR 54
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from normscope.audit.finding import Finding, Severity
from normscope.audit.model_graph import ModelGraph, Site
from normscope.audit.rule import Rule, Symptom
from normscope.wording import counted

_TIMES = 10.0
_LEAST_FACTOR = 30.0
_HALF = np.finfo(np.float16)


class RunningVarianceRange(Rule):
    code, name, since = "NS204", "running-variance-range", "0.1"
    severity = Severity.WARNING
    symptoms = (Symptom.EVALUATION, Symptom.NAN, Symptom.PRECISION)

    def check(self, site: Site, graph: ModelGraph) -> Iterator[Finding]:
        mean, var = site.stored("running_mean"), site.stored("running_var")
        if var is None or var.size < 2:
            return
        var = var.astype(np.float64).ravel()
        if not np.isfinite(var).all() or (var < 0).any():
            return
        deviates = site.running is not None and site.running.deviation
        spread = var**2 if deviates else var
        yield from self._amplified(site, spread)
        yield from self._outside_of_half(site, mean, var)

    def _amplified(self, site: Site, var: np.ndarray) -> Iterator[Finding]:
        spec = site.infer or site.spec
        if spec is None:
            return
        scale = site.stored("scale")
        factors = np.ones(var.size)
        if scale is not None:
            if scale.size != var.size:
                return
            factors = np.abs(scale.astype(np.float64).ravel() + spec.scale_shift)
        with np.errstate(divide="ignore"):
            factors = factors / (np.sqrt(var + spec.eps) + spec.eps_outside)
        usual = float(np.median(factors))
        low = (var > 0) & (var < max(spec.eps, 1e-12)) & (factors > _LEAST_FACTOR)
        found = np.flatnonzero(low & (factors > _TIMES * usual))
        if not found.size:
            return
        worst = int(found[np.argmax(factors[found])])
        channels = counted(len(found), "channel")
        yield self.finding(
            site,
            f"{channels} of {var.size} {_is(len(found))} multiplied by up to {factors[worst]:.3g}, "
            f"the median channel by {usual:.3g}: the stored variance {var[worst]:.2g} is below "
            f"eps={spec.eps:g}",
            fix="re-estimate the statistics on data that reaches these channels, or remove them",
            evidence={
                "channels": found[:10].tolist(),
                "count": len(found),
                "largest_factor": float(factors[worst]),
                "median_factor": usual,
                "variance": float(var[worst]),
            },
        )

    def _outside_of_half(
        self, site: Site, mean: np.ndarray | None, var: np.ndarray
    ) -> Iterator[Finding]:
        largest = float(var.max())
        if mean is not None and np.isfinite(mean).all():
            largest = max(largest, float(np.abs(mean).max(initial=0.0)))
        if largest <= float(_HALF.max):
            return
        half = site.probe is not None and site.probe.dtype == "float16"
        yield self.finding(
            site,
            f"a stored statistic is {largest:.3g}, more than float16 can hold ({_HALF.max:g}): "
            "there it becomes infinite, and its channel 0 or NaN",
            fix="keep the statistics in float32, or scale the input down and train again",
            evidence={"largest": largest, "largest_of_float16": float(_HALF.max)},
            severity=Severity.WARNING if half else Severity.INFO,
        )


def _is(count: int) -> str:
    return "is" if count == 1 else "are"

"""NS303 unusable-running-variance: a stored variance is 0, below 0, infinite or no number.

What it finds:
    Stored running statistics in which a mean or variance is NaN or infinite, a variance is below
    0, or a variance is exactly 0.

Why it matters:
    With NaN, or a variance below minus eps, every prediction of that channel is NaN. A variance of
    0 means that the channel never varied while statistics were taken: at inference it is
    multiplied by 1 / sqrt(eps), over 300 for eps=1e-5, as soon as it varies after all.

How it is found:
    By looking at the stored arrays. A channel whose scale is 0 was pruned, and its variance of 0
    is not reported; neither are means and variances that are 0 throughout beside initial
    parameters: some libraries begin with these.

Measured:
    The number of channels, and which they are.

Known limits:
    A channel that is dead for good, such as one behind a ReLU that never opens, has a variance of 0
    and does no harm.

Use instead:
    Find the batch that made the number (a loss that overflowed, an empty batch), and re-estimate
    the statistics over some data.

References:
    pytorch#1206, facebookresearch/SparseConvNet#190, chainer#1522, vision#2599
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from normscope.audit.finding import Finding, Severity
from normscope.audit.model_graph import ModelGraph, Site
from normscope.audit.rule import Rule, Symptom
from normscope.audit.training_signs import moved
from normscope.wording import counted


class UnusableRunningVariance(Rule):
    code, name, since = "NS303", "unusable-running-variance", "0.1"
    severity = Severity.ERROR
    symptoms = (Symptom.NAN, Symptom.EVALUATION)

    def check(self, site: Site, graph: ModelGraph) -> Iterator[Finding]:
        mean, var = site.stored("running_mean"), site.stored("running_var")
        if mean is None or var is None or mean.shape != var.shape:
            return
        broken = ~np.isfinite(mean) | ~np.isfinite(var) | (var < 0)
        still = ~broken & (var == 0)
        scale = site.stored("scale")
        if scale is not None and scale.shape == var.shape:
            still &= scale != 0
        if not np.any(mean) and not np.any(var) and not moved(site):
            still[...] = False
        spread = "deviation" if site.running is not None and site.running.deviation else "variance"
        if broken.any():
            said = f"no usable mean and {spread} (NaN, infinite, or below 0): they come out as NaN"
        elif still.any():
            said = f"a stored {spread} of exactly 0: what varies there after all is blown up"
        else:
            return
        found = np.flatnonzero(broken if broken.any() else still)
        yield self.finding(
            site,
            f"{counted(len(found), 'channel')} of {mean.size} {_have(found.size)} {said}",
            fix="find the batch that made them so, and re-estimate the statistics over some data",
            evidence={"channels": found[:10].tolist(), "count": len(found)},
            severity=Severity.ERROR if broken.any() else Severity.WARNING,
        )


def _have(count: int) -> str:
    return "has" if count == 1 else "have"

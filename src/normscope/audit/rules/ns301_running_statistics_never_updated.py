"""NS301 running-statistics-never-updated: the parameters are trained, the statistics are not.

What it finds:
    Stored running statistics that are exactly the initial ones, mean 0 and variance 1 (or deviation
    1, before Keras 1.0.7), beside a scale or bias that is not the initial one.

Why it matters:
    Training uses batch statistics and looks perfect; inference then does not normalize at all.

How it is found:
    By comparing the stored arrays with 0 and 1.

Known limits:
    An untrained model holds initial parameters too and is not reported; a scale of 0 throughout, as
    in the last layer of a residual block, is initial too. One that was drawn at random is not told
    from a trained one.

Use instead:
    Run the update operations in training; or re-estimate the statistics over some data.

References:
    tensorflow#11965, tensorflow#10118, keras#13316
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from normscope.audit.finding import Finding, Severity
from normscope.audit.model_graph import ModelGraph, Site
from normscope.audit.rule import Rule


class RunningStatisticsNeverUpdated(Rule):
    code, name, since = "NS301", "running-statistics-never-updated", "0.1"
    severity = Severity.ERROR

    def check(self, site: Site, graph: ModelGraph) -> Iterator[Finding]:
        mean, var = site.stored("running_mean"), site.stored("running_var")
        if mean is None or var is None or mean.size == 0:
            return
        if np.any(mean != 0) or np.any(var != 1):
            return
        scale, bias = site.stored("scale"), site.stored("bias")
        moved = [
            name
            for name, array, initial in (("scale", scale, 1), ("bias", bias, 0))
            if array is not None and np.any(array) and np.any(array != initial)
        ]
        if not moved:
            return
        spread = "deviation" if site.running is not None and site.running.deviation else "variance"
        yield self.finding(
            site,
            f"the stored running statistics are still mean 0 and {spread} 1, but the "
            f"{' and '.join(moved)} moved: at inference nothing is normalized",
            fix="run the updates of the layer in training, or re-estimate the statistics over data",
            evidence={"values": int(mean.size), "moved": moved},
        )

"""NS401 redundant-bias: the normalization subtracts the bias that was just added.

What it finds:
    A convolution or dense layer with a bias, followed only by normalizations that subtract a mean
    taken within one channel.

Why it matters:
    The bias has no effect, in training nor at inference: it costs memory and a pass over the data.

How it is found:
    From the graph: every reader of the layer's output is a centred normalization whose statistics
    sets do not span channels. Before a layer norm, an RMS norm or a group norm over several
    channels the bias matters, and nothing is reported.

Known limits:
    A stored bias goes into the running mean; drop both together.

Use instead:
    bias=False.

References:
    handson-ml2 PR 538, Mask_RCNN PR 1455
"""

from __future__ import annotations

from collections.abc import Iterator

from normscope.audit.finding import Finding, Severity
from normscope.audit.model_graph import ModelGraph, Site
from normscope.audit.rule import Rule


class RedundantBias(Rule):
    code, name, since = "NS401", "redundant-bias", "0.1"
    severity = Severity.INFO

    def check(self, site: Site, graph: ModelGraph) -> Iterator[Finding]:
        for maker in site.makers:
            if not (maker.adds_bias and maker.direct and maker.sole):
                continue
            if maker.channel_axis is not None and site.subtracts_along(maker.channel_axis):
                yield self.finding(
                    site,
                    f"the bias of {maker.path} is subtracted again with the mean",
                    fix=graph.advice.without_bias(maker.path),
                    evidence={"producer": maker.path, "channel_axis": maker.channel_axis},
                )

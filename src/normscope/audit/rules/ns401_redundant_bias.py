"""NS401 redundant-bias: the normalization subtracts the bias that was just added.

What it finds:
    A convolution or dense layer with a bias, or an offset added by hand, followed only by
    normalizations that subtract a mean taken within one channel: batch normalization, instance
    normalization, group normalization with one channel to a group.

Why it matters:
    The bias has no effect, in training nor at inference: it costs memory and, where it is not
    fused, a pass over the data. It also gets no gradient, so decay alone moves it.

How it is found:
    From the graph: every reader of the layer's output is a normalization that subtracts the mean
    of its own input, and whose statistics sets do not span channels. Before a layer norm, an RMS
    norm or a group norm over several channels the bias matters, and nothing is reported. Nor is it
    before a batch normalization that is frozen: it subtracts a stored mean, whatever the bias.

Measured:
    The number of biases, one for each channel of what the layer makes.

Known limits:
    The bias went into the running mean: whoever removes it from a trained model subtracts it from
    the running mean too.

Use instead:
    bias=False.

References:
    milesial/Pytorch-UNet PR 325, Mask_RCNN PR 1455, handson-ml2 PR 538, SPNet PR 11
"""

from __future__ import annotations

from collections.abc import Iterator

from normscope.audit.finding import Finding, Severity
from normscope.audit.model_graph import Kind, Maker, ModelGraph, Site
from normscope.audit.rule import Rule, Symptom
from normscope.wording import counted


class RedundantBias(Rule):
    code, name, since = "NS401", "redundant-bias", "0.1"
    severity = Severity.INFO
    symptoms = (Symptom.PARAMETERS,)

    def check(self, site: Site, graph: ModelGraph) -> Iterator[Finding]:
        if site.kind is Kind.STORED:
            return  # a stored mean is subtracted, and that does not know of the bias
        for maker in site.makers:
            if not (maker.adds_bias and maker.direct and maker.sole):
                continue
            if maker.channel_axis is not None and site.subtracts_along(maker.channel_axis):
                size = _channels(site, maker)
                biases = "bias" if size is None else counted(size, "bias")
                yield self.finding(
                    site,
                    f"the {biases} of {maker.path} {'is' if size in (None, 1) else 'are'} "
                    "subtracted again with the mean",
                    fix=graph.advice.without_bias(maker.path),
                    evidence={
                        "producer": maker.path,
                        "channel_axis": maker.channel_axis,
                        "biases": size,
                    },
                )


def _channels(site: Site, maker: Maker) -> int | None:
    """How many channels the maker makes; None if that is not known."""
    if site.input_shape is None or maker.channel_axis is None:
        return None
    return site.input_shape[maker.channel_axis]

"""NS102 channel-axis-mismatch: statistics are kept per index of an axis that is not the channels.

What it finds:
    A batch normalization that keeps one axis apart, fed by a layer that puts its channels on
    another axis: the default axis=-1 after a convolution with channels first, or axis=1 after one
    with channels last.

Why it matters:
    It normalizes per image column (or row, or frequency) over all channels. The network learns
    around it, the number of parameters depends on the image size, and artefacts appear later.

How it is found:
    From the axis of the layer and the dimension ordering of the nearest layers upstream that make
    channels, looking through activations, merges, pooling and padding.

Known limits:
    Keeping one frequency bin apart can be meant so in audio models: then ignore this rule there.

Use instead:
    axis=1 with channels first, axis=-1 with channels last.

References:
    keras#1921, keras#13463
"""

from __future__ import annotations

from collections.abc import Iterator

from normscope.audit.finding import Finding, Severity
from normscope.audit.model_graph import ModelGraph, Site
from normscope.audit.rule import Rule


class ChannelAxisMismatch(Rule):
    code, name, since = "NS102", "channel-axis-mismatch", "0.1"
    severity = Severity.ERROR

    def check(self, site: Site, graph: ModelGraph) -> Iterator[Finding]:
        kept = _kept_axis(site)
        if kept is None or site.input_shape is None:
            return
        sources = graph.channel_sources(site.node)
        if len(sources.axes) != 1 or kept in sources.axes:
            return
        channels = next(iter(sources.axes))
        if not 0 <= channels < len(site.input_shape):
            return
        makers = ", ".join(sources.paths) + (", ..." if sources.more else "")
        yield self.finding(
            site,
            f"statistics are kept per index of {site.axis_name(kept)}, of length "
            f"{site.input_shape[kept]}, but {makers} puts the channels on "
            f"{site.axis_name(channels)}, of length {site.input_shape[channels]}",
            fix=f"{graph.advice.channel_axis(channels)}; stored scale, bias and running statistics "
            "belong to the old axis, so train again",
            evidence={
                "kept_axis": kept,
                "channel_axis": channels,
                "channel_sources": list(sources.paths),
                "input_shape": list(site.input_shape),
            },
        )


def _kept_axis(site: Site) -> int | None:
    """The one axis that a batch normalization keeps apart; None for any other normalization."""
    if site.input_shape is None or not site.couples_samples:
        return None
    kept = [d for d in range(len(site.input_shape)) if site.word(d) == "independent"]
    return kept[0] if len(kept) == 1 else None

"""NS102 channel-axis-mismatch: statistics are kept per index of an axis that is not the channels.

What it finds:
    A batch normalization that keeps one axis apart, fed by a layer that puts its channels on
    another axis: the default axis=-1 after a convolution with channels first, or axis=1 after one
    with channels last. And a layer normalization over one axis of positions, fed by a convolution.

Why it matters:
    It normalizes per image column (or row, or frequency) over all channels, or each image row on
    its own. The network learns around it, the number of parameters depends on the image size, and
    artefacts appear later.

How it is found:
    From the axes of the statistics and the axis on which the nearest layers upstream put the
    channels that they make, looking through activations, merges, pooling, padding and moves.

Measured:
    The number of the axis that is taken for the channels, and of that which holds them, with the
    length of each at this place in the model.

Known limits:
    Keeping one frequency bin apart can be meant so in audio models: then say that this layer is
    "per-position". On tokens, token-layout-batchnorm and layernorm-wrong-dims say it.

Use instead:
    axis=1 with channels first, axis=-1 with channels last. In torch the channels are on dim 1 for
    BatchNorm, and on the last for LayerNorm: permute before it.

References:
    keras#1921, keras#13463
"""

from __future__ import annotations

from collections.abc import Iterator

from normscope.audit.finding import Finding, Severity
from normscope.audit.model_graph import ModelGraph, Site
from normscope.audit.rule import Intent, Rule, Symptom
from normscope.notation.spec import Measure, spec


class ChannelAxisMismatch(Rule):
    code, name, since = "NS102", "channel-axis-mismatch", "0.1"
    severity = Severity.ERROR
    symptoms = (Symptom.SIZE, Symptom.LEARNING, Symptom.PORT)
    intents = (Intent.PER_POSITION,)

    def check(self, site: Site, graph: ModelGraph) -> Iterator[Finding]:
        axes = {maker.channel_axis for maker in site.makers}
        if len(axes) != 1 or site.input_shape is None:
            return
        channels = axes.pop()
        if channels is None or not 0 <= channels < len(site.input_shape):
            return
        makers = ", ".join(maker.path for maker in site.makers)
        makers += ", ..." if site.more_makers else ""
        where = (
            f"but {makers} puts the channels on {site.axis_name(channels)}, of length "
            f"{site.input_shape[channels]}"
        )
        evidence = {
            "channel_axis": channels,
            "channel_sources": [maker.path for maker in site.makers],
            "input_shape": list(site.input_shape),
        }
        kept = _kept_axis(site)
        convolved = any(maker.convolves for maker in site.makers)
        if len(site.input_shape) == 3 and not convolved:
            kept = None  # tokens: token-layout-batchnorm says it
        if kept is not None and kept != channels:
            yield self.finding(
                site,
                f"statistics are kept per index of {site.axis_name(kept)}, of length "
                f"{site.input_shape[kept]}, {where}",
                fix=f"{graph.advice.channel_axis(channels)}; stored scale, bias and running "
                "statistics belong to the old axis, so train again",
                evidence={"kept_axis": kept, **evidence},
            )
        shared = _shared_position(site, channels)
        if shared is not None:
            yield self.finding(
                site,
                f"each set is one line along {site.axis_name(shared)}, of length "
                f"{site.input_shape[shared]}, {where}",
                fix="normalize over the channels: " + _over_channels(site, channels, graph),
                evidence={"shared_axis": shared, **evidence},
            )


def _kept_axis(site: Site) -> int | None:
    """The one axis that a batch normalization keeps apart; None for any other normalization."""
    if site.input_shape is None or not site.couples_samples(site.spec):
        return None
    kept = [d for d in range(len(site.input_shape)) if site.word(d) == "independent"]
    return kept[0] if len(kept) == 1 else None


def _shared_position(site: Site, channels: int) -> int | None:
    """The one axis, of several positions, that a layer normalization takes for the channels."""
    if site.input_shape is None or site.couples_samples(site.spec) is not False:
        return None
    if site.spec is not None and site.spec.measure in (Measure.L1, Measure.L2):
        return None  # lengths of vectors: l2-normalize-dim says it
    if site.declared is not None and site.declared.documented is not None:
        return None  # what it is documented for is judged by NS103
    shared = [d for d in range(len(site.input_shape)) if site.word(d) != "independent"]
    positions = len(site.input_shape) - 1 - len(site.sample_axes or ())
    convolved = all(maker.convolves for maker in site.makers)
    if len(shared) != 1 or channels in shared or positions < 2 or not convolved:
        return None
    return shared[0]


def _over_channels(site: Site, channels: int, graph: ModelGraph) -> str:
    """The layer that normalizes over the channels of each position, in the user's words."""
    assert site.input_shape is not None
    names = [site.axis_label(axis) for axis in range(len(site.input_shape))]
    names[channels] = f"[{names[channels]}]"
    pattern = " ".join(names)
    meant = spec(pattern, scale=site.axis_label(channels), bias=site.axis_label(channels))
    layer = graph.advice.layer(meant, meant.layout(site.input_shape))
    return f'"{pattern}", {layer.code if layer else graph.advice.norm}'

"""NS104 layernorm-wrong-dims: a layer norm runs over positions instead of the features of each.

What it finds:
    A layer normalization whose statistics run along the axis of positions (time steps, tokens,
    pixels) and leave the channels apart: `LayerNorm(length)` after a transposition,
    `LayerNormalization(axis=1)` on (batch, length, features). And one over length and features
    together, `LayerNorm([length, features])`, on tokens that a dense layer, an embedding or an
    attention has made.

Why it matters:
    Each position sees all others, also those of the future and those of padding; the learned scale
    belongs to places and not to features, so that the layer fits one length only.

How it is found:
    From the axes of the statistics, the axes along which the layers upstream put the channels that
    they make, and the axes along which the learned scale runs. A layer counts that is called a
    layer norm, or whose scale runs along the positions it normalizes over. All layers upstream are
    asked, so that a mixer, which multiplies along the tokens and then normalizes the channels, is
    not taken for a mistake.

Measured:
    The number of values in a set, and the lengths of the axes along which it runs, at this place in
    the model.

Known limits:
    Where nothing upstream makes channels, nothing is said. Over channels, height and width together
    after a convolution, layer normalization is one of the usual choices. Along one of several axes
    of positions after a convolution, channel-axis-mismatch says it.

Use instead:
    Layer normalization over the features alone, which in torch, Keras and Flax are the last axis.

References:
    attention-is-all-you-need-pytorch PR 17, OpenNMT-tf PR 6, tensorflow/addons PR 2142,
    geometric-algebra-transformer PR 8, ConvNeXt#101
"""

from __future__ import annotations

from collections.abc import Iterator

from normscope.audit.finding import Finding, Severity
from normscope.audit.model_graph import ModelGraph, Site
from normscope.audit.rule import Intent, Rule, Symptom
from normscope.wording import counted, listed


class LayerNormWrongDims(Rule):
    code, name, since = "NS104", "layernorm-wrong-dims", "0.1"
    severity = Severity.ERROR
    symptoms = (Symptom.SIZE, Symptom.STREAMING, Symptom.LEARNING)
    intents = (Intent.PER_POSITION,)

    def check(self, site: Site, graph: ModelGraph) -> Iterator[Finding]:
        channels, layout = site.channel_axis, site.layout
        if channels is None or layout is None or not site.sample_axes or site.input_shape is None:
            return
        shared = [axis for axis in site.shared_axes if site.input_shape[axis] != 1]
        positions = [axis for axis in shared if axis != channels]
        if not positions or set(positions) & set(site.sample_axes) or not _is_layer_norm(site):
            return
        alone = channels not in shared
        convolved = any(maker.convolves for maker in site.makers)
        others = len(site.input_shape) - 1 - len(site.sample_axes)
        if alone and convolved and len(shared) == 1 and others > 1:
            return  # channel-axis-mismatch says it
        if not alone and (convolved or len(site.input_shape) != 3):
            return
        made = site.flow.channel_axes if site.flow is not None else frozenset({channels})
        if made is None or made & set(positions):
            return
        along = listed([f"axis {d}, of length {site.input_shape[d]}" for d in positions])
        makers = ", ".join(maker.path for maker in site.makers)
        said = (
            f"each set is {counted(layout.set_size or 0, 'value')} along {along}, and the "
            f"channels, which {makers} puts on axis {channels}, stay apart"
            if alone
            else f"each set is {counted(layout.set_size or 0, 'value')}: the features on "
            f"axis {channels} together with all of {along}, so each position sees "
            "all others"
        )
        yield self.finding(
            site,
            said,
            fix=f"normalize over axis {channels} alone, of length "
            f"{site.input_shape[channels]}; the scale then runs along it too",
            evidence={
                "set_size": layout.set_size,
                "shared_axes": shared,
                "channel_axis": channels,
                "scaled_axes": list(site.scaled_axes),
                "input_shape": list(site.input_shape),
            },
            severity=Severity.ERROR if alone else Severity.WARNING,
        )


def _is_layer_norm(site: Site) -> bool:
    """Whether it is called one, or has a scale along positions that it normalizes over."""
    if site.is_called("layernorm"):
        return True
    if site.is_called("groupnorm", "instancenorm", "batchnorm"):
        return False
    return bool(set(site.scaled_axes) & set(site.shared_axes) - {site.channel_axis})

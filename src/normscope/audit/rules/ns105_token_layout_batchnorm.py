"""NS105 token-layout-batchnorm: a norm for channels first is fed (batch, length, features).

What it finds:
    A batch, instance or group normalization that takes axis 1 for the channels, on tokens whose
    features are the last axis, as a dense layer, an embedding, a recurrent layer or an attention
    makes them. The size error that this raises is often "fixed" by giving the layer the length.
    And `InstanceNorm1d` on (batch, features), which torch takes for one sample without a batch.

Why it matters:
    Statistics, scale and bias belong to a place in the sequence, not to a feature. The layer fits
    one length only, and nothing is raised where length and features are equally many.

How it is found:
    From the axis that the statistics keep apart or split into groups, and the axes along which
    the layers upstream put the channels that they make.

Measured:
    The length of the axis that is taken for the channels, and the length of that of the features.

Known limits:
    Where nothing upstream makes channels, nothing is said. Statistics per token can be meant so:
    then say that this layer is "per-position".

Use instead:
    Transpose to (batch, features, length) before the layer, flatten to (batch * length, features),
    or use a layer normalization.

References:
    self-critical.pytorch#44, pytorch#7577, LSTM-for-Human-Activity-Recognition#2, LTH14/rcg#9,
    pytorch#71366
"""

from __future__ import annotations

from collections.abc import Iterator

from normscope.audit.finding import Finding, Severity
from normscope.audit.model_graph import ModelGraph, Site
from normscope.audit.rule import Intent, Rule, Symptom


class TokenLayoutBatchNorm(Rule):
    code, name, since = "NS105", "token-layout-batchnorm", "0.1"
    severity = Severity.ERROR
    symptoms = (Symptom.SIZE, Symptom.EVALUATION, Symptom.LEARNING)
    intents = (Intent.PER_POSITION,)

    def check(self, site: Site, graph: ModelGraph) -> Iterator[Finding]:
        if site.input_shape is None or site.layout is None or site.sample_axes is None:
            return
        if len(site.input_shape) == 2:
            yield from self._unbatched(site)
            return
        channels = site.channel_axis
        tokens = [d for d in range(len(site.input_shape)) if d not in (*site.sample_axes, channels)]
        convolved = any(maker.convolves for maker in site.makers)
        if channels is None or convolved or len(site.input_shape) != 3 or len(tokens) != 1:
            return
        said = _said(site, channels, tokens[0])
        made = site.flow.channel_axes if site.flow is not None else frozenset({channels})
        if said is None or made is None or tokens[0] in made:
            return
        makers = ", ".join(maker.path for maker in site.makers)
        what, severity = said
        yield self.finding(
            site,
            f"{what} {site.axis_name(tokens[0])}, of length {site.input_shape[tokens[0]]}, but "
            f"{makers} puts the features on {site.axis_name(channels)}, of length "
            f"{site.input_shape[channels]}",
            fix=f"{graph.advice.channel_axis(channels)}; or normalize the features of each token "
            "by a layer norm; what is learned belongs to the old axis, so train again",
            evidence={
                "token_axis": tokens[0],
                "channel_axis": channels,
                "input_shape": list(site.input_shape),
            },
            severity=severity,
        )

    def _unbatched(self, site: Site) -> Iterator[Finding]:
        """InstanceNorm1d of torch on a matrix: the samples are taken for the channels."""
        assert site.input_shape is not None
        one_set = [site.word(axis) for axis in (0, 1)] == ["independent", "shared"]
        if site.is_called("instancenorm") and site.sample_axes == (0,) and one_set:
            samples, features = site.input_shape
            yield self.finding(
                site,
                f"an input of two axes is one sample without a batch to it: the {samples} samples "
                f"are taken for channels, and each is normalized over its {features} features",
                fix='for (batch, features) use a layer norm, "b [c]", or a batch norm, "[b] c"; '
                "an instance norm needs an axis of positions",
                evidence={"channel_axis": 1, "input_shape": list(site.input_shape)},
                severity=Severity.WARNING,
            )


def _said(site: Site, channels: int, tokens: int) -> tuple[str, Severity] | None:
    """What is done along the axis of the tokens as if it were that of the channels."""
    words = {axis: (site.word(axis) or "").split(" ")[0] for axis in (channels, tokens)}
    coupled = site.couples_samples(site.spec)
    if words == {channels: "shared", tokens: "independent"}:
        if coupled:
            return "statistics are kept per index of", Severity.ERROR
        if site.is_called("instancenorm", "groupnorm"):
            return "each set is one index of", Severity.WARNING
    if coupled:
        return None
    if words[tokens] in ("grouped", "interleaved"):
        return "groups are neighbours along", Severity.ERROR
    by_token = site.scaled_axes == (tokens,) and site.is_called("instancenorm", "groupnorm")
    if by_token and words[tokens] == "shared":
        return "the scale runs along", Severity.WARNING
    return None

"""NS403 no-shift-left: neither a centred normalization nor the layer before it has a bias.

What it finds:
    A convolution or dense layer without a bias, straight into a normalization that subtracts the
    mean of each channel and has no bias either, straight into an activation.

Why it matters:
    Before a normalization a bias is redundant because the normalization adds its own. Where it adds
    none, as the instance normalization of PyTorch by default, no channel can be shifted: the
    activation always cuts each of them at its mean.

How it is found:
    From the graph: what makes the channels, whether it adds a bias, whether one is learned here,
    and whether the next operator is a nonlinear function of single values. An addition, another
    product, or a scale and shift that come from elsewhere (as in adaptive instance normalization
    or FiLM) are all no such function. An RMS normalization subtracts no mean, and the layers
    without a bias of language models before it are not reported.

Measured:
    The number of channels without an offset, and the mean of a channel of the output: within
    rounding it is 0 for any input.

Known limits:
    An activation that learns its own threshold does the same as a bias.

Use instead:
    affine=True, or a bias in the layer that follows the activation if that is what is meant.

References:
    fepegar/highresnet PR 9
"""

from __future__ import annotations

from collections.abc import Iterator

from normscope.audit.finding import Finding, Severity
from normscope.audit.model_graph import Kind, ModelGraph, Site
from normscope.audit.parameters import learns
from normscope.audit.rule import Rule, Symptom
from normscope.graph.operators import Role
from normscope.wording import counted

_NONLINEAR = (Role.ACTIVATION, Role.SQUASH, Role.LIMIT)


class NoShiftLeft(Rule):
    code, name, since = "NS403", "no-shift-left", "0.1"
    severity = Severity.INFO
    symptoms = (Symptom.LEARNING,)

    def check(self, site: Site, graph: ModelGraph) -> Iterator[Finding]:
        if site.kind is not Kind.NORMALIZATION or "bias" in learns(site) or site.more_makers:
            return
        users = site.around.users
        if not users or any(step.role not in _NONLINEAR or step.learned for step in users):
            return
        if len(site.makers) != 1 or site.around.is_output:
            return
        (maker,) = site.makers
        if maker.adds_bias or not maker.direct or maker.channel_axis is None:
            return
        if not site.subtracts_along(maker.channel_axis) or site.input_shape is None:
            return
        size = site.input_shape[maker.channel_axis]
        yield self.finding(
            site,
            f"neither {maker.path} nor this normalization has a bias: the mean of each of "
            f"{counted(size, 'channel')} is 0 for any input, and there {users[0].operator} cuts",
            fix="let the normalization learn scale and bias; a bias of the layer before it would "
            "be subtracted again",
            evidence={"producer": maker.path, "channels": size, "next": users[0].operator},
        )

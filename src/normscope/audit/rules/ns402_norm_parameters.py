"""NS402 norm-parameters: a learned scale or bias leaves nothing of what was normalized.

What it finds:
    A normalization whose scale is 0 for all channels and that does not end a branch which is added
    to something; a scale or bias with NaN or infinite numbers; a bias a thousand times as large as
    the scale.

Why it matters:
    With a scale of 0 the output is the bias, whatever the input, and no gradient comes back: all
    that stands before is dead. A NaN makes every output NaN. Beside a huge bias the normalized
    value, which is about 1, is lost in rounding.

How it is found:
    By looking at the learned arrays, as they act: with `x * (1 + scale)` a stored 0 is a factor
    of 1, and a stored -1 a factor of 0. What uses the output is followed, through activations,
    dropout and gates, to see whether it is added to something that does not depend on it.

Measured:
    How many channels have a factor of 0, and the largest bias in multiples of the largest factor.

Known limits:
    Negative and random scales are no mistake, nor is a scale that is 0 in some channels, as after
    pruning. A scale of 0 at the end of a residual branch is how many networks begin (zero-init
    residual, AdaLN-Zero, ReZero), so it is not reported there.

Use instead:
    Begin with a scale of 1 and a bias of 0, and leave normalizations out of loops that initialize
    the weights of all layers.

References:
    kazuto1011/deeplab-pytorch#44, mmdetection#5113, timm PR 1063
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from normscope.audit.finding import Finding, Severity
from normscope.audit.model_graph import ModelGraph, Site
from normscope.audit.parameters import acting_scale
from normscope.audit.rule import Intent, Rule, Symptom
from normscope.wording import counted

HUGE = 1000.0
"""A bias of so many times the scale leaves ten bits of float32 less of what was normalized."""


class NormParameters(Rule):
    code, name, since = "NS402", "norm-parameters", "0.1"
    severity = Severity.WARNING
    symptoms = (Symptom.CONSTANT, Symptom.LEARNING)
    intents = (Intent.ZERO_INIT,)

    def check(self, site: Site, graph: ModelGraph) -> Iterator[Finding]:
        scale, bias = acting_scale(site), site.stored("bias")
        for role, array in (("scale", scale), ("bias", bias)):
            broken = 0 if array is None else int(np.count_nonzero(~np.isfinite(array)))
            if array is not None and broken:
                yield self.finding(
                    site,
                    f"the {role} is NaN or infinite in {counted(broken, 'channel')} of "
                    f"{array.size}, and so is the output there",
                    fix="find the step of training that made it so, and go back to a checkpoint "
                    "from before it",
                    evidence={"role": role, "channels": broken, "of": int(array.size)},
                    severity=Severity.ERROR,
                )
                return
        if scale is not None and not scale.any():
            yield from self._zero(site, graph, scale.size)
        elif scale is not None and bias is not None and bias.size:
            largest = float(np.abs(bias).max()) / float(np.abs(scale).max())
            if largest >= HUGE:
                yield self.finding(
                    site,
                    f"the largest bias is {largest:.3g} times the largest scale: what was "
                    "normalized is lost beside it",
                    fix="look for the step of training in which the bias ran away; bias and scale "
                    "may have been loaded in each other's place",
                    evidence={"bias_to_scale": largest},
                )

    def _zero(self, site: Site, graph: ModelGraph, size: int) -> Iterator[Finding]:
        if _may_end_a_branch(site, graph):
            return
        bias = site.stored("bias")
        alone = bias is None or not bias.any()
        yield self.finding(
            site,
            f"the scale is 0 for each of {counted(size, 'channel')}, so the output is "
            f"{'0' if alone else 'the bias'}, whatever the input, and it does not end a residual "
            "branch",
            fix="begin with a scale of 1; where weights were loaded, see that they hold this scale",
            evidence={"channels": size, "factor": 0.0},
        )


def _may_end_a_branch(site: Site, graph: ModelGraph) -> bool:
    """Whether it ends a residual branch, or that cannot be seen."""
    return not graph.followed or site.around.ends_branch or site.around.is_added

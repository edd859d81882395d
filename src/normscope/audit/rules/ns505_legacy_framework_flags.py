"""NS505 legacy-framework-flags: an old setting changes what is computed, and is easily lost.

What it finds:
    A learned scale that a layer holds and never applies, as with fix_gamma; in files of Keras 2,
    a BatchNormalization with virtual_batch_size, or with renorm=True, where the Keras that is
    installed does not have it; beside a reference, an eps of 1e-5 for 1.001e-5, the least that
    cuDNN once allowed.

Why it matters:
    Converters copy arrays and not what the flag made of them: the stored scale that nothing applied
    is applied after the conversion. With renorm, training normalizes by running statistics; with a
    virtual batch, by those of a part of the batch.

How it is found:
    From the arrays of the model that no operator reads, in either mode; from the settings in the
    file; and from the formula of both layers of a pair.

Measured:
    By how much outputs differ because of eps, at most.

Known limits:
    A scale that is used under a condition that did not hold in this call counts as unused.

Use instead:
    Remove the array, or set it to 1 before converting.

References:
    mxnet#9624, mxnet PR 15645, tensorflow#8090, keras#16713
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator

from normscope.audit.finding import Finding, Severity
from normscope.audit.model_graph import Kind, ModelGraph, Site
from normscope.audit.parameters import learns, spec_with_parameters
from normscope.audit.rule import Rule, Symptom

CUDNN = 1.001e-5
"""CUDNN_BN_MIN_EPSILON of cuDNN before 7.5, a little above 1e-5 so that it is not rounded below."""

_SCALE = re.compile(r"(weight|gamma|scale|alpha|g|a_2|w)\Z", re.IGNORECASE)

_FLAGS = {
    "renorm": "in training x is corrected towards the running statistics",
    "virtual_batch_size": "in training statistics are those of parts of the batch",
}


class LegacyFrameworkFlags(Rule):
    code, name, since = "NS505", "legacy-framework-flags", "0.1"
    severity = Severity.INFO
    symptoms = (Symptom.PORT,)

    def check(self, site: Site, graph: ModelGraph) -> Iterator[Finding]:
        yield from self._unused_scale(site, graph)
        other = graph.counterpart(site)
        specs = spec_with_parameters(site), None if other is None else spec_with_parameters(other)
        if specs[0] is None or specs[1] is None:
            return
        own, theirs = specs[0].eps, specs[1].eps
        if own != theirs and CUDNN in (own, theirs) and 1e-5 in (own, theirs):
            most = math.sqrt(max(own, theirs) / min(own, theirs)) - 1
            yield self.finding(
                site,
                f"eps is {own:g} here and {theirs:g} in the reference: 1.001e-05 is the least that "
                f"cuDNN once allowed, and outputs differ by at most {100 * most:.2g} %",
                fix=f"set eps to {theirs:g} where numbers are to agree to the last places",
                evidence={"eps": own, "reference": theirs, "most": most},
            )

    def check_model(self, graph: ModelGraph) -> Iterator[Finding]:
        for operator in graph.unknown_operators:
            told = re.match(r"(\w*BatchNormalization)\((\w+)=", operator)
            if told is not None and told[2] in _FLAGS:
                yield self.finding(
                    "",
                    f"{told[1]} in this file has {told[2]} set, which this Keras does not have: "
                    f"{_FLAGS[told[2]]}",
                    fix="at inference it is batch normalization; to train on, know that today's "
                    "layer takes the statistics of the whole batch",
                    evidence={"flag": told[2], "times": graph.unknown_operators[operator]},
                    severity=Severity.WARNING,
                )

    def _unused_scale(self, site: Site, graph: ModelGraph) -> Iterator[Finding]:
        if "scale" in learns(site) or site.spec is None or site.kind is Kind.MIXING:
            return
        for name in sorted(graph.unread):
            parent, _, last = name.replace("/", ".").rpartition(".")
            if parent == site.path.replace("/", ".") and _SCALE.match(last):
                yield self.finding(
                    site,
                    f"this layer holds a learned scale, {name}, and never applies it: a converter "
                    "that applies it changes the outputs",
                    fix="apply it, or remove it; before a conversion set it to 1",
                    evidence={"scale": name},
                    severity=Severity.WARNING,
                )

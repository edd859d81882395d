"""NS106 qk-norm-scope: queries or keys are normalized over all heads at once.

What it finds:
    A normalization of queries or keys that runs over heads x features of a head, before they are
    split into heads.

Why it matters:
    Models differ in it: most normalize each head on its own, some (OLMo 2, MiniMax) all together.
    A checkpoint of the one kind gives wrong numbers in the other, or does not fit. And where heads
    are spread over devices, statistics over all of them must be gathered: computed from the heads
    at hand, they depend on the number of devices.

How it is found:
    What is normalized is followed through reshapes, transpositions and rotary embeddings to the
    product with another value that depends on the input. One sum there takes fewer values than a
    statistics set has.

Measured:
    The number of values in a set, and of those that one head has.

Known limits:
    Whether it is meant cannot be seen, so this is an info.

Use instead:
    Split into heads first, then normalize the last axis, with a scale of the length of a head.

References:
    Megatron-LM PR 1130, gpt-neox PR 1367, vllm PR 35932, VideoX-Fun#229
"""

from __future__ import annotations

from collections.abc import Iterator

from normscope.audit.finding import Finding, Severity
from normscope.audit.model_graph import ModelGraph, Site
from normscope.audit.parameters import within_sample
from normscope.audit.rule import Rule, Symptom


class QkNormScope(Rule):
    code, name, since = "NS106", "qk-norm-scope", "0.1"
    severity = Severity.INFO
    symptoms = (Symptom.PORT, Symptom.LEARNING)

    def check(self, site: Site, graph: ModelGraph) -> Iterator[Finding]:
        shared = site.shared_axes
        if len(shared) != 1 or site.layout is None or site.flow is None:
            return
        whole = site.word(shared[0]) == "shared" and any(maker.direct for maker in site.makers)
        size = site.layout.set_size
        if not whole or size is None or not within_sample(site):
            return  # of samples and tokens in one axis, each sum takes those of one sample
        for product in site.flow.comparisons:
            if product.along != shared or not 1 < product.length < size or size % product.length:
                continue
            yield self.finding(
                site,
                f"each set has {size} values = {size // product.length} heads x {product.length}: "
                "queries or keys are normalized over all heads at once",
                fix="if each head is meant, split into heads first and normalize over the "
                f"{product.length} values of one; if all are, keep it, and gather the statistics "
                "where heads are spread over devices",
                evidence={
                    "set_size": size,
                    "heads": size // product.length,
                    "head_size": product.length,
                    "input_shape": list(site.input_shape or ()),
                },
            )
            return

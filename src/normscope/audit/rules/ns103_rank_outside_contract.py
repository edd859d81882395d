"""NS103 rank-outside-contract: the input has more axes than the layer is documented for.

What it finds:
    A layer whose documentation promises something for inputs of one rank, used on another, which
    the layer accepts without a word. The founding case: Keras 1 BatchNormalization(mode=1),
    "sample-wise normalization. This mode assumes a 2D input", on feature maps.

Why it matters:
    The words of the documentation no longer say what is computed. Mode 1 always takes mean and
    variance over the last axis alone: with channels first that is one image row, with channels
    last the channels of one pixel, and in neither case the whole sample. Its learned scale and
    bias run along that axis too.

How it is found:
    From the rank of the input at this place in the model and the documented contract.

Measured:
    How many axes the input has, how many values a statistics set has there, and how many sets there
    are in a sample.

Known limits:
    A contract is known of few layers: those whose documentation promises less than they accept.

Use instead:
    The layer that says what you mean: over all features of a sample "b [c h w]", over each
    channel of a sample "b c [h w]", over the channels of each position "b [c] h w".

References:
    keras#3756, keras#11755
"""

from __future__ import annotations

from collections.abc import Iterator

from normscope.audit.finding import Finding, Severity
from normscope.audit.model_graph import ModelGraph, Site
from normscope.audit.rule import Intent, Rule, Symptom
from normscope.audit.site_explanation import explanation_of
from normscope.notation.spec import NormSpec
from normscope.wording import counted, listed


class RankOutsideContract(Rule):
    code, name, since = "NS103", "rank-outside-contract", "0.1"
    severity = Severity.ERROR
    symptoms = (Symptom.LEARNING, Symptom.PORT)
    intents = (Intent.PER_POSITION,)

    def check(self, site: Site, graph: ModelGraph) -> Iterator[Finding]:
        declared = site.declared
        if declared is None or declared.documented is None or site.input_shape is None:
            return
        documented = declared.documented
        rank, wanted = len(site.input_shape), len(documented.split())
        explanation = explanation_of(site)
        if rank == wanted or explanation is None:
            return
        facts = explanation.facts
        shared = [axis.label for axis in facts.axes if axis.word == "shared"]
        per_sample = (
            f", {counted(facts.sets_per_sample, 'statistics set')} per sample"
            if facts.sets_per_sample is not None
            else ""
        )
        yield self.finding(
            site,
            f'documented for {counted(wanted, "axis")} ("{declared.documented_words}"), '
            f"but the input has {rank}: mean and variance are taken along {listed(shared)} alone, "
            f"over {counted(facts.set_size, 'value')}{per_sample}",
            fix="\n".join(
                f'{other.name}: "{other.spec.pattern}"{_layer_for(other.spec, site, graph)}'
                for other in explanation.alternatives[:2]
            )
            or f"reshape the input to {counted(wanted, 'axis')}, or state the axes that are meant: "
            '"b [...]"',
            evidence={
                "rank": rank,
                "documented_pattern": documented,
                "documented_words": declared.documented_words,
                "pattern": declared.train.pattern,
                "set_size": facts.set_size,
                "sets_per_sample": facts.sets_per_sample,
                "scale_values": facts.scale.count if facts.scale else None,
                "input_shape": list(site.input_shape),
            },
        )


def _layer_for(spec: NormSpec, site: Site, graph: ModelGraph) -> str:
    """The layer of the user's framework that computes a spec here, after a comma; or nothing."""
    if site.input_shape is None:
        return ""
    layer = graph.advice.layer(spec, spec.layout(site.input_shape))
    return f", {layer.code}" if layer else ""

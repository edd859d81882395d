"""NS405 weight-decay-on-norm: the optimizer decays the scale or bias of a normalization.

What it finds:
    A normalization whose scale or bias is in a group of parameters with weight decay.

Why it matters:
    Decay pulls a scale to 0, which no other weight makes good where the normalized value goes
    straight into a nonlinearity; and it shrinks what a following layer would shrink by itself. Most
    recipes leave normalizations out; the effect is mostly small, and disputed.

How it is found:
    From the optimizer: audit(model, inputs, optimizer=optimizer) of PyTorch, by its groups of
    parameters; a compiled model of Keras holds its optimizer, with what it excludes from decay.

Measured:
    The decay, and how many of the model's normalization parameters are decayed.

Known limits:
    A scale that is stored as what it differs from 1 is pulled to 1, and is not reported. Optimizers
    of optax are functions, and do not tell what their masks leave out.

Use instead:
    Two groups of parameters, the one with all of one axis (scales, biases) and weight_decay=0; in
    Keras, optimizer.exclude_from_weight_decay(var_names=["gamma", "beta"]) before training.

References:
    transformers#4360, google-research/bert#289, keras-bert#60, Fast-LLM#542
"""

from __future__ import annotations

from collections.abc import Iterator

from normscope.audit.finding import Finding, Severity
from normscope.audit.model_graph import ModelGraph, Site
from normscope.audit.parameters import spec_with_parameters
from normscope.audit.rule import Rule, Symptom, once_per_model
from normscope.wording import counted, listed


class WeightDecayOnNorm(Rule):
    code, name, since = "NS405", "weight-decay-on-norm", "0.1"
    severity = Severity.INFO
    symptoms = (Symptom.LEARNING,)

    def check(self, site: Site, graph: ModelGraph) -> Iterator[Finding]:
        own = _decayed(site, graph)
        if not own:
            return
        every = _decayed_in(graph)
        decay = max(graph.decays[path] for path in own)
        yield self.finding(
            site,
            f"{listed(own)} {'is' if len(own) == 1 else 'are'} decayed "
            f"with weight_decay={decay:g}, as {counted(len(every), 'array')} of normalizations in "
            "this model",
            fix="put the scales and biases of normalizations into a group without decay",
            evidence={"parameters": own, "weight_decay": decay, "in_the_model": len(every)},
        )


@once_per_model
def _decayed_in(graph: ModelGraph) -> frozenset[str]:
    """The paths of all parameters of normalizations that are decayed."""
    return frozenset(path for site in graph.sites for path in _decayed(site, graph))


def _decayed(site: Site, graph: ModelGraph) -> list[str]:
    """The paths of its scale and bias, where they are decayed towards 0."""
    spec = spec_with_parameters(site)
    roles = ("bias",) if spec is not None and spec.scale_shift else ("scale", "bias")
    paths = [site.parameters[role] for role in roles if role in site.parameters]
    return [path for path in paths if graph.decays.get(path, 0.0) > 0]

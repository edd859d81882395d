"""NS407 adapter-without-buffers: a checkpoint lacks running statistics that have moved.

What it finds:
    Beside a file of weights, a normalization with running statistics that are no longer as a layer
    begins, where the file has other arrays of this model, but not these: it has the scale or bias
    of the layer, or it holds an adapter and the layer was in training mode.

Why it matters:
    Adapters and copies of parameters save what is learned by gradients. Running statistics are
    learned by calls. What is loaded from such a file has those of the base model, and differs from
    what was trained.

How it is found:
    From the stored statistics of the model, and the names in the file,
    audit(model, inputs, against="adapter_model.safetensors").

Measured:
    How many numbers of running statistics are missing, in how many layers, and how far the mean
    that is missing lies from 0, in deviations.

Known limits:
    The base model is not there to compare with. Statistics that were frozen (the layer was in
    evaluation mode, or nothing of it is learned) have not moved from it, and are not reported where
    the file holds nothing else of the layer.

Use instead:
    Save state_dict(), which has buffers too; for adapters, name the normalizations among the
    modules to save, or keep them in evaluation mode while training.

References:
    peft#1732, peft PR 1734, peft PR 3481
"""

from __future__ import annotations

import re
from collections.abc import Iterator

import numpy as np

from normscope.audit.finding import Finding, Severity
from normscope.audit.model_graph import ModelGraph, Site
from normscope.audit.parameters import is_initial
from normscope.audit.rule import Rule, Symptom, once_per_model
from normscope.errors import printable
from normscope.wording import counted

_ADAPTER = re.compile(r"\blora_|\badapter|\blokr_|\bloha_|\bhada_|\boft_|\bia3_", re.IGNORECASE)
"""In the names of arrays of adapters."""

_STATISTICS = ("running_mean", "running_var")


class AdapterWithoutBuffers(Rule):
    code, name, since = "NS407", "adapter-without-buffers", "0.1"
    severity = Severity.WARNING
    symptoms = (Symptom.FINETUNING,)

    def check(self, site: Site, graph: ModelGraph) -> Iterator[Finding]:
        if graph.against is None or id(site) not in (missing := _missing(graph)):
            return
        mean, var = (np.asarray(site.arrays[role], np.float64) for role in _STATISTICS)
        moved = float(np.max(np.abs(mean) / np.sqrt(np.maximum(var, 1e-12))))
        numbers = sum(missing.values())
        yield self.finding(
            site,
            "the running mean and variance have moved from where a layer begins (the mean by up to "
            f"{moved:.3g} deviations) and are not in {printable(graph.against.graph.file)}; it "
            f"lacks {numbers:,} such numbers of {counted(len(missing), 'normalization')}",
            fix="save the running statistics with the weights, as state_dict() does, or keep the "
            "layer in evaluation mode while training",
            evidence={"moved": moved, "numbers": numbers, "normalizations": len(missing)},
        )


@once_per_model
def _missing(graph: ModelGraph) -> dict[int, int]:
    """How many numbers of running statistics a file lacks, by the identity of the site."""
    if graph.against is None:
        return {}
    is_adapter = any(_ADAPTER.search(name) for name in graph.against.graph.array_names)
    return {
        id(site): sum(site.arrays[role].size for role in _STATISTICS)
        for site in graph.sites
        if _lacks(site, graph, is_adapter)
    }


def _lacks(site: Site, graph: ModelGraph, is_adapter: bool) -> bool:
    """Whether a file of weights alone lacks running statistics of a site that have moved."""
    if graph.against is None or not graph.against.graph.array_names:
        return False
    if any(site.stored(role) is None for role in _STATISTICS):
        return False
    if all(is_initial(site, role) for role in _STATISTICS):
        return False
    other = graph.counterpart(site)
    if other is not None:
        return not any(role in other.arrays for role in _STATISTICS)
    return is_adapter and site.condition.training is True and site.condition.trainable is not False

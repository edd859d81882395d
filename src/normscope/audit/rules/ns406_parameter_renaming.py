"""NS406 parameter-renaming: what a checkpoint has under another name was not loaded.

What it finds:
    Beside a checkpoint, a normalization whose scale and bias are still as a layer begins while the
    checkpoint has trained ones for the same layer, under another last name: gamma for weight or
    scale, beta or offset for bias.

Why it matters:
    Loaders match names, and many skip what they do not find. The layer then multiplies by 1, with
    no more than a line in a log.

How it is found:
    From the arrays of the layer in the model and those of the file, audit(model, inputs,
    against="model.safetensors"), paired by the path of the layer.

Measured:
    How many normalizations this is so in, and the factor in the checkpoint that is farthest from 1.

Known limits:
    A model that is audited before anything was loaded is reported too: it is what a loader by names
    would leave.

Use instead:
    Rename the keys while loading, and load with strict=True.

References:
    transformers#29554, transformers PR 35615, timm#2324, 2noise/ChatTTS#732
"""

from __future__ import annotations

import re
from collections.abc import Iterator

import numpy as np

from normscope.audit.finding import Finding, Severity
from normscope.audit.model_graph import ModelGraph, Site
from normscope.audit.parameters import acting_scale, is_initial
from normscope.audit.rule import Rule, Symptom, once_per_model
from normscope.wording import counted, listed


class ParameterRenaming(Rule):
    code, name, since = "NS406", "parameter-renaming", "0.1"
    severity = Severity.WARNING
    symptoms = (Symptom.FINETUNING, Symptom.PORT)

    def check(self, site: Site, graph: ModelGraph) -> Iterator[Finding]:
        names, other = _missed(site, graph), graph.counterpart(site)
        if not names or other is None:
            return
        scale = acting_scale(other)
        farthest = 1.0 if scale is None else float(scale[np.argmax(np.abs(scale - 1))])
        pairs = [f"{theirs} (here {own})" for own, theirs in names]
        layers = _layers_missed(graph)
        yield self.finding(
            site,
            f"the reference has trained numbers under {listed(pairs)}, factors up to "
            f"{farthest:.3g}, and here they are as a layer begins; so in "
            f"{counted(layers, 'normalization')} of the model",
            fix="rename the keys while loading, and load with strict=True",
            evidence={"names": dict(names), "factor": farthest, "normalizations": layers},
        )


@once_per_model
def _layers_missed(graph: ModelGraph) -> int:
    """How many normalizations lack what the reference has under another name."""
    return sum(bool(_missed(site, graph)) for site in graph.sites)


def _missed(site: Site, graph: ModelGraph) -> list[tuple[str, str]]:
    """The last names, here and in the reference, of what was not loaded."""
    other = graph.counterpart(site)
    if other is None:
        return []
    roles = [role for role in ("scale", "bias") if role in site.parameters]
    if any(not is_initial(site, role) for role in roles):
        return []
    found = []
    for role in roles:
        own, theirs = _last(site.parameters[role]), _last(other.parameters.get(role, ""))
        if theirs and own != theirs and not is_initial(other, role):
            found.append((own, theirs))
    return found


def _last(path: str) -> str:
    """The last word of the name of an array."""
    words = re.findall(r"\w+", path)
    return words[-1] if words else ""

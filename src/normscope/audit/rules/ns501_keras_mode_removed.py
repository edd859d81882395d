"""NS501 keras-mode-removed: Keras 1 modes 1 and 2 have no argument in Keras 2 and 3.

What it finds:
    A Keras 1 BatchNormalization with mode=1 or mode=2.

Why it matters:
    Keras 2 and 3 refuse the keyword. Whoever drops it "because then it runs" gets mode 0, another
    layer: over the batch, with running statistics.

How it is found:
    From the stored configuration.

Measured:
    The mode, as it is stored; over which axes it takes its statistics follows from the source of
    that release, and is what the report says of the layer.

Known limits:
    A layer of a class of the user's own, in a file, is not known.

Use instead:
    Mode 1 takes mean and variance over the last axis: LayerNormalization(axis=-1), but for the
    place of epsilon. Mode 2 is BatchNormalization called with training=True, also at inference.

References:
    keras#3756, keras#11755, keras#10210
"""

from __future__ import annotations

from collections.abc import Iterator

from normscope.audit.finding import Finding, Severity
from normscope.audit.model_graph import ModelGraph, Site
from normscope.audit.rule import Rule, Symptom


class KerasModeRemoved(Rule):
    code, name, since = "NS501", "keras-mode-removed", "0.1"
    severity = Severity.WARNING
    symptoms = (Symptom.PORT,)

    def check(self, site: Site, graph: ModelGraph) -> Iterator[Finding]:
        if graph.framework != "keras1" or site.declared is None:
            return
        spec, mode = site.declared.train, site.declared.settings.get("mode", 0)
        if mode == 0:
            return
        today = graph.advice.layer(spec, site.layout) if site.layout else None
        if today is None:
            fix = f'state it with {graph.advice.norm}("{spec.pattern}")'
        else:
            fix = f"the nearest layer of {graph.advice.framework} is {today.code}"
            fix += f"\n{today.difference}" if today.difference else ""
        yield self.finding(
            site,
            f"mode={mode:g} exists in Keras 1 only; without the argument today's layer computes "
            "something else",
            fix=fix,
            evidence={
                "mode": mode,
                "keras3": today.code if today else None,
                "difference": today.difference if today else None,
            },
        )

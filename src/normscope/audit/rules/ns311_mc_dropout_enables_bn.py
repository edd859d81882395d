"""NS311 mc-dropout-enables-bn: dropout at inference, and statistics of the batch along with it.

What it finds:
    A model in which dropout drops at inference while a normalization takes its statistics from the
    batch at inference too: training mode was switched on for the one, and the other went along.

Why it matters:
    Repeated predictions are to show how uncertain the model is. Their spread now holds what the
    other samples of the batch do, too, and a single sample is normalized by itself; the running
    statistics may be rewritten by each prediction.

How it is found:
    By following the model at inference: which random masks are applied to values, and which
    normalizations take statistics across samples.

Measured:
    The number of places at which random masks are applied.

Known limits:
    Any random mask counts as a dropout, stochastic depth too.

Use instead:
    Training mode for the dropout layers alone: in PyTorch model.eval() and .train() on each dropout
    layer; in Keras Dropout(...)(x, training=True); in Flax deterministic=False for them only.

References:
    keras#9412, lightning-uq-box PR 173, neon#266, CLAM PR 314
"""

from __future__ import annotations

from collections.abc import Iterator

from normscope.audit.finding import Finding, Severity
from normscope.audit.model_graph import ModelGraph, Site
from normscope.audit.rule import Intent, Rule, Symptom
from normscope.wording import counted, listed


class McDropoutEnablesBn(Rule):
    code, name, since = "NS311", "mc-dropout-enables-bn", "0.1"
    severity = Severity.WARNING
    symptoms = (Symptom.BATCH, Symptom.EVALUATION)
    intents = (Intent.TRANSDUCTIVE, Intent.TEST_TIME_ADAPTATION)

    def check(self, site: Site, graph: ModelGraph) -> Iterator[Finding]:
        masks = graph.drops_at_inference
        if not masks or site.infer is None or not site.couples_samples(site.infer):
            return
        places = [path or "the model itself" for path in dict.fromkeys(masks)]
        shown = listed(places[:3]) + (" and others" if len(places) > 3 else "")
        yield self.finding(
            site,
            f"at inference random masks drop values at {counted(len(masks), 'place')} ({shown}), "
            "and here mean and variance are those of the batch: repeated predictions mix what "
            "dropout does with what the other samples do",
            fix="switch the dropout layers alone to training mode, and keep this one at inference",
            evidence={"masks": len(masks), "at": places[:10]},
        )

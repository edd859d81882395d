"""NS312 instance-norm-stats-checkpoint: running statistics are there, and no mode reads them.

What it finds:
    A layer that holds running statistics but takes those of its input in both modes, as PyTorch's
    InstanceNorm with track_running_stats=False; and, beside a model or checkpoint to compare with,
    a layer without running statistics whose counterpart has them.

Why it matters:
    Old versions of PyTorch kept running statistics in instance normalization, and used them at
    inference. A checkpoint of that time does not load any more; with strict=False it loads, the
    statistics are dropped without a word, and the outputs are others.

How it is found:
    From the arrays that the layer holds and those that a mode reads; of a pair, from the arrays
    stored on each side.

Measured:
    The number of stored values that nothing reads.

Known limits:
    Of a checkpoint alone it is not known which layers it is for: give the model, and the
    checkpoint as what it is compared with. Where a layer of another type takes statistics of the
    batch, as a batch norm that was replaced, nothing is said.

Use instead:
    track_running_stats=True, to compute what the checkpoint was trained for; or delete the
    statistics from the checkpoint, if the model was trained without them.

References:
    DeblurGAN#130, DeblurGAN#80, PyTorch-Multi-Style-Transfer#32, Face-Sketch-Wild#3, DecGAN#1
"""

from __future__ import annotations

from collections.abc import Iterator

from normscope.audit.finding import Finding, Severity
from normscope.audit.model_graph import ModelGraph, Site
from normscope.audit.rule import Rule, Symptom
from normscope.wording import listed


class InstanceNormStatsCheckpoint(Rule):
    code, name, since = "NS312", "instance-norm-stats-checkpoint", "0.1"
    severity = Severity.WARNING
    symptoms = (Symptom.PORT, Symptom.FINETUNING)

    def check(self, site: Site, graph: ModelGraph) -> Iterator[Finding]:
        if site.condition.unused:
            names = listed(list(site.condition.unused))
            yield self.finding(
                site,
                f"it holds {names}, but takes the statistics of its input in both modes, so "
                "nothing reads them",
                fix="set track_running_stats=True if it was trained to use them, else delete them",
                evidence={"unused": list(site.condition.unused)},
            )
            return
        other = graph.counterpart(site)
        if other is None:
            return
        for one, another in ((site, other), (other, site)):
            stored = another.stored("running_mean")
            if stored is not None and _takes_its_own(one) and not _replaces(one, another):
                whose = "the model that it is compared with" if one is site else "this one"
                here = "here" if one is site else "in the model that it is compared with"
                yield self.finding(
                    site,
                    f"{whose} stores running statistics ({stored.size} channels), and {here} the "
                    "layer takes those of its input in both modes: they are not read, and the "
                    "outputs differ",
                    fix="set track_running_stats=True to compute what it was trained for",
                    evidence={"unused": ["running_mean", "running_var"], "values": stored.size},
                )


def _replaces(one: Site, another: Site) -> bool:
    """Whether it is another normalization put in the place of a batch norm, which has no such.

    Statistics of a batch have no counterpart in those of a sample: surgery-drops-config tells
    what such a replacement loses.
    """
    of_a_batch = another.couples_samples(another.train or another.remembered)
    return bool(of_a_batch) and one.type != another.type


def _takes_its_own(site: Site) -> bool:
    """Whether it takes statistics within each sample at inference too."""
    takes = site.infer is not None and site.infer.pattern is not None
    return takes and site.couples_samples(site.infer) is False and site.running is None

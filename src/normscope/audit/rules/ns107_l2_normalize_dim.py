"""NS107 l2-normalize-dim: vectors are divided by a length that runs over tokens or samples.

What it finds:
    A division by the length (or the sum of absolute values) of vectors, where these vectors run
    along the tokens of a sample, or over the samples of a batch, and not along the features:
    `F.normalize(x)` on (batch, length, features), whose default dim is 1; `F.normalize(x, dim=0)`;
    `x / x.norm()` of a whole batch.

Why it matters:
    Cosine similarities computed from it are none. Over the batch, the prediction for one sample
    depends on the others, and for one sample alone it keeps only signs.

How it is found:
    From the axes of the norm, and the axes along which the layers upstream put the channels that
    they make. Where a product with another value sums along the very axes of the norm, as in
    attention across channels, the norm is right there, and nothing is said.

Measured:
    The lengths of the axes along which one norm runs, at this place in the model.

Known limits:
    Where nothing upstream makes channels, nothing is said of norms within a sample.

Use instead:
    dim=-1 in torch, axis=-1 elsewhere, for features on the last axis.

References:
    gabeur/mmt#1, SoundCLR#4, CLIP_Surgery#35, deep_qa PR 152
"""

from __future__ import annotations

from collections.abc import Iterator

from normscope.audit.finding import Finding, Severity
from normscope.audit.model_graph import ModelGraph, Site
from normscope.audit.rule import Intent, Rule, Symptom
from normscope.notation.spec import Measure
from normscope.wording import counted, listed


class L2NormalizeDim(Rule):
    code, name, since = "NS107", "l2-normalize-dim", "0.1"
    severity = Severity.ERROR
    symptoms = (Symptom.BATCH, Symptom.LEARNING)
    intents = (Intent.TRANSDUCTIVE, Intent.PER_POSITION)

    def check(self, site: Site, graph: ModelGraph) -> Iterator[Finding]:
        spec, shape = site.spec, site.input_shape
        if spec is None or shape is None or site.flow is None or site.sample_axes is None:
            return
        if spec.center or spec.measure not in (Measure.L2, Measure.L1):
            return
        shared = {axis for axis in site.shared_axes if shape[axis] != 1}
        if any(shared & set(product.along) for product in site.flow.comparisons):
            return  # what is compared is what has this length
        samples = shared & set(site.sample_axes)
        if not samples and not self._over_positions(site, shared):
            return
        along = listed([f"axis {axis}, of length {shape[axis]}" for axis in shared])
        made = sorted(site.flow.channel_axes or ())
        where = listed([f"axis {axis}" for axis in made])
        yield self.finding(
            site,
            (
                f"one norm runs along {along}, over {counted(len(samples), 'axis')} of samples: "
                "the output for a sample depends on the others in its batch"
                if samples
                else f"one norm runs along {along}, but the features are on {where}"
            ),
            fix=f"normalize along {where}" if made else "normalize along the features alone",
            evidence={
                "axes": sorted(shared),
                "sample_axes": list(site.sample_axes),
                "channel_axes": made,
                "input_shape": list(shape),
            },
            severity=Severity.ERROR if samples else Severity.WARNING,
        )

    def _over_positions(self, site: Site, shared: set[int]) -> bool:
        """Whether the axes hold no features, though others do."""
        assert site.flow is not None
        made = site.flow.channel_axes
        if not shared or not made or shared & made or made <= set(site.sample_axes or ()):
            return False
        rank = len(site.input_shape or ())
        positions = set(range(rank)) - made - set(site.sample_axes or ())
        convolved = any(maker.convolves for maker in site.makers)
        return not (convolved and len(positions) > 1 and shared == positions)

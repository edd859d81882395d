"""NS506 instance-norm-affine-default: one instance normalization learns, the other does not.

What it finds:
    An instance normalization without a learned scale and bias where its counterpart in the
    reference has them, or the other way round; in one model, an instance normalization of PyTorch
    with its default, affine=False, among normalizations that all learn both.

Why it matters:
    torch.nn.InstanceNorm2d learns nothing by default; the layers of Keras, TensorFlow and Flax,
    and the paper, learn scale and bias. A port loses them, or has weights that do not fit.

How it is found:
    From the arrays of each layer, by its formula, and the sites of both models in pairs. In one
    model only what PyTorch declares by default is looked at, and only where no scale or shift from
    elsewhere follows.

Measured:
    How many numbers the counterpart learns, and the factor that is farthest from 1; in one model,
    how many normalizations learn scale and bias.

Known limits:
    Adaptive instance normalization has its scale and bias from elsewhere; it is not reported in
    one model, and is beside a reference that learns them.

Use instead:
    affine=True.

References:
    pytorch#22755, pytorch PR 8895, tensorflow/examples PR 81
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from normscope.audit.finding import Finding, Severity
from normscope.audit.model_graph import ModelGraph, Site
from normscope.audit.parameters import acting_scale, learns, within_sample
from normscope.audit.rule import Rule, Symptom
from normscope.graph.operators import Role

FEWEST = 2
"""Of other normalizations that learn scale and bias."""


class InstanceNormAffineDefault(Rule):
    code, name, since = "NS506", "instance-norm-affine-default", "0.1"
    severity = Severity.WARNING
    symptoms = (Symptom.PORT,)

    def check(self, site: Site, graph: ModelGraph) -> Iterator[Finding]:
        if not _is_instance_norm(site):
            return
        other = graph.counterpart(site)
        if other is not None:
            if _is_instance_norm(other):
                yield from self._of_pair(site, other)
            return
        yield from self._alone(site, graph)

    def _of_pair(self, site: Site, other: Site) -> Iterator[Finding]:
        own, theirs = learns(site), learns(other)
        if own == theirs:
            return
        lost, gained = sorted(theirs - own), sorted(own - theirs)
        one, two = (other, site) if lost else (site, other)
        where, elsewhere = (
            ("the reference", "this layer") if lost else ("this layer", "the reference")
        )
        what = " and ".join(sorted(lost or gained, reverse=True))
        scale = acting_scale(one)
        size = sum(int(np.size(one.arrays[role])) for role in lost or gained if role in one.arrays)
        farthest = 1.0 if scale is None else float(scale[np.argmax(np.abs(scale - 1))])
        yield self.finding(
            site,
            f"{where} learns {what} ({size} numbers, factors up to {farthest:.3g}), {elsewhere} "
            "does not",
            fix="set affine=True, or the like, and load them"
            if lost
            else "leave scale and bias out, or see that they stay 1 and 0",
            evidence={
                "lost": lost,
                "gained": gained,
                "numbers": size,
                "factor": farthest,
                "reference": two.path if two is other else one.path,
            },
        )

    def _alone(self, site: Site, graph: ModelGraph) -> Iterator[Finding]:
        declared = site.declared
        if learns(site) or declared is None or declared.settings.get("affine", True):
            return
        if any(step.role in (Role.MULTIPLY, Role.SHIFT) for step in site.around.users):
            return
        others = [one for one in graph.sites if one is not site and one.spec is not None]
        if len(others) < FEWEST or any(learns(one) != {"scale", "bias"} for one in others):
            return
        yield self.finding(
            site,
            "this layer learns no scale and bias (affine=False is the default of PyTorch), and all "
            f"{len(others)} other normalizations of the model do",
            fix="set affine=True if that is not meant so",
            evidence={"others": len(others)},
            severity=Severity.INFO,
        )


def _is_instance_norm(site: Site) -> bool:
    """Whether its sets are the positions of one channel of one sample."""
    if not within_sample(site) or site.layout is None or site.spec is None:
        return False
    if not site.spec.center or len(site.layout.shape) < 3:
        return False
    words = [site.word(dim) for dim in range(len(site.layout.shape))]
    shared = words.count("shared")
    return shared == len(words) - 2 and words.count("independent") == 2

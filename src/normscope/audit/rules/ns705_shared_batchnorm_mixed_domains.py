"""NS705 shared-batchnorm-mixed-domains: one batch norm runs on batches of several inputs in a step.

What it finds:
    A batch normalization with running statistics that one forward pass of the training model calls
    several times, on values that come from different inputs of the model: real and generated
    images, source and target domain, clean and disturbed samples.

Why it matters:
    Each call normalizes its batch by the statistics of that batch and moves the running statistics
    towards it. What is stored is a mixture that fits none of them, so evaluation differs from
    training, and a batch of one domain is normalized by numbers that no training step has used.

How it is found:
    From the graph of the training model: the calls of the layer depend on different inputs, and
    none on what another call gave. A layer that runs again on the same input, or in a recurrence,
    is left alone. Calls in separate forward passes are not seen.

Measured:
    How often the layer is called in one step, and how far the batch means of its calls are apart
    for the inputs of the audit, in standard deviations, averaged over channels.

Known limits:
    Inputs of an audit that are random say nothing of how far the domains are apart. Two views of
    the same images, as in siamese training, follow one distribution, and sharing is meant there.

Use instead:
    One call on the concatenated batch, or one batch norm for each domain.

References:
    DCGAN-tensorflow#266, ganhacks#52, self-ensemble-visual-domain-adapt-photo#3, DSBN#10,
    pytorch#8985
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence

import numpy as np

from normscope.audit.finding import Finding, Severity
from normscope.audit.model_graph import ModelGraph, Site
from normscope.audit.rule import Intent, Rule, Symptom
from normscope.audit.surroundings import Source


class SharedBatchnormMixedDomains(Rule):
    code, name, since = "NS705", "shared-batchnorm-mixed-domains", "0.1"
    severity = Severity.WARNING
    symptoms = (Symptom.EVALUATION, Symptom.LEARNING)
    intents = (Intent.TRANSDUCTIVE, Intent.TEST_TIME_ADAPTATION)

    def check_model(self, graph: ModelGraph) -> Iterator[Finding]:
        calls = defaultdict[str, list[Site]](list)
        for site in graph.sites:
            if site.path and _stores_batch_statistics(site):
                calls[site.path].append(site)
        for sites in calls.values():
            if len(sites) < 2 or any(site.around.follows for site in sites):
                continue
            pair = _different(sites)
            if pair is None:
                continue
            names = [" and ".join(one.name for one in site.around.sources) for site in pair]
            distance = _distance(*pair)
            apart = (
                ""
                if distance is None
                else f"; with these inputs their means are {distance:.2g} standard deviations apart"
            )
            yield self.finding(
                sites[0],
                f"it runs {len(sites)} times in one training step, on batches that come from "
                f"{names[0]} and from {names[1]}, and its running statistics become a mixture of "
                f"both{apart}",
                fix="concatenate the batches and call it once, or use one batch norm for each of "
                "them",
                evidence={"calls": len(sites), "sources": names, "distance": distance},
            )


def _stores_batch_statistics(site: Site) -> bool:
    """Whether it takes the statistics of the batch in training and stored ones at inference."""
    stores = site.running is not None or (site.infer is not None and site.infer.pattern is None)
    return stores and site.train is not None and site.couples_samples(site.train) is True


def _different(sites: Sequence[Site]) -> tuple[Site, Site] | None:
    """Two calls that depend on different inputs."""
    for number, one in enumerate(sites):
        for other in sites[number + 1 :]:
            mine, theirs = set(one.around.sources), set(other.around.sources)
            if _apart(mine - theirs, theirs - mine, mine & theirs):
                return one, other
    return None


def _apart(mine: set[Source], theirs: set[Source], common: set[Source]) -> bool:
    """Whether each has an input of its own; or one has one that is like what they share."""
    if mine and theirs:
        return True
    return any(
        len(one.shape) > 1 and one.shape == two.shape for one in mine | theirs for two in common
    )


def _distance(one: Site, other: Site) -> float | None:
    """How far two batches are apart, in standard deviations, averaged over channels."""
    batches = one.around.receiving(), other.around.receiving()
    if one.layout is None or batches[0] is None or batches[1] is None:
        return None
    over = tuple(n for n in range(batches[0].ndim) if one.word(n) == "shared")
    first, second = (np.asarray(batch, np.float64) for batch in batches)
    spread = np.sqrt((first.var(over) + second.var(over)) / 2)
    apart = np.abs(first.mean(over) - second.mean(over))
    distance = float(np.mean(apart / np.maximum(spread, np.finfo(np.float32).tiny)))
    return distance if np.isfinite(distance) else None

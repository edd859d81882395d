"""NS101 single-value-statistic: a statistics set holds one value, or two.

What it finds:
    A normalization whose statistics sets hold a single value: then x - mean is 0 and the output
    is the bias, whatever the input; without centring, x / |x| keeps the sign alone. With two values
    a centred output keeps only which of them is larger: it is +1 and -1.

Why it matters:
    The signal is erased while the loss still moves through the bias. Most frameworks do this
    silently, some raise an error in training only.

How it is found:
    By counting the elements of a set for the shape at this place in the model, from the spec that
    was found there, from what the layer declares, or from the axes that its operators reduce. Sets
    that span a batch are not judged: a live model is audited with any number of samples.

Measured:
    The number of values in a set. Layer normalization over an axis of length 1, and group
    normalization with one channel per group after global pooling, have one. Where no spec could be
    found, the place is run on two inputs, and both must give the same numbers.

Known limits:
    Sets of two values can be meant so, but rarely are. Weights that are divided by their sum, as
    those of the one expert that was chosen, are no normalization, and nothing is said of them.

Use instead:
    Normalize before pooling, or over more axes.

References:
    pytorch#45687, pytorch#11991, fastai#1352
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from normscope.audit.finding import Finding, Severity
from normscope.audit.model_graph import ModelGraph, Site
from normscope.audit.rule import Rule, Symptom


class SingleValueStatistic(Rule):
    code, name, since = "NS101", "single-value-statistic", "0.1"
    severity = Severity.ERROR
    symptoms = (Symptom.CONSTANT, Symptom.LEARNING)

    def check(self, site: Site, graph: ModelGraph) -> Iterator[Finding]:
        found = _by_spec(site, graph) or _by_operators(site)
        if found is None:
            return
        size, sets, consequence = found
        yield self.finding(
            site,
            f"each statistics set{sets} holds {size} value{'s' if size == 2 else ''}, so the "
            f"output {consequence}",
            fix="normalize before the axes become this short, or share statistics over more axes",
            evidence={"set_size": size, "input_shape": list(site.input_shape or ())},
            severity=Severity.ERROR if size == 1 else Severity.WARNING,
        )


_Found = tuple[int, str, str]
"""The number of values in a set, which sets, and what follows from it."""

_BIAS = "is the bias, whatever the input"
_SIGN = "only keeps the sign of the input"


def _by_spec(site: Site, graph: ModelGraph) -> _Found | None:
    spec, layout = site.spec, site.layout
    if spec is None or layout is None or layout.set_size not in (1, 2):
        return None
    if graph.followed and site.couples_samples(spec):
        return None  # the inputs of an audit may hold fewer samples than a batch
    sets = f' of "{spec.pattern}"'
    if layout.set_size == 1:
        return 1, sets, _BIAS if spec.center else _SIGN
    if not spec.center or spec.measure == "none":
        return None  # the ratio of both is left, or half their difference
    return 2, sets, "only says which of the two is larger"


def _by_operators(site: Site) -> _Found | None:
    """Of a place where no spec was found, seen in two runs."""
    if site.spec is not None or site.set_size != 1 or site.probe is None or not site.input_shape:
        return None
    shape = [length or 1 for length in site.input_shape]
    if site.sample_axes is None or any(shape[axis] < 2 for axis in site.sample_axes):
        return None  # one sample alone: statistics over the batch have one value by chance
    x = np.random.default_rng(1).uniform(1.0, 2.0, shape)
    ys = [site.probe(one) for one in (x, 3 * x, -x)]
    first, larger, negative = (y if y is not None and np.isfinite(y).all() else None for y in ys)
    if first is None or larger is None or negative is None:
        return None
    if not np.allclose(first, larger, rtol=1e-3, atol=1e-6):
        return None
    return 1, "", _BIAS if np.allclose(first, negative, rtol=1e-3, atol=1e-6) else _SIGN

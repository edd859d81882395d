"""NS504 eps-mismatch: the eps of a layer is not that of its reference, or of its equals.

What it finds:
    Beside a reference, a normalization whose eps differs from that of its counterpart. In one
    model, a single normalization whose eps differs from that of all others of its kind and width.

Why it matters:
    Defaults differ: 1e-3 in Keras, 1e-5 in PyTorch, 1e-6 in Flax and in vision transformers, 1e-12
    in BERT. A port with the default of its own framework drifts a little in each layer, and much in
    channels or rows that hardly vary.

How it is found:
    By the formula that reproduces each of the two layers, and their sites in pairs.

Measured:
    The variance below which outputs change by more than 1 %, from (v + a) / (v + b) = 1.01^2; with
    stored variances, how many of them are below.

Known limits:
    A single layer of another eps can be meant so; without a reference it is something to know.

Use instead:
    The eps with which the weights were trained.

References:
    transformers PR 585, huggingface/candle PR 271, CTranslate2 PR 951, llm-foundry PR 1399
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Iterator

import numpy as np

from normscope.audit.finding import Finding, Severity
from normscope.audit.model_graph import Kind, ModelGraph, Site
from normscope.audit.parameters import channels_of, spec_with_parameters
from normscope.audit.rule import Rule, Symptom, once_per_model
from normscope.wording import counted

FEWEST = 3
"""Of equal layers, that one is said to differ from the others."""

_CHANGE = 1.01**2
"""Of v + eps, for a change of the output by 1 %."""


class EpsMismatch(Rule):
    code, name, since = "NS504", "eps-mismatch", "0.1"
    severity = Severity.WARNING
    symptoms = (Symptom.PORT,)

    def check(self, site: Site, graph: ModelGraph) -> Iterator[Finding]:
        if id(site) in (odd := _odd_ones(graph)):
            yield from self._alone(site, *odd[id(site)])
            return
        other, own = graph.counterpart(site), _eps(site)
        theirs = None if other is None else _eps(other)
        if other is None or own is None or theirs is None or _kind(site) != _kind(other):
            return
        below = least_variance(own, theirs)
        if below <= 0:
            return
        variance = site.stored("running_var")
        stored = variance is not None and site.running is not None and not site.running.deviation
        if variance is not None and stored:
            few = int(np.count_nonzero(variance < below))
            where = f"as {few} of {counted(variance.size, 'stored variance')} {_be(few)}"
        else:
            where = ""
        yield self.finding(
            site,
            f"eps is {own:g} here and {theirs:g} in {other.path or 'the reference'} of the "
            f"reference: where the variance is below {below:.2g}, outputs change by more than 1 %"
            + (f" ({where})" if where else ""),
            fix=f"set eps to {theirs:g}, with which the weights were trained",
            evidence={"eps": own, "reference": theirs, "variance": below},
        )

    def _alone(self, site: Site, usual: float, others: int) -> Iterator[Finding]:
        own = _eps(site)
        assert own is not None
        below = least_variance(usual, own)
        yield self.finding(
            site,
            f"eps is {own:g} here and {usual:g} in the other {others} layers of its kind: where "
            f"the variance is below {below:.2g}, outputs differ by more than 1 %",
            fix=f"set eps to {usual:g} unless it is meant to differ",
            evidence={"eps": own, "others": usual, "layers": others, "variance": below},
            severity=Severity.INFO,
        )


@once_per_model
def _odd_ones(graph: ModelGraph) -> dict[int, tuple[float, int]]:
    """The eps of all equal layers, and their number, by the identity of a site that differs."""
    alike: dict[Hashable, list[Site]] = {}
    for site in graph.sites:
        if _eps(site) is not None and graph.counterpart(site) is None:
            alike.setdefault((*_kind(site), channels_of(site)), []).append(site)
    found = {}
    for sites in alike.values():
        counts = Counter(map(_eps, sites))
        if len(counts) != 2 or len(sites) < FEWEST:
            continue
        (usual, _), (odd, times) = counts.most_common()
        if times == 1 and usual is not None and odd is not None and least_variance(usual, odd):
            site = next(one for one in sites if _eps(one) == odd)
            found[id(site)] = usual, len(sites) - 1
    return found


def least_variance(one: float, other: float) -> float:
    """The variance below which two eps make outputs that differ by more than 1 %; 0: none."""
    larger, smaller = max(one, other), min(one, other)
    return max(0.0, (larger - _CHANGE * smaller) / (_CHANGE - 1))


def _eps(site: Site) -> float | None:
    """The eps inside the root; None where there is none to compare."""
    spec = spec_with_parameters(site)
    if spec is None or site.kind not in (Kind.NORMALIZATION, Kind.STORED) or spec.eps_outside:
        return None
    return spec.eps


def _kind(site: Site) -> tuple[Hashable, ...]:
    """What has to be the same in two layers, for their eps to be the same number."""
    spec = site.spec
    return () if spec is None else (spec.center, spec.measure, site.couples_samples(spec))


def _be(count: int) -> str:
    return "is" if count == 1 else "are"

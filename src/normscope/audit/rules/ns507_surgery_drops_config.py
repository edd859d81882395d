"""NS507 surgery-drops-config: a layer was replaced, and what the old one had is gone.

What it finds:
    Beside the model as it was, a normalization of another kind in the place of one (group or
    instance normalization for batch normalization, a frozen one, ...) that has another eps, no
    learned scale or bias, or both at their initial values where the old one had trained ones; and
    one of the same kind that has lost its running statistics.

Why it matters:
    Converters make a new layer with the defaults of its class. The trained scale is gone, and a
    pretrained model is damaged before the first step of training.

How it is found:
    From the sites of both models in pairs: their formulas, and their arrays.

Measured:
    The eps of both, and how many trained numbers of scale and bias are gone.

Known limits:
    What is trained from scratch loses nothing.

Use instead:
    Copy eps, scale and bias into the new layer; they have one number for each channel in both.

References:
    opacus PR 580, opacus PR 390, opacus#638
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator

from normscope.audit.finding import Finding, Severity
from normscope.audit.model_graph import Kind, ModelGraph, Site
from normscope.audit.parameters import is_initial, learns, spec_with_parameters
from normscope.audit.rule import Rule, Symptom
from normscope.wording import counted, listed


class SurgeryDropsConfig(Rule):
    code, name, since = "NS507", "surgery-drops-config", "0.1"
    severity = Severity.WARNING
    symptoms = (Symptom.FINETUNING,)

    def check(self, site: Site, graph: ModelGraph) -> Iterator[Finding]:
        other = graph.counterpart(site)
        if other is None or site.spec is None or other.spec is None:
            return
        if _kind(site) == _kind(other):
            lost = list(_of_same_kind(site, other))
        else:
            lost = list(_of_another_kind(site, other))
        if not lost:
            return
        yield self.finding(
            site,
            f"in the place of {other.title} of the reference stands {site.title}, and "
            + "; ".join(said for _, said in lost),
            fix="copy eps, scale and bias into the new layer",
            evidence={"lost": [what for what, _ in lost], "reference": other.path},
        )


def _of_same_kind(site: Site, other: Site) -> Iterator[tuple[str, str]]:
    if other.running is not None and site.running is None and site.kind is Kind.NORMALIZATION:
        yield "running statistics", "it keeps no running statistics any more"


def _of_another_kind(site: Site, other: Site) -> Iterator[tuple[str, str]]:
    own, theirs = spec_with_parameters(site), spec_with_parameters(other)
    if own is not None and theirs is not None and own.eps != theirs.eps:
        yield "eps", f"eps is {own.eps:g} instead of {theirs.eps:g}"
    missing = sorted(learns(other) - learns(site), reverse=True)
    if missing:
        yield "affine", f"no {listed(missing, 'or')} is learned any more"
    gone = [
        role for role in ("scale", "bias") if not is_initial(other, role) and is_initial(site, role)
    ]
    if gone:
        numbers = sum(other.arrays[role].size for role in gone)
        yield (
            "trained values",
            f"{counted(numbers, 'trained number')} of its {listed(gone)} "
            f"{'is' if numbers == 1 else 'are'} gone",
        )


def _kind(site: Site) -> Hashable:
    """What it normalizes: over which roles of axes, and whether with stored statistics alone."""
    spec = site.spec
    assert spec is not None
    words = None
    if site.layout is not None:
        shape = site.layout.shape
        words = tuple(sorted(str(site.word(dim)) for dim in range(len(shape))))
    return site.kind, spec.center, spec.measure, site.couples_samples(spec), words

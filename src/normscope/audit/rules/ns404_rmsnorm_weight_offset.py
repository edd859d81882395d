"""NS404 rmsnorm-weight-offset: the stored scale is centred on what the formula does not expect.

What it finds:
    Normalizations that compute `x * scale` with stored scales centred on 0, or `x * (1 + scale)`
    with stored scales centred on 1; and, beside a reference, equal numbers in another formula.

Why it matters:
    Two conventions are in use: the scale itself is stored, or what it differs from 1 (Gemma,
    Nemotron). A port or converter that forgets the 1 or adds it twice multiplies each channel by
    a wrong number, in every layer. Text becomes gibberish, or subtly worse.

How it is found:
    The formula is found by running the layer, not by its name. The stored scales of all
    normalizations within a sample that use one formula are looked at together, so that one unusual
    layer accuses nobody: plain scales begin at 1 and hardly ever cross 0 in training, so many
    negative ones around 0 tell that they are offsets from 1. Scales as they begin, all 0 with
    1 + scale or all 1 without, are right, and all 1 with 1 + scale is a factor of 2.

Measured:
    The mean and the spread of the stored scale, and of how many layers that holds.

Known limits:
    Trained plain scales near 0 exist, all of one sign; and trained offsets of 1 in some layers.
    They are not reported. A scale of exactly 1 throughout may be how such a layer was made, so it
    is a warning.

Use instead:
    The other formula, or add 1 to the stored scales (or subtract it) once while loading.

References:
    Liger-Kernel#74, vllm PR 31464, utensils/mold#1074, transformers PR 35708
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from normscope.audit.finding import Finding, Severity
from normscope.audit.model_graph import ModelGraph, Site
from normscope.audit.parameters import spec_with_parameters, within_sample
from normscope.audit.rule import Rule, Symptom, once_per_model
from normscope.wording import counted

FEWEST = 8
"""Of the numbers of a scale that tell where it is centred."""

MOST = 0.8
"""Of the layers of one formula, that have to agree."""


class RmsnormWeightOffset(Rule):
    code, name, since = "NS404", "rmsnorm-weight-offset", "0.1"
    severity = Severity.ERROR
    symptoms = (Symptom.PORT,)

    def check(self, site: Site, graph: ModelGraph) -> Iterator[Finding]:
        one, other = _stored(site), graph.counterpart(site)
        if one is None:
            return
        told = None if other is None else _stored(other)
        if told is not None and told.shift != one.shift and _equal(told.site, one.site):
            yield self._of_pair(one, told)
        elif one.is_wrong and one.shift in (layers := _wrong_layers(graph)):
            yield self._alone(one, layers[one.shift])

    def _of_pair(self, one: _Stored, other: _Stored) -> Finding:
        return self.finding(
            one.site,
            f"the stored scale is that of {other.site.path} in the reference, number by number, "
            f"but this layer computes {one.formula} and the reference {other.formula}",
            fix=_fix(one.shift),
            evidence={**one.evidence, "reference": other.formula},
        )

    def _alone(self, one: _Stored, layers: int) -> Finding:
        many = f", as in {counted(layers, 'layer')} of this model" if layers > 1 else ""
        return self.finding(
            one.site,
            f"the stored scale is centred on {one.mean:.3g} (spread {one.spread:.3g}){many}, and "
            f"this layer computes {one.formula}: it belongs to {_FORMULAS[1 - one.shift]}",
            fix=_fix(one.shift),
            evidence={**one.evidence, "layers": layers},
            severity=Severity.ERROR if layers > 1 and one.spread else Severity.WARNING,
        )


@once_per_model
def _wrong_layers(graph: ModelGraph) -> dict[int, int]:
    """How many layers hold the numbers of the other formula, by formula; of most, or none."""
    stored = [told for told in map(_stored, graph.sites) if told is not None]
    found = {}
    for shift in (0, 1):
        own = [one for one in stored if one.shift == shift]
        wrong = sum(one.is_wrong for one in own)
        if wrong and wrong >= MOST * len(own):
            found[shift] = wrong
    return found


_FORMULAS = ("x * scale", "x * (1 + scale)")


def _fix(shift: int) -> str:
    other = _FORMULAS[1 - shift]
    once = "subtract 1 from" if shift else "add 1 to"
    return f"compute {other}, or {once} the stored scales, once, while loading"


@dataclass(frozen=True)
class _Stored:
    """The stored scale of a site, and what the formula makes of it."""

    site: Site
    shift: int
    mean: float
    spread: float
    negative: float
    size: int

    @property
    def formula(self) -> str:
        return _FORMULAS[self.shift]

    @property
    def is_wrong(self) -> bool:
        """Whether the numbers are clearly those of the other formula."""
        if self.shift:
            if self.spread == 0:
                return self.mean == 1
            return 0.6 <= self.mean <= 1.5 and self.spread < 0.35 and self.negative < 0.02
        if self.spread == 0 or self.negative < 0.2:
            return False
        return abs(self.mean) < 0.3 and self.spread < 0.5

    @property
    def evidence(self) -> dict[str, object]:
        return {"mean": self.mean, "spread": self.spread, "formula": self.formula}


def _stored(site: Site) -> _Stored | None:
    """The stored scale of a normalization within a sample; None if there is none to be judged."""
    spec, scale = spec_with_parameters(site), site.stored("scale")
    if spec is None or scale is None or scale.size < FEWEST or not within_sample(site):
        return None
    numbers = np.asarray(scale, np.float64)
    if not np.isfinite(numbers).all():
        return None
    return _Stored(
        site,
        spec.scale_shift,
        float(numbers.mean()),
        float(numbers.std()),
        float(np.mean(numbers < 0)),
        numbers.size,
    )


def _equal(one: Site, other: Site) -> bool:
    """Whether they hold the same numbers, and these are more than how a layer begins."""
    own, others = one.stored("scale"), other.stored("scale")
    return (
        own is not None
        and others is not None
        and own.shape == others.shape
        and bool(np.ptp(own) > 0)
        and bool(np.allclose(own, others, rtol=1e-2, atol=1e-4))
    )

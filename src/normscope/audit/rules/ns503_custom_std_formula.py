"""NS503 custom-std-formula: a layer norm written by hand divides by something else.

What it finds:
    A centred normalization within a sample that divides by the deviation with N - 1 instead of N,
    adds eps to the root instead of inside it, or divides by another power of the variance, as after
    `** 2` where `** 0.5` was meant.

Why it matters:
    Weights that were trained with the usual formula give other numbers here, the more so the
    fewer elements a statistics set has. With another power of the variance nothing is normalized:
    the output still grows or shrinks with the input.

How it is found:
    By running the layer: the formula that reproduces it tells N - 1 and the place of eps. Where no
    formula does, the input is made larger in steps, and what the output does tells the power.

Measured:
    The largest difference to the standard formula, sqrt(var + eps) with N, relative to the largest
    output, on a random row of as many elements as a set has here; below which deviation a row
    changes by more than 1 % because of the place of eps; the power of the variance.

Known limits:
    A checkpoint that was trained with such a formula needs it. Differences of less than 1 % are to
    know, and no mistake.

Use instead:
    The framework's own layer; by hand, x.var(..., unbiased=False) and eps inside the root.

References:
    BERT-pytorch#30, annotated-transformer PR 119, TPlinker#37, hkproj/pytorch-transformer PR 31
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from normscope.audit.finding import Finding, Severity
from normscope.audit.model_graph import Kind, ModelGraph, Site
from normscope.audit.parameters import within_sample
from normscope.audit.rule import Rule, Symptom
from normscope.notation.spec import Measure, NormSpec
from normscope.reference import reference

NARROW = 0.01
"""The relative difference from which it is a warning: sets of 50 elements, with N - 1."""

_NORM = re.compile(r"norm|(\b|_)ln(\b|_|\d)", re.IGNORECASE)
"""In the names of layers that are meant to normalize."""

MOST_ELEMENTS = 2**20
"""Of an input on which powers are tried."""


class CustomStdFormula(Rule):
    code, name, since = "NS503", "custom-std-formula", "0.1"
    severity = Severity.WARNING
    symptoms = (Symptom.PORT,)

    def check(self, site: Site, graph: ModelGraph) -> Iterator[Finding]:
        spec = site.spec
        if graph.framework == "keras1":
            return  # its layers are not written by hand, and keras-mode-removed tells of them
        if spec is None and site.kind in (Kind.MIXING, Kind.UNKNOWN):
            yield from self._power(site)
        elif spec is None:
            return
        elif site.kind is Kind.NORMALIZATION and within_sample(site):
            yield from self._formula(site, spec, graph)

    def check_model(self, graph: ModelGraph) -> Iterator[Finding]:
        for site in graph.dismissed:  # a factor made of a statistic looks like a gate
            if _is_called_norm(site):
                yield from self._power(site)

    def _formula(self, site: Site, spec: NormSpec, graph: ModelGraph) -> Iterator[Finding]:
        if not spec.center or spec.measure is not Measure.VARIANCE or site.layout is None:
            return
        if spec.scale is None and spec.bias is None and not _is_called_norm(site):
            return  # inputs are standardized in many ways, and no weights depend on it
        size = site.layout.set_size
        if not (spec.ddof or spec.eps_outside) or size is None or size <= spec.ddof + 1:
            return
        standard = replace(spec, ddof=0, eps=spec.eps + spec.eps_outside, eps_outside=0.0)
        difference = _difference(spec, standard, size)
        message = (
            f"this layer divides by {_divisor(spec)}, not {_divisor(standard)}: on a "
            f"random row of {size} elements its output differs by {100 * difference:.2g} %"
        )
        below = _below(spec.eps_outside)
        if spec.eps_outside:
            message += f", and by more than 1 % on rows of a deviation below {below:.2g}"
        instead = graph.advice.layer(standard, site.layout)
        by_hand = "the variance with N, and eps inside the root"
        write = by_hand if instead is None else f"{instead.code}, or {by_hand}"
        yield self.finding(
            site,
            message,
            fix=f"keep it if the weights were trained so; else write {write}",
            evidence={
                "ddof": spec.ddof,
                "eps": spec.eps,
                "eps_outside": spec.eps_outside,
                "elements": size,
                "difference": difference,
            },
            severity=Severity.WARNING if difference >= NARROW else Severity.INFO,
        )

    def _power(self, site: Site) -> Iterator[Finding]:
        told = _power_told(site)
        if told is None:
            return
        power, centred = told
        grows = 1 - 2 * power
        how = "divided" if power > 0 else "multiplied"
        x, measure = ("x - mean", "the variance") if centred else ("x", "its mean square")
        yield self.finding(
            site,
            f"{x} is {how} by {measure} to the power {abs(power):g}, not divided by the root of it "
            f"(0.5): twice the input gives {2.0**grows:.3g} times the output, so nothing is "
            "normalized",
            fix=f"divide by ({'var' if centred else 'mean square'} + eps) ** 0.5",
            evidence={"power": power, "twice": 2.0**grows},
            severity=Severity.ERROR,
        )


def _is_called_norm(site: Site) -> bool:
    """Whether its layer is meant to normalize, by its name."""
    return _NORM.search(f"{site.path} {site.type}") is not None


def _divisor(spec: NormSpec) -> str:
    """What is divided by, as a formula."""
    unbiased = f"ddof={spec.ddof}" if spec.ddof else ""
    root = f"sqrt(var({unbiased or 'x'}) + {spec.eps:g})" if spec.eps else f"std({unbiased or 'x'})"
    return f"{root} + {spec.eps_outside:g}" if spec.eps_outside else root


def _difference(spec: NormSpec, standard: NormSpec, size: int) -> float:
    """The largest difference on a random row, relative to the largest output."""
    row = np.random.default_rng(0).standard_normal(size)
    row = (row - row.mean()) / row.std()

    def normalized(one: NormSpec) -> NDArray[np.float64]:
        return reference(row, "[c]", ddof=one.ddof, eps=one.eps, eps_outside=one.eps_outside)

    expected = normalized(standard)
    return float(np.abs(normalized(spec) - expected).max() / np.abs(expected).max())


def _below(eps: float) -> float:
    """The deviation below which sqrt(var + eps) and std + eps differ by more than 1 %."""
    deviations = np.geomspace(1e-12, 1e6, 18 * 200 + 1)
    apart = np.abs((deviations + eps) / np.sqrt(deviations**2 + eps) - 1) > 0.01
    return float(deviations[apart].max(initial=0.0))


def _power_told(site: Site) -> tuple[float, bool] | None:
    """The power of the variance by which x - mean is divided, or of the mean square for x.

    The output for zeros is the bias. Without it, x - mean times one factor for each set is left;
    how the factor changes with the size of x tells the power.

    Returns:
        The power, and whether the mean is subtracted; None if it is no such thing.
    """
    shape = site.input_shape
    if site.probe is None or shape is None:
        return None
    full = tuple(length for length in shape if length is not None)
    if len(full) != len(shape) or not 2 <= len(full) <= 5 or np.prod(full) > MOST_ELEMENTS:
        return None
    training = True in site.probe.modes
    x = np.random.default_rng(0).standard_normal(full)
    answers = [site.probe(numbers, training) for numbers in (0 * x, 4 * x, 8 * x)]
    if any(answer is None or answer.shape != full for answer in answers):
        return None
    bias, small, large = (answer for answer in answers if answer is not None)
    small, large = small - bias, large - bias
    if not np.isfinite(large).all() or not np.isfinite(small).all() or not small.any():
        return None
    told = np.abs(small) > 1e-2 * np.abs(small).max()
    grows = np.log2(np.abs(large[told] / small[told]))
    power = round(float(np.median(1 - grows))) / 2
    if power in (0.5, 0.0) or np.abs(grows - (1 - 2 * power)).max() > 0.02:
        return None
    return next(((power, c) for c in (True, False) if _is_by(x, small, power, c)), None)


def _is_by(x: NDArray[np.float64], y: NDArray[np.float64], power: float, centred: bool) -> bool:
    """Whether y is x, centred or not, by that power of its measure over some axes, and a scale."""
    last = x.ndim - 1
    candidates = {(last,), (1,), tuple(range(1, x.ndim)), tuple(range(2, x.ndim))} - {()}
    for axes in candidates:
        x0 = x - x.mean(axes, keepdims=True) if centred else x
        expected = x0 / (16 * (x0**2).mean(axes, keepdims=True)) ** power
        with np.errstate(all="ignore"):
            scale = y / expected
        middle = np.median(scale, 0, keepdims=True)
        if np.allclose(scale, middle, rtol=0.02, atol=0) and np.abs(middle).min() > 0:
            return True
    return False

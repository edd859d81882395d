"""NS203 one-pass-variance: the variance is the mean of squares minus the square of the mean.

What it finds:
    A normalization that computes the variance as E[x^2] - E[x]^2 in float32.

Why it matters:
    When the mean is large against the spread, two almost equal numbers are subtracted: digits
    cancel, the variance is wrong by orders of magnitude or below 0, and the output is wrong by as
    much, or NaN. Nothing is seen as long as the mean is small.

How it is found:
    By running the site on numbers with a spread of 1 and a growing mean, and on the same numbers
    with the mean taken off: both must come out the same.

Measured:
    By how much the output is off at a mean of 2000 and a spread of 1, relative to its own spread,
    and from which mean on it is off by more than 1 %.

Known limits:
    A model whose activations never have such a mean is not hurt, so this is an info where a layer
    of a library does it, as layers of Flax do by default; a warning where it is written by hand, or
    where running statistics show that such means occur. Of the layers of one class it is said at
    the first. Half precision is judged by low-precision-reduction.

Use instead:
    The mean of `(x - x.mean()) ** 2`; in Flax, `use_fast_variance=False`.

References:
    pytorch#51102, onnxruntime#28463, onnxruntime#21935, mlx#2238, tenstorrent/tt-metal#45968,
    equinox PR 314, keras-core PR 866
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from normscope.audit.finding import Finding, Severity
from normscope.audit.model_graph import Kind, ModelGraph, Site
from normscope.audit.probe import Probe
from normscope.audit.rule import Rule, Symptom, once_per_model
from normscope.notation.spec import Measure

MEAN = 2000.0
_MEANS = tuple(2.0**power for power in range(2, 12))
_WRONG = 0.05
_SEEN = 0.01

_FIXES = {"flax": "pass use_fast_variance=False", "haiku": "", "equinox": ""}


class OnePassVariance(Rule):
    code, name, since = "NS203", "one-pass-variance", "0.1"
    severity = Severity.WARNING
    symptoms = (Symptom.NAN, Symptom.PORT, Symptom.LEARNING)

    def check(self, site: Site, graph: ModelGraph) -> Iterator[Finding]:
        found = _shift_error_of(site, graph)
        if found is None:
            return
        error, since = found
        largest = _largest_mean(site)
        seen = largest is not None and largest >= since
        by_hand = site.declared is None and not site.composite
        alike: list[Site] = []
        if not seen and not by_hand:
            alike = _of_libraries(graph)[site.type]
            if alike[0] is not site:
                return  # said at the first of them
        said = (
            f"the variance is a mean of squares minus a squared mean: at mean {MEAN:g} and "
            f"standard deviation 1 the output is {_off(error)}, and from mean {since:g} on by "
            f"more than {_SEEN:.0%}"
        )
        if seen and largest is not None:
            said += f"; a running mean is {largest:.3g} standard deviations from 0"
        if len(alike) > 1:
            said += f"; so it is in {len(alike) - 1} more of {site.type}"
        yield self.finding(
            site,
            said,
            fix=_FIXES.get(graph.framework) or "subtract the mean before squaring",
            evidence={
                "mean": MEAN,
                "error": error if np.isfinite(error) else None,
                "wrong_from": since,
                "largest_running_mean": largest,
                "places": max(len(alike), 1),
            },
            severity=Severity.WARNING if seen or by_hand else Severity.INFO,
        )


def _shift_error_of(site: Site, graph: ModelGraph) -> tuple[float, float] | None:
    """The `shift_error` of a site, where it says that the variance is taken in one pass."""
    spec, probe = site.spec, site.probe
    if spec is None or probe is None or site.kind is Kind.STORED:
        return None
    if not spec.center or spec.measure != Measure.VARIANCE or spec.pattern is None:
        return None
    if site.train is None and site.infer is not None and site.infer.pattern is None:
        return None  # it was passed over in training, so that its stored statistics alone are seen
    if site.composite and graph.framework == "onnx":
        return None  # how it is computed is up to the runtime
    if probe.dtype not in ("float32", "float64") or any(probe.narrow):
        return None
    found = probe.once(shift_error)
    return found if found is not None and found[0] > _WRONG else None


@once_per_model
def _of_libraries(graph: ModelGraph) -> dict[str, list[Site]]:
    """The sites of layers of libraries that take the variance in one pass, by their class."""
    found: dict[str, list[Site]] = {}
    for site in graph.sites:
        of_library = site.declared is not None or site.composite
        if of_library and _shift_error_of(site, graph) is not None:
            found.setdefault(site.type, []).append(site)
    return found


def shift_error(probe: Probe) -> tuple[float, float] | None:
    """How far the output is off at a mean of 2000, and from which mean on by more than 1 %.

    The error is relative to the spread of the output; infinite where no number comes out.
    """
    shape = probe.small
    if shape is None:
        return None
    noise = np.random.default_rng(0).standard_normal(shape)
    error = _error(probe, noise, MEAN)
    if error is None:
        return None
    for mean in _MEANS:
        there = _error(probe, noise, mean)
        if there is not None and there > _SEEN:
            return error, mean
    return error, MEAN


def _error(probe: Probe, noise: np.ndarray, mean: float) -> float | None:
    x = probe.received(noise + mean)
    y, expected = probe.bare(x, training=True), probe.bare(x - mean, training=True)
    if y is None or expected is None or not np.isfinite(expected).all():
        return None
    spread = float(np.sqrt(np.mean((expected - expected.mean()) ** 2)))
    if spread == 0:
        return None
    error = float(np.sqrt(np.mean((y - expected) ** 2))) / spread
    return error if np.isfinite(error) else float("inf")


def _largest_mean(site: Site) -> float | None:
    """The largest running mean, in running deviations; None where there are none."""
    mean, var = site.stored("running_mean"), site.stored("running_var")
    if mean is None or var is None or mean.shape != var.shape or not (var > 0).all():
        return None
    deviation = var if site.running is not None and site.running.deviation else np.sqrt(var)
    return float(np.abs(mean / deviation).max(initial=0.0))


def _off(error: float) -> str:
    return "no number" if error == float("inf") else f"off by {error:.2g} standard deviations"

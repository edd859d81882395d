"""NS201 eps-below-dtype: eps is too small for the dtype that it is added in.

What it finds:
    A normalization that divides by 0 where a statistics set is constant or all zeros: because
    there is no eps, because eps becomes 0 in the dtype of the computation, or because it is below
    0. And an eps smaller than the smallest normal number of that dtype, which has lost its digits
    and is flushed to 0 by some hardware.

Why it matters:
    0/0 is NaN, and one NaN spreads over the whole model and all its gradients. Padded rows, dead
    channels and blank images make such sets; half precision makes eps vanish.

How it is found:
    By running the site on zeros and on constants, in the dtype of the model, in the mode that takes
    statistics from the input. Where a file is read and not run: from eps and the dtype of the
    stored parameters (float32 where none are stored).

Measured:
    What comes out of a constant statistics set: NaN or infinity. An eps that is merely subnormal is
    stated with the smallest normal number of the dtype.

Known limits:
    What is measured is what this machine computes. Operators that normalize as a whole add eps in
    float32 in most runtimes, and are then silent here; a runtime that does it in half precision is
    not seen. Statistics that are stored are not judged here. A length without eps in float32 is an
    info: it fails on rows of zeros alone, which embeddings hardly ever are.

Use instead:
    An eps of at least 1e-4 in float16, or statistics in float32:
    `torch.nn.functional.normalize(x.float()).half()`.

References:
    pytorch#41527, tensorflow PR 24979 (layer norm with eps 1e-12, BERT in float16),
    tensorflow#21929, diffusers PR 13316
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from normscope.audit.finding import Finding, Severity
from normscope.audit.model_graph import Kind, ModelGraph, Site
from normscope.audit.probe import Probe
from normscope.audit.rule import Rule, Symptom
from normscope.graph.operators import Role
from normscope.notation.spec import Measure, NormSpec

_LEAST = {"float16": 1e-4, "float32": 1e-6, "float64": 1e-12}
"""What is safe: well above the smallest normal number, and small beside a variance of 1."""

_SPREADS = (Measure.VARIANCE, Measure.MEAN_SQUARE, Measure.L2)
"""Measures of signed numbers; sums of weights that are never 0 need no eps."""

_CONSTANTS = (0.0, 1.0, 3.0)


class EpsBelowDtype(Rule):
    code, name, since = "NS201", "eps-below-dtype", "0.1"
    severity = Severity.ERROR
    symptoms = (Symptom.NAN, Symptom.PRECISION)

    def check(self, site: Site, graph: ModelGraph) -> Iterator[Finding]:
        if site.kind is Kind.STORED:
            return
        spec = site.spec
        if spec is None:
            yield from self._without_spec(site)
            return
        if spec.measure == Measure.NONE or spec.unit_below is not None:
            return  # nothing is divided by 0
        dtype = _eps_dtype(site)
        smallest = _smallest_normal(dtype)
        eps = _eps(spec)
        if eps >= smallest and site.kind is not Kind.UNKNOWN:
            return
        if site.probe is None:
            yield from self._as_read(site, spec, eps, dtype)
            return
        given, result = site.probe.once(of_constants)
        if result:
            yield self._measured(site, given, result, eps, dtype)
        elif 0 < eps < smallest and dtype in ("float16", "bfloat16"):
            yield self._subnormal(site, spec, eps, dtype)

    def _measured(
        self, site: Site, given: float, result: str, eps: float | None, dtype: str
    ) -> Finding:
        kind = (
            "a statistics set of zeros" if given == 0 else f"a constant statistics set ({given:g})"
        )
        why = ""
        if eps is not None and site.kind is not Kind.UNKNOWN:
            why = "there is no eps: " if eps == 0 else f"eps={eps:g} is 0 in {dtype}: "
        harmless = given == 0 and eps == 0 and site.spec is not None and not site.spec.center
        return self.finding(
            site,
            f"{why}{kind} gives {result}, run in {dtype}",
            fix=_fix(dtype),
            evidence={"eps": eps, "dtype": dtype, "given": given, "result": result},
            severity=Severity.INFO if harmless and not _half(dtype) else Severity.ERROR,
        )

    def _subnormal(self, site: Site, spec: NormSpec, eps: float, dtype: str) -> Finding:
        return self.finding(
            site,
            f"eps={eps:g} is subnormal in {dtype}: where subnormal numbers are flushed, "
            f"{_kind(spec)} gives 0/0 (NaN)",
            fix=_fix(dtype),
            evidence={"eps": eps, "dtype": dtype, "smallest_normal": _smallest_normal(dtype)},
            severity=Severity.WARNING,
        )

    def _as_read(self, site: Site, spec: NormSpec, eps: float, dtype: str) -> Iterator[Finding]:
        """Of a file that was read and not run."""
        if _rounded(eps, dtype) != 0:
            yield self._subnormal(site, spec, eps, dtype)
            return
        why = "there is no eps" if eps == 0 else f"eps={eps:g} is 0 in {dtype}"
        yield self.finding(
            site,
            f"{why}: {_kind(spec)} gives 0/0 (NaN)",
            fix=_fix(dtype),
            evidence={"eps": eps, "dtype": dtype, "smallest_normal": _smallest_normal(dtype)},
        )

    def _without_spec(self, site: Site) -> Iterator[Finding]:
        """Of a site that no spec describes: what NaN it makes, it makes all the same."""
        if site.probe is None or site.kind is not Kind.UNKNOWN:
            return
        dtype = _eps_dtype(site)
        roots = any(one.role in (Role.ROOT, Role.NORMALIZATION) for one in site.probe.operators)
        if not _half(dtype) and not roots:
            return
        given, result = site.probe.once(of_constants)
        if result:
            yield self._measured(site, given, result, None, dtype)


def of_constants(probe: Probe) -> tuple[float, str]:
    """The first constant of which the site makes no number, and what it makes: "NaN" or "inf".

    (0, "") where all come out as numbers, or where it does not make numbers of random ones either.
    """
    shape = probe.small
    usual = None
    if shape is not None:
        usual = probe.bare(np.random.default_rng(0).standard_normal(shape), training=True)
    if shape is None or usual is None or not np.isfinite(usual).all():
        return 0.0, ""
    for constant in _CONSTANTS:
        y = probe.bare(np.full(shape, constant), training=True)
        if y is not None and not np.isfinite(y).all():
            return constant, "NaN" if np.isnan(y).any() else "infinity"
    return 0.0, ""


def _eps(spec: NormSpec) -> float:
    return max(spec.eps, spec.eps_outside, spec.floor)


def _eps_dtype(site: Site) -> str:
    """The dtype in which eps is added: that of the root, or of the limit, after the statistic."""
    if site.probe is not None and not site.composite:
        roles = [one.role for one in site.probe.operators]
        first = roles.index(Role.STATISTIC) if Role.STATISTIC in roles else 0
        for one in site.probe.operators[first:]:
            if one.role in (Role.ROOT, Role.INVERSE, Role.LIMIT) and _half(one.dtype):
                return one.dtype
    return site.dtype


def _half(dtype: str) -> bool:
    return dtype in ("float16", "bfloat16")


def _kind(spec: NormSpec) -> str:
    return "a constant statistics set" if spec.measure == Measure.VARIANCE else "a set of zeros"


def _fix(dtype: str) -> str:
    least = f"use an eps of at least {_LEAST.get(dtype, 1e-5):g} in {dtype}"
    return f"{least}, or normalize in float32" if _half(dtype) else least


def _smallest_normal(dtype: str) -> float:
    """The smallest number of a dtype with all its digits; bfloat16 has the range of float32."""
    return float(np.finfo("float32" if dtype == "bfloat16" else dtype).smallest_normal)


def _rounded(eps: float, dtype: str) -> float:
    """The nearest number of a dtype, as far as the question goes whether that is 0."""
    return float(np.asarray(eps, np.float64).astype("float32" if dtype == "bfloat16" else dtype))

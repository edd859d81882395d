"""NS201 eps-below-dtype: eps is too small for the dtype that it is added in.

What it finds:
    An eps that becomes 0 in the dtype of the computation, or that is smaller than its smallest
    normal number, so that it loses its digits or is flushed to 0.

Why it matters:
    A constant statistics set then gives 0/0 = NaN, or a huge factor. Padded rows, dead channels
    and fp16 export make such sets.

How it is found:
    From eps and the dtype of the computation: of a file, that of the stored parameters (float32
    where none are stored).

Known limits:
    A runtime that computes statistics in float32 whatever the dtype of the input is safe.

Use instead:
    An eps of at least 1e-4 in float16, or statistics in float32.

References:
    pytorch#41527, tensorflow PR 24979
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from normscope.audit.finding import Finding, Severity
from normscope.audit.model_graph import ModelGraph, Site
from normscope.audit.rule import Rule

_LEAST = {"float16": 1e-4, "float32": 1e-6, "float64": 1e-12}
"""What is safe: well above the smallest normal number, and small beside a variance of 1."""


class EpsBelowDtype(Rule):
    code, name, since = "NS201", "eps-below-dtype", "0.1"
    severity = Severity.ERROR

    def check(self, site: Site, graph: ModelGraph) -> Iterator[Finding]:
        spec = site.spec
        if spec is None or spec.measure == "none" or spec.unit_below is not None:
            return  # nothing is divided by 0
        smallest = _smallest_normal(site.dtype)
        eps = max(spec.eps, spec.eps_outside, spec.floor)
        if eps >= smallest:
            return
        rounded = _rounded(eps, site.dtype)
        kind = "a constant statistics set" if spec.measure == "variance" else "a set of zeros"
        if eps == 0:
            said = f"there is no eps: {kind} gives 0/0 (NaN)"
        elif rounded == 0:
            said = f"eps={eps:g} is 0 in {site.dtype}: {kind} gives 0/0 (NaN)"
        else:
            said = (
                f"eps={eps:g} is subnormal in {site.dtype}: where subnormal numbers are flushed, "
                f"{kind} gives 0/0 (NaN)"
            )
        yield self.finding(
            site,
            said,
            fix=f"use an eps of at least {_LEAST.get(site.dtype, 1e-5):g} in {site.dtype}",
            evidence={"eps": eps, "dtype": site.dtype, "smallest_normal": smallest},
            severity=Severity.ERROR if rounded == 0 else Severity.WARNING,
        )


def _smallest_normal(dtype: str) -> float:
    """The smallest number of a dtype with all its digits; bfloat16 has the range of float32."""
    return float(np.finfo("float32" if dtype == "bfloat16" else dtype).smallest_normal)


def _rounded(eps: float, dtype: str) -> float:
    """The nearest number of a dtype, as far as the question goes whether that is 0."""
    return float(np.asarray(eps, np.float64).astype("float32" if dtype == "bfloat16" else dtype))

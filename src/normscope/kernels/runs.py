"""Loops over one run: elements at equal distances, of one statistics set.

Every loop comes once; `strided` names the distances, and a call with literal ones makes LLVM
compile a copy in which they are constants, which is the vectorized one.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from normscope.kernels.flags import part, sums
from normscope.kernels.memory import load, load_flag, rounded, store


@part
def value(x: int, i: int, residual: Any, j: int, tag: Any) -> Any:
    """One element of the input: of x, or of x + residual, rounded as that sum would be."""
    if residual is None:
        return load(x, i, tag)
    return rounded(load(x, i, tag) + load(residual, j, tag), tag)


@sums
def shifted_sums(
    x: int, i: int, xs: int, residual: Any, j: int, rs: int, n: int, unit: float, p: float, tag: Any
) -> Any:
    """S = sum(x - p) and q = sum((x - p)**2)."""
    s = 0.0
    q = 0.0
    for e in range(n):
        d = value(x, i + e * xs, residual, j + e * rs, tag) * unit - p
        s += d
        q += d * d
    return s, q


@sums
def absolute_sums(
    x: int, i: int, xs: int, residual: Any, j: int, rs: int, n: int, unit: float, tag: Any
) -> Any:
    """sum(x) and sum(|x|)."""
    s = 0.0
    q = 0.0
    for e in range(n):
        d = value(x, i + e * xs, residual, j + e * rs, tag) * unit
        s += d
        q += abs(d)
    return s, q


@sums
def sum_and_max(
    x: int, i: int, xs: int, residual: Any, j: int, rs: int, n: int, unit: float, tag: Any
) -> Any:
    """sum(x) and max(|x|), which is NaN if an element is."""
    s = 0.0
    q = 0.0
    bad = 0
    for e in range(n):
        d = value(x, i + e * xs, residual, j + e * rs, tag) * unit
        s += d
        q = abs(d) if abs(d) > q else q
        bad += d != d
    return s, q if bad == 0 else np.nan


@part
def masked_sums(
    x: int,
    i: int,
    xs: int,
    residual: Any,
    j: int,
    rs: int,
    mask: Any,
    k: int,
    ms: int,
    n: int,
    unit: float,
    p: float,
    measure: float,
    tag: Any,
) -> Any:
    """Count and sums of the elements that the mask counts, for any measure."""
    count = 0.0
    s = 0.0
    q = 0.0
    for e in range(n):
        if load_flag(mask, k + e * ms):
            d = value(x, i + e * xs, residual, j + e * rs, tag) * unit - p
            count += 1.0
            s += d
            if measure < 3.0:
                q += d * d
            elif measure == 3.0:
                q += abs(d)
            elif not abs(d) <= q:
                q = abs(d) if q == q else q
    return count, s, q


@part
def activated(y: float, slope: Any) -> Any:
    """LeakyReLU, or y itself without a slope. ReLU cuts first: 0 * -inf would be NaN."""
    if slope is None:
        return y
    least = 0.0 if slope == 0.0 else -np.inf
    return y if y > 0.0 else (least if y < least else y) * slope


@part
def scaled(
    x: int,
    i: int,
    xs: int,
    residual: Any,
    j: int,
    rs: int,
    out: int,
    o: int,
    os: int,
    n: int,
    unit: float,
    mean: float,
    factor: float,
    offset: float,
    slope: Any,
    tag: Any,
) -> None:
    """Out = (x - mean) * factor + offset."""
    for e in range(n):
        d = value(x, i + e * xs, residual, j + e * rs, tag) * unit - mean
        store(out, o + e * os, activated(d * factor + offset, slope), tag)


@part
def scaled_along(
    x: int,
    i: int,
    xs: int,
    residual: Any,
    j: int,
    rs: int,
    out: int,
    o: int,
    os: int,
    n: int,
    unit: float,
    mean: float,
    rstd: float,
    scale: int,
    a: int,
    sa: int,
    bias: int,
    b: int,
    sb: int,
    slope: Any,
    tag: Any,
    parameter_tag: Any,
) -> None:
    """Out = (x - mean) * rstd * scale + bias, with parameters that vary along the run."""
    for e in range(n):
        d = (value(x, i + e * xs, residual, j + e * rs, tag) * unit - mean) * rstd
        factor = load(scale, a + e * sa, parameter_tag)
        y = d * factor + load(bias, b + e * sb, parameter_tag)
        store(out, o + e * os, activated(y, slope), tag)

"""Loops over one run: elements at equal distances, of one statistics set.

Every loop comes once. `step` holds the distances; where it is None all arrays go on by neighbours,
and the loop is vectorized.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from normscope.kernels.contract import Arrays, Place
from normscope.kernels.forward.nest import ahead
from normscope.kernels.forward.partial_statistics import Scaling
from normscope.kernels.machine.compiling import part, sums
from normscope.kernels.machine.double_double import normalized, normalized_along
from normscope.kernels.machine.instructions import use_widest_vectors
from normscope.kernels.machine.memory import counts, is_float64, load, rounded, store
from normscope.kernels.measures import with_element


@part
def value(x: int, i: int, residual: Any, j: int, tag: Any) -> Any:
    """One element of the input: of x, or of x + residual, rounded as that sum would be."""
    if residual is None:
        return load(x, i, tag)
    return rounded(load(x, i, tag) + load(residual, j, tag), tag)


@part
def element(arrays: Arrays, at: Place, step: Place | None, e: int) -> Any:
    """The input, `e` steps away from a place."""
    here = ahead(at, step, e)
    return value(arrays.x, here.x, arrays.residual, here.residual, arrays.tag)


@part
def row_element(arrays: Arrays, at: Place, step: Place, row: int, c: int) -> Any:
    """Neighbour `c` of the input that is `row` steps away from a place."""
    i, j = at.x + row * step.x, at.residual + row * step.residual
    return value(arrays.x, i + c, arrays.residual, j + c, arrays.tag)


@part
def are_neighbours(arrays: Arrays, step: Place) -> Any:
    """Whether the elements of the input lie side by side."""
    return step.x == 1 and (arrays.residual is None or step.residual == 1)


@part
def into(arrays: Arrays, at: Place, target: int, t: int) -> Any:
    """Arrays and place with another output."""
    return (
        Arrays(
            arrays.x, target, arrays.residual, arrays.mask, arrays.scale, arrays.bias,
            arrays.slope, arrays.tag, arrays.parameter_tag,
        ),
        Place(at.x, t, at.residual, at.mask, at.scale, at.bias, at.stats),
    )  # fmt: skip


@sums
def shifted_sums(
    arrays: Arrays, at: Place, step: Place | None, n: int, unit: float, pivot: float
) -> Any:
    """S = sum(x - p) and q = sum((x - p)**2)."""
    use_widest_vectors()
    s = 0.0
    q = 0.0
    for e in range(n):
        d = element(arrays, at, step, e) * unit - pivot
        s += d
        q += d * d
    return s, q


@sums
def absolute_sums(arrays: Arrays, at: Place, step: Place | None, n: int, unit: float) -> Any:
    """sum(x) and sum(|x|)."""
    use_widest_vectors()
    s = 0.0
    q = 0.0
    for e in range(n):
        d = element(arrays, at, step, e) * unit
        s += d
        q += abs(d)
    return s, q


@sums
def sum_and_max(arrays: Arrays, at: Place, step: Place | None, n: int, unit: float) -> Any:
    """sum(x) and max(|x|), which is NaN if an element is."""
    use_widest_vectors()
    s = 0.0
    q = 0.0
    bad = 0
    for e in range(n):
        d = element(arrays, at, step, e) * unit
        s += d
        q = abs(d) if abs(d) > q else q
        bad += d != d
    return s, q if bad == 0 else np.nan


@part
def masked_sums(
    arrays: Arrays, at: Place, step: Place | None, n: int, unit: float, pivot: float, measure: float
) -> Any:
    """Count and sums of the elements that the mask counts, for any measure."""
    use_widest_vectors()
    count = 0.0
    s = 0.0
    q = 0.0
    for e in range(n):
        if counts(arrays.mask, ahead(at, step, e).mask):
            d = element(arrays, at, step, e) * unit - pivot
            count += 1.0
            s += d
            q = with_element(q, d, measure)
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
    arrays: Arrays, at: Place, step: Place | None, n: int, scaling: Scaling, offset: float
) -> None:
    """Out = (x - centre) * factor + offset."""
    use_widest_vectors()
    for e in range(n):
        d = element(arrays, at, step, e) * scaling.unit
        if is_float64(arrays.tag):
            y = normalized(
                d, scaling.centre, scaling.centre_rest, scaling.factor, scaling.factor_rest, offset
            )
        else:
            y = (d - scaling.centre) * scaling.factor + offset
        store(arrays.out, ahead(at, step, e).out, activated(y, arrays.slope), arrays.tag)


@part
def _or_load(given: Any, memory: int, i: int, tag: Any) -> Any:
    """What is given, else an element of memory."""
    if given is None:
        return load(memory, i, tag)
    return given


@part
def scaled_along(
    arrays: Arrays, at: Place, step: Place | None, n: int, scaling: Scaling, even_bias: Any
) -> None:
    """Out = (x - centre) * factor * scale + bias, with parameters that vary along the run.

    `even_bias`: the bias if it is one for all, else None.
    """
    use_widest_vectors()
    for e in range(n):
        d = element(arrays, at, step, e) * scaling.unit
        scale = load(arrays.scale, ahead(at, step, e).scale, arrays.parameter_tag)
        bias = _or_load(even_bias, arrays.bias, ahead(at, step, e).bias, arrays.parameter_tag)
        if is_float64(arrays.tag):
            y = normalized_along(
                d, scaling.centre, scaling.centre_rest, scaling.factor, scaling.factor_rest,
                scale, bias,
            )  # fmt: skip
        else:
            y = (d - scaling.centre) * scaling.factor * scale + bias
        store(arrays.out, ahead(at, step, e).out, activated(y, arrays.slope), arrays.tag)

"""Statistics over those values that are known; NaN stands for the others, and warns of nothing."""

from __future__ import annotations

import numpy as np

from normscope.identify.subject.subject import Floats


def largest(values: Floats) -> float:
    """The largest absolute value; 0 if none is known.

    >>> largest(np.array([np.nan, -2.0, 1.0]))
    2.0
    """
    known = np.abs(values[np.isfinite(values)])
    return float(np.max(known, initial=0.0))


def median(values: Floats) -> float:
    """The median; NaN if no value is known."""
    known = values[np.isfinite(values)]
    return float(np.median(known)) if known.size else float("nan")


def median_of_calls(values: Floats) -> Floats:
    """The (lower) median along the first axis, for each element.

    >>> median_of_calls(np.array([[1.0, np.nan], [3.0, np.nan], [2.0, 5.0]]))
    array([2., 5.])
    """
    count = np.isfinite(values).sum(axis=0)
    ordered = np.sort(np.where(np.isfinite(values), values, np.nan), axis=0)  # NaN comes last
    middle = np.maximum(count - 1, 0) // 2
    result: Floats = np.take_along_axis(ordered, middle[np.newaxis], axis=0)[0]
    return result

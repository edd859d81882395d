"""Which elements of an output changed, by more than rounding."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

_NOISE = 16  # machine epsilons of the largest change; anything below is rounding
_OWN_NOISE = 8  # machine epsilons of an output itself; anything below is rounding


def is_half(eps: float) -> bool:
    """Whether a machine epsilon is that of a half precision.

    >>> is_half(2.0**-10), is_half(2.0**-23)
    (True, False)
    """
    return eps > 1e-4


def changes(y: Floats, disturbed: Floats, eps: float) -> Bools:
    """Which elements of an output changed by more than rounding.

    >>> changes(np.array([1.0, 2.0]), np.array([1.0 + 1e-16, 3.0]), eps=2.0**-52)
    array([False,  True])
    """
    size = np.maximum(np.abs(y), np.abs(disturbed))
    if is_half(eps):  # only the output is rounded so coarsely
        return differs(y, disturbed, 2 * eps * size)
    difference = np.abs(y - disturbed)
    largest = float(np.max(difference[np.isfinite(difference)], initial=0.0))
    return differs(y, disturbed, eps * np.maximum(_NOISE * largest, _OWN_NOISE * size))


def differs(a: Floats, b: Floats, tolerance: float | Floats) -> Bools:
    """Which elements differ by more than the tolerance, or are finite in one only."""
    found: Bools = (np.abs(a - b) > tolerance) | (np.isfinite(a) != np.isfinite(b))
    return found


def projected(changed: Bools, dim: int) -> Bools:
    """Along one axis, at which indices anything changed."""
    others = tuple(d for d in range(changed.ndim) if d != dim)
    return np.asarray(changed.any(axis=others))

"""Coarser precisions: rounding to them in NumPy, and noticing that a layer uses one inside."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from normscope.frameworks.layer import Array

PRECISIONS = {"bfloat16": 2.0**-7, "float16": 2.0**-10, "float32": 2.0**-23}
"""Machine epsilons, the coarsest first."""

VANISHING = {
    2.0**-7: (1e-26, 5e-19),
    2.0**-10: (5e-7, 3.5e-4),
    2.0**-23: (1e-26, 5e-19),
    2.0**-52: (1e-166, 1e-153),
}
"""By machine epsilon: where squares become 0, some the sooner since processors skip subnormals."""

LOWEST = {2.0**-7: 1e-36, 2.0**-10: 1e-6, 2.0**-23: 1e-36, 2.0**-52: 1e-290}
"""By machine epsilon: numbers as small as this have most of their digits."""

FLOAT16_STEP = 2.0**-24
"""Numbers of float16 near 0 are multiples of this."""


def rounded(x: Array, kind: str) -> Array:
    """`x` as float32 after rounding to a precision.

    >>> rounded(np.array([1.003], np.float32), "bfloat16")
    array([1.], dtype=float32)
    """
    x = np.asarray(x, np.float32)
    if kind == "float32":
        return x
    if kind == "float16":
        with np.errstate(over="ignore"):
            return x.astype(np.float16).astype(np.float32)
    bits = np.atleast_1d(x).view(np.uint32)
    even = ((bits >> 16) & 1) + np.uint32(0x7FFF)
    cut = ((bits + even) & np.uint32(0xFFFF0000)).view(np.float32)
    return np.where(np.isfinite(x), cut.reshape(x.shape), x)


def coarser_inside(
    call: Callable[[Array], Array], x: Array, eps: float
) -> tuple[str | None, str | None]:
    """Which coarser precision a layer rounds its input to, and which its output.

    Args:
        call: the layer.
        x: numbers that no coarser precision holds.
        eps: the machine epsilon of the layer's own precision.
    """
    y = call(x)
    if not np.isfinite(y).all() or np.ptp(y) == 0:
        return None, None
    kinds = [kind for kind, coarse in PRECISIONS.items() if coarse > eps]
    into = next(
        (kind for kind in kinds if np.array_equal(call(rounded(x, kind)), y, equal_nan=True)), None
    )
    if into is not None and np.array_equal(call(_otherwise(x)), y, equal_nan=True):
        into = None  # what does not depend on x, as signs alone, says nothing of its rounding
    out = next((kind for kind in kinds if _holds(y, kind)), None)
    return into, out


def _otherwise(x: Array) -> Array:
    """The same, by up to a tenth larger."""
    larger: Array = x * np.linspace(1.0, 1.1, x.size).reshape(x.shape).astype(x.dtype)
    return larger


def _holds(y: Array, kind: str) -> bool:
    """Whether a precision holds every output, and the outputs are not just round numbers."""
    many = np.unique(y).size > 8
    return many and np.array_equal(rounded(y, kind), y)

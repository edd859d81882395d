"""Noticing that a layer computes in a coarser precision than its own."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from normscope.frameworks.trees import Array
from normscope.identify.subject.mode import Mode
from normscope.identify.subject.precision import PRECISIONS, Precision, rounded


def notice_precision(mode: Mode) -> tuple[Precision, tuple[str, ...]]:
    """What a mode computes in, and the words for it if that is coarser than the layer's dtype.

    Args:
        mode: with the precision of the layer's dtype.
    """
    precision, subject = mode.precision, mode.subject
    if precision.is_half:
        return precision, ()
    x = mode.received(mode.rng.standard_normal(mode.shape))
    into, out = coarser_inside(mode, x, precision.eps)
    if into is None and out is None:
        return precision, ()
    if out is None:  # perhaps only since moved parameters are multiplied to that precision
        with subject.as_found(*subject.learned):
            _, out = coarser_inside(mode, x, precision.eps)
    eps = PRECISIONS[out] if out is not None else precision.eps
    return replace(precision, eps=eps, into=into), (f"it computes in {into or out} inside",)


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
    if into is not None and np.array_equal(call(_enlarged(x)), y, equal_nan=True):
        into = None  # what does not depend on x, as signs alone, says nothing of its rounding
    out = next((kind for kind in kinds if _holds(y, kind)), None)
    return into, out


def _enlarged(x: Array) -> Array:
    """Numbers that are up to a tenth larger than those of `x`."""
    larger: Array = x * np.linspace(1.0, 1.1, x.size).reshape(x.shape).astype(x.dtype)
    return larger


def _holds(y: Array, kind: str) -> bool:
    """Whether a precision holds every output, and the outputs are not just round numbers."""
    varied = np.unique(y).size > 8
    return varied and np.array_equal(rounded(y, kind), y)

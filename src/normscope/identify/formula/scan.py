"""Measuring a divisor: coarsely, and then where something happens."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from normscope.identify.formula.divisor import GOOD, Curve, Divisor, fit_divisor
from normscope.identify.formula.guard import AtZero, contradicted, find_guard, guard_far_below
from normscope.identify.subject.subject import Floats

_FINEST = 3e-17  # the lowest root that is tried: far below an epsilon of 1e-12 outside the root


def find_divisor(
    measure: Callable[[Floats], Curve], batch: int, highest: float, at_zero: AtZero | None
) -> Divisor | None:
    """Measure the divisor, coarsely and then where something happens, and fit its constants.

    Args:
        measure: roots -> their divisors, for at most `batch` roots at once.
        batch: how many one call can measure.
        highest: the largest root to try.
        at_zero: what is known of roots near 0; None if a root of 0 gives no number.

    Returns:
        The constants; None if no constants explain what was measured.
    """
    step = 0.5 if batch >= 4 else 1.0
    levels = 10.0 ** np.arange(np.log10(highest), np.log10(_FINEST), -step)
    everything = _measured(measure, batch, levels)
    curve = everything.reliable()
    if curve.root.size < 4:
        return None
    found = fit_divisor(curve)
    if found.misfit >= GOOD or contradicted(everything, found):
        guarded = find_guard(measure, batch, everything, at_zero)
        if guarded is not None:
            return guarded
    for _ in range(2):
        scales = found.scales or _knee(curve)
        if not scales:
            break
        factors = np.array([0.05, 0.15, 0.4, 0.7, 1.0, 1.05, 1.4, 2.0, 4.0, 10.0, 30.0, 100.0])
        refined = np.unique(np.concatenate([scale * factors for scale in scales[:2]]))
        if 1 < batch < 12:
            refined = refined[: 2 * batch]
        curve = curve.joined(_measured(measure, batch, refined).reliable())
        found, before = fit_divisor(curve), found
        if found.misfit < GOOD and _alike(found, before):
            break
    if found.misfit >= GOOD:
        return None
    if at_zero is not None and not found.scales:  # yet a number comes out where the root is 0
        return guard_far_below(measure, batch, float(everything.root.min()), at_zero) or found
    return found


def _measured(measure: Callable[[Floats], Curve], batch: int, levels: Floats) -> Curve:
    pieces = [measure(levels[i : i + batch]) for i in range(0, len(levels), batch)]
    curve = pieces[0]
    for piece in pieces[1:]:
        curve = curve.joined(piece)
    return curve


def _knee(curve: Curve) -> tuple[float, ...]:
    return (float(np.min(curve.divisor)),)


def _alike(a: Divisor, b: Divisor) -> bool:
    return len(a.scales) == len(b.scales)

"""Guards: where the divisor is 0, or small, a fixed number stands in its place.

    D(r) = 1 where d(r) is 0 or below a tolerance, else d(r) = sqrt(r**2 + eps) + eps_outside

So the divisor jumps, which no epsilon explains. On which side of the jump a root lies can be seen,
and the interval that holds the tolerance is divided until rounding hides the rest.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from normscope.identify.formula.divisor import GOOD, Bools, Curve, Divisor, Guard, fit_divisor
from normscope.identify.subject.subject import Floats
from normscope.notation.spec import NormSpec

Measured = Callable[[Floats], Curve]

PRECISION = 1e-6
"""How closely a tolerance is found, as a share of it; rounding in the layer may allow less."""

_MOST_STEPS = 40
_SIGMAS = 6.0
_CLOSE = 1e-3  # a share that is as close as this is the same, whatever the noise
_WIDEST = 1.05  # a tolerance that is known no better is not known
_LEAST_JUMP = 0.03  # a smaller jump may be rounding, or a floor
_HIDDEN = 0.3  # a number that is known no better than this is not known
_LEAST_UNIT = 0.05  # what is not known is taken to be no less than this
_DEEPER = 12


@dataclass(frozen=True)
class AtZero:
    """What is known of small roots where a root of 0 gives a number.

    Attributes:
        lowest: the least root that the layer's numbers hold.
        vanishing: between these roots squares vanish in the layer's precision, so that a statistic
            made of them is 0 for a root that is not.
    """

    lowest: float
    vanishing: tuple[float, float]


def contradicted(curve: Curve, found: Divisor) -> bool:
    """Whether points too noisy for a fit still exclude it: all but the bias is gone below a root.

    >>> curve = Curve(np.array([1e-9, 1.0]), np.array([0.0, 1.0]), np.array([1e-3, 1e-7]))
    >>> contradicted(curve, Divisor())
    True
    """
    return not bool(_itself(curve.known(), found, loose=0.5).all())


def find_guard(
    measure: Measured, batch: int, curve: Curve, at_zero: AtZero | None
) -> Divisor | None:
    """The divisor with a guard that explains the curve; None if there is none.

    Args:
        measure: roots -> their divisors, for at most `batch` roots at once.
        batch: how many one call can measure.
        curve: what was measured so far.
        at_zero: what is known of roots near 0; None if a root of 0 gives no number.
    """
    points = curve.known()
    number = np.arange(points.root.size)
    for first in range(points.root.size - 2, 0, -1):
        below, above = points.where(number < first), points.where(number >= first)
        unit, reliable = _unit(below), above.reliable()
        if reliable.root.size < 2 or not _replaced(below, unit).all():
            continue
        found = fit_divisor(reliable)
        if found.misfit >= GOOD or contradicted(above, found):
            return None
        if _itself(below, found, loose=0.01)[-1]:
            return None  # no jump
        low, high = float(below.root[-1]), float(above.root[0])
        vanishing = (0.0, 0.0) if at_zero is None else at_zero.vanishing
        vanishes = low < vanishing[1] and high > vanishing[0]
        if vanishes:  # small squares are coarse before they vanish, as if there were a floor
            found = replace(found, floor=0.0)
        guarded = None if found.floor else _narrowed(measure, batch, found, unit, (low, high))
        guard = None if guarded is None else guarded.guard
        if vanishes and (guard is None or guard.low < vanishing[1]):
            return replace(found, guard=unit.guard(0.0, high))
        return guarded
    return None


def guard_far_below(
    measure: Measured, batch: int, highest: float, at_zero: AtZero
) -> Divisor | None:
    """The guard of a divisor that is the root itself as far down as was measured.

    Args:
        measure: roots -> their divisors, for at most `batch` roots at once.
        batch: how many one call can measure.
        highest: the least root that was measured.
        at_zero: what is known below.

    Returns:
        None if something else than a guard gives a number where the root is 0.
    """
    points = _far_below(measure, batch, highest, at_zero)
    itself = _itself(points, Divisor(), loose=0.01)
    if itself.all():
        return Divisor(guard=Guard(0.0, float(points.root.min(initial=highest)), None))
    top = float(points.root[~itself].max())
    above = float(points.root[points.root > top].min(initial=highest))
    low, high = at_zero.vanishing
    vanishes = top <= high and above > low
    replaced = points.where(points.root <= (min(low, top) if vanishes else top))
    unit = _unit(replaced)
    if not _replaced(replaced, unit).all():
        return None  # outputs that are not finite are replaced, not the divisor
    if vanishes:
        return Divisor(guard=unit.guard(0.0, above))
    return _narrowed(measure, batch, Divisor(), unit, (top, above))


def _far_below(measure: Measured, batch: int, highest: float, at_zero: AtZero) -> Curve:
    count = _DEEPER if batch >= 4 else _DEEPER // 3
    levels = np.geomspace(at_zero.lowest, highest / 3, count)
    low, high = at_zero.vanishing
    edges = np.array([0.9 * low, 1.1 * high])
    levels = np.concatenate([levels, edges[(edges > levels[0]) & (edges < levels[-1])]])
    pieces = [measure(levels[i : i + batch]) for i in range(0, len(levels), batch)]
    points = pieces[0]
    for piece in pieces[1:]:
        points = points.joined(piece)
    return points.known()


@dataclass(frozen=True)
class _Unit:
    """What stands in the place of small divisors, and how closely that is known."""

    value: float | None
    uncertain: float = 0.0

    def guard(self, low: float, high: float) -> Guard:
        return Guard(low, high, self.value, self.uncertain)


def _unit(points: Curve) -> _Unit:
    """What stands in the place of these divisors; no value where a bias hides it."""
    with np.errstate(all="ignore"):
        weight = points.root / points.noise**2
        inverse = float((weight * points.share).sum() / (weight * points.root).sum())
        uncertain = float(1 / (np.sqrt((weight * points.root).sum()) * inverse))
    known = inverse > 0 and uncertain < _HIDDEN
    return _Unit(1 / inverse, uncertain) if known else _Unit(None)


def _itself(points: Curve, found: Divisor, loose: float = _CLOSE) -> Bools:
    """Which points agree with a divisor, but for noise."""
    share = points.root / found.of(points.root)
    close: Bools = np.abs(points.share - share) <= _SIGMAS * points.noise + loose * share
    return close


def _replaced(points: Curve, unit: _Unit) -> Bools:
    """Which points agree with a fixed divisor; where that is hidden, with any that is not small."""
    if unit.value is None:
        share, loose = points.root, 1 / _LEAST_UNIT
    else:
        share, loose = points.root / unit.value, _CLOSE + _SIGMAS * unit.uncertain
    close: Bools = np.abs(points.share - share) <= _SIGMAS * points.noise + loose * share
    return close


def _narrowed(
    measure: Measured,
    batch: int,
    found: Divisor,
    unit: _Unit,
    between: tuple[float, float],
) -> Divisor | None:
    """The guard, its tolerance found as closely as rounding allows."""
    low, high = between
    for _ in range(_MOST_STEPS):
        if high / low - 1 < PRECISION:
            break
        points = measure(np.geomspace(low, high, batch + 2)[1:-1]).known()
        itself, replaced = _itself(points, found), _replaced(points, unit)
        if not (itself | replaced).all():
            return None
        # those so close to 1 that nothing tells them apart say nothing
        new_low = float(points.root[replaced & ~itself].max(initial=low))
        new_high = float(points.root[itself & ~replaced].min(initial=high))
        if new_low >= new_high:
            if new_low > new_high * (1 + max(_CLOSE, 4 * float(np.median(points.sigma)))):
                return None  # another statistic decides, or the elements themselves
            low, high = new_high, new_low  # rounding decides within
            break
        if (new_low, new_high) == (low, high):
            break
        low, high = new_low, new_high
    if high / low > _WIDEST:
        return None
    ends = found.of(np.array([low, high]))
    if unit.value is not None and abs(ends[1] / unit.value - 1) < _LEAST_JUMP:
        return None
    return replace(found, guard=unit.guard(float(ends[0]), float(ends[1])))


def guard_in_words(guard: Guard, found: Divisor, spec: NormSpec) -> str:
    """How closely the tolerance is known, and what it hides.

    Args:
        guard: in the units of the spec.
        found: the divisor that it belongs to.
        spec: with the tolerance as it was taken to be written.
    """
    if guard.middle == 0:
        return f"the divisor is 1 where it is 0; a tolerance up to {guard.high:.2g} looks the same"
    words = (
        f"the divisor is 1 below {spec.unit_below:.7g}: it is so up to {guard.low:.7g}, and no "
        f"longer from {guard.high:.7g} on"
    )
    if guard.unit is None:
        words += "; the bias hides which number it is there"
    if not found.scales[:-1]:
        words += f"; an eps below {_HIDDEN_EPS * guard.middle**2:.1g} would not show"
    return words


_HIDDEN_EPS = 1e-5
"""A share of the squared tolerance that is too small to be seen above it."""

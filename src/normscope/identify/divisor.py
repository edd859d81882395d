"""The divisor: eps, eps_outside and floor, from how it grows with the root of the measure.

Far above every epsilon the divisor is the root itself, far below it is constant, and how it turns
from the one to the other says which epsilon it is:

    D(r) = max(sqrt(r**2 + eps) + eps_outside, floor)
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from normscope.identify.subject import Floats

_FINEST = 3e-17  # the lowest root that is tried: far below an epsilon of 1e-12 outside the root


@dataclass(frozen=True)
class Divisor:
    """The constants of a divisor. `misfit`: how far the measured values are off, in sigmas."""

    eps: float = 0.0
    eps_outside: float = 0.0
    floor: float = 0.0
    misfit: float = 0.0

    def of(self, root: Floats) -> Floats:
        """The divisor for roots of the measure."""
        result: Floats = np.maximum(np.sqrt(root**2 + self.eps) + self.eps_outside, self.floor)
        return result

    def times(self, factor: float) -> Divisor:
        """The same for a root that is `factor` times as large."""
        return Divisor(
            self.eps * factor**2, self.eps_outside * factor, self.floor * factor, self.misfit
        )

    @property
    def scales(self) -> tuple[float, ...]:
        """The roots around which something happens."""
        found = (np.sqrt(self.eps), self.eps_outside, self.floor)
        return tuple(float(scale) for scale in found if scale > 0)


@dataclass(frozen=True)
class Curve:
    """Measured divisors: the root of each, the divisor, and its relative uncertainty."""

    root: Floats
    divisor: Floats
    sigma: Floats

    def joined(self, other: Curve) -> Curve:
        """Both together."""
        return Curve(
            np.concatenate([self.root, other.root]),
            np.concatenate([self.divisor, other.divisor]),
            np.concatenate([self.sigma, other.sigma]),
        )

    def reliable(self) -> Curve:
        """The points that say something."""
        with np.errstate(invalid="ignore"):
            good = (
                np.isfinite(self.divisor)
                & np.isfinite(self.sigma)
                & (self.divisor > 0)
                & (self.root > 0)
                & (self.sigma < 0.02)
            )
        return Curve(self.root[good], self.divisor[good], self.sigma[good])


def find_divisor(measure: Callable[[Floats], Curve], batch: int, highest: float) -> Divisor | None:
    """Measure the divisor, coarsely and then where something happens, and fit its constants.

    Args:
        measure: roots -> their divisors, for at most `batch` roots at once.
        batch: how many one call can measure.
        highest: the largest root to try.

    Returns:
        The constants; None if no constants explain what was measured.
    """
    step = 0.5 if batch >= 4 else 1.0
    levels = 10.0 ** np.arange(np.log10(highest), np.log10(_FINEST), -step)
    curve = _measured(measure, batch, levels).reliable()
    if curve.root.size < 4:
        return None
    found = _fit(curve)
    for _ in range(2):
        scales = found.scales or _knee(curve)
        if not scales:
            break
        factors = np.array([0.05, 0.15, 0.4, 0.7, 1.0, 1.05, 1.4, 2.0, 4.0, 10.0, 30.0, 100.0])
        refined = np.unique(np.concatenate([scale * factors for scale in scales[:2]]))
        if 1 < batch < 12:
            refined = refined[: 2 * batch]
        curve = curve.joined(_measured(measure, batch, refined).reliable())
        found, before = _fit(curve), found
        if found.misfit < _GOOD and _alike(found, before):
            break
    return found if found.misfit < _GOOD else None


_GOOD = 5.0


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


def _fit(curve: Curve) -> Divisor:
    """The simplest constants that explain the curve."""
    lowest = float(np.min(curve.divisor))
    at_zero = float(curve.divisor[np.argmin(curve.root)])
    seeds: list[list[tuple[float, float, float]]] = [
        [(0.0, 0.0, 0.0)],
        [(at_zero**2, 0.0, 0.0), (0.0, at_zero, 0.0), (0.0, 0.0, at_zero)],
        [
            *((((1 - share) * at_zero) ** 2, share * at_zero, 0.0) for share in _SHARES),
            *(((share * lowest) ** 2, 0.0, at_zero) for share in (0.3, 0.7, 0.95)),
            *((0.0, share * lowest, at_zero) for share in (0.1, 0.5, 0.9)),
        ],
    ]
    best = Divisor(misfit=np.inf)
    for group in seeds:
        for seed in group:
            fitted = _refined(curve, seed)
            if fitted.misfit < best.misfit:
                best = fitted
        if best.misfit < _GOOD / 2:
            return best
    return best


_SHARES = (1e-3, 0.03, 0.3, 0.5, 0.7, 0.97, 0.999)


def _refined(curve: Curve, seed: tuple[float, float, float]) -> Divisor:
    """Levenberg-Marquardt on the logarithms of those constants that the seed has."""
    free = [i for i, value in enumerate(seed) if value > 0]
    logs = np.log([seed[i] for i in free])

    def residuals(logs: Floats) -> Floats:
        result: Floats = np.log(_with(seed, free, logs).of(curve.root) / curve.divisor)
        return result / curve.sigma

    error = residuals(logs)
    damping = 1e-3
    for _ in range(40 if free else 0):
        steps = np.eye(len(free)) * 1e-6
        slope = np.stack([(residuals(logs + step) - error) / 1e-6 for step in steps], axis=1)
        square = slope.T @ slope
        system = square + damping * np.diag(np.diag(square) + 1e-12)
        move = np.clip(-np.linalg.solve(system, slope.T @ error), -2, 2)
        trial = residuals(logs + move)
        if not trial @ trial < error @ error:
            damping *= 8
            if damping > 1e8:
                break
            continue
        done = error @ error - trial @ trial < 1e-9 * (error @ error)
        logs, error, damping = logs + move, trial, damping / 8
        if done:
            break
    misfit = float(np.sqrt(np.mean(error**2)))
    found = _with(seed, free, logs)
    least = math.sqrt(found.eps) + found.eps_outside
    floor = found.floor if found.floor > least * (1 + 1e-6) else 0.0  # else it is never reached
    return Divisor(found.eps, found.eps_outside, floor, misfit)


def _with(seed: tuple[float, float, float], free: list[int], logs: Floats) -> Divisor:
    values = list(seed)
    for i, log in zip(free, logs, strict=True):
        values[i] = float(np.exp(np.clip(log, -200, 20)))
    return Divisor(*values)


_MACHINE = tuple(2.0**-n for n in (10, 7, 23, 52))


def plain_number(value: float, tolerance: float = 3e-5) -> float:
    """The shortest decimal number that is as good as `value`, or the machine epsilon it is.

    >>> plain_number(1.0000003e-5), plain_number(1.19209e-7), plain_number(0.00123456)
    (1e-05, 1.1920928955078125e-07, 0.00123456)
    """
    if value == 0:
        return 0.0
    for short in (
        float(f"{value:.0e}"),
        float(f"{value:.1e}"),
        *_MACHINE,
        *(float(f"{value:.{digits}e}") for digits in range(2, 6)),
    ):
        if abs(short - value) <= tolerance * value:
            return short
    return value


def digits_needed(value: float) -> int:
    """How many digits a number needs: 1 for 1e-5, 2 for 1.5e-5; 9 for what is not round."""
    if value == 0:
        return 0
    return next((n for n in range(1, 7) if abs(float(f"{value:.{n - 1}e}") / value - 1) < 5e-4), 9)

"""The divisor: eps, eps_outside and floor, from how it grows with the root of the measure.

Far above every epsilon the divisor is the root itself, far below it is constant, and how it turns
from the one to the other says which epsilon it is:

    D(r) = max(sqrt(r**2 + eps) + eps_outside, floor)

A guard puts a fixed number, 1, in its place where it is small.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from normscope.identify.subject.subject import Floats

Bools = NDArray[np.bool_]


@dataclass(frozen=True)
class Guard:
    """What stands in the place of a small divisor.

    Attributes:
        low, high: the divisor is replaced up to `low`, and no longer from `high` on; both 0 where
            it is replaced at 0 alone.
        unit: what replaces it, in units of the measure; None where a bias hides it.
        uncertain: how closely that is known, as a share of it.
    """

    low: float
    high: float
    unit: float | None
    uncertain: float = 0.0

    @property
    def middle(self) -> float:
        """Where the divisor begins to stand for itself."""
        return math.sqrt(self.low * self.high)

    def times(self, factor: float) -> Guard:
        """The guard of a divisor that is `factor` times as large."""
        unit = None if self.unit is None else self.unit * factor
        return Guard(self.low * factor, self.high * factor, unit, self.uncertain)


@dataclass(frozen=True)
class Divisor:
    """The constants of a divisor.

    Attributes:
        misfit: how far the measured values are off, in sigmas.
        uncertain: how closely eps, eps_outside and floor are known, as shares of them.
    """

    eps: float = 0.0
    eps_outside: float = 0.0
    floor: float = 0.0
    guard: Guard | None = None
    misfit: float = 0.0
    uncertain: tuple[float, float, float] = (0.0, 0.0, 0.0)

    def of(self, root: Floats) -> Floats:
        """The divisor for roots of the measure."""
        inside = np.hypot(root, math.sqrt(self.eps))  # a square of 1e-200 would vanish
        result: Floats = np.maximum(inside + self.eps_outside, self.floor)
        if self.guard is not None and self.guard.unit is not None:
            small = (result < self.guard.middle) | (result == 0)
            return np.where(small, self.guard.unit, result)
        return result

    def times(self, factor: float) -> Divisor:
        """The divisor as a function of a root that is `factor` times as large."""
        return Divisor(
            self.eps * factor**2,
            self.eps_outside * factor,
            self.floor * factor,
            None if self.guard is None else self.guard.times(factor),
            self.misfit,
            self.uncertain,
        )

    @property
    def scales(self) -> tuple[float, ...]:
        """The roots around which something happens."""
        found = [math.sqrt(self.eps), self.eps_outside, self.floor]
        if self.guard is not None:
            found.append(self.guard.high)
        return tuple(float(scale) for scale in found if scale > 0)


@dataclass(frozen=True)
class Curve:
    """Measured divisors.

    Attributes:
        root: of the measure.
        share: the root over the divisor, which is what outputs show.
        noise: the uncertainty of that share.
    """

    root: Floats
    share: Floats
    noise: Floats

    @property
    def divisor(self) -> Floats:
        """The divisors themselves."""
        with np.errstate(all="ignore"):
            return self.root / self.share

    @property
    def sigma(self) -> Floats:
        """The relative uncertainty of the divisors."""
        with np.errstate(all="ignore"):
            return self.noise / np.abs(self.share)

    def joined(self, other: Curve) -> Curve:
        """The points of two curves together."""
        return Curve(
            np.concatenate([self.root, other.root]),
            np.concatenate([self.share, other.share]),
            np.concatenate([self.noise, other.noise]),
        )

    def where(self, chosen: Bools | NDArray[np.intp]) -> Curve:
        """Some of the points."""
        return Curve(self.root[chosen], self.share[chosen], self.noise[chosen])

    def known(self) -> Curve:
        """The points that were measured at all, from the lowest root to the highest."""
        finite = np.isfinite(self.share) & np.isfinite(self.noise) & (self.root > 0)
        some = self.where(finite)
        return some.where(np.argsort(some.root))

    def reliable(self) -> Curve:
        """The points that say how large the divisor is."""
        with np.errstate(invalid="ignore"):
            good = (
                np.isfinite(self.divisor)
                & np.isfinite(self.sigma)
                & (self.divisor > 0)
                & (self.root > 0)
                & (self.sigma < 0.02)
            )
        return self.where(good)


GOOD = 5.0
"""So many sigmas are measured values off at most, on average, if the constants are right."""


def fit_divisor(curve: Curve) -> Divisor:
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
        if best.misfit < GOOD / 2:
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
        jacobian = np.stack([(residuals(logs + step) - error) / 1e-6 for step in steps], axis=1)
        square = jacobian.T @ jacobian
        system = square + damping * np.diag(np.diag(square) + 1e-12)
        move = np.clip(-np.linalg.solve(system, jacobian.T @ error), -2, 2)
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
    uncertain = {0: 0.0, 1: 0.0, 2: 0.0}
    if free:
        steps = np.eye(len(free)) * 1e-6
        jacobian = np.stack([(residuals(logs + step) - error) / 1e-6 for step in steps], axis=1)
        spread = np.sqrt(np.abs(np.diag(np.linalg.pinv(jacobian.T @ jacobian))))
        for i, sigma in zip(free, spread, strict=True):
            uncertain[i] = float(min(_SIGMAS * sigma, _MOST_UNCERTAIN))
    return replace(
        found, floor=floor, misfit=misfit, uncertain=(uncertain[0], uncertain[1], uncertain[2])
    )


_SIGMAS = 5.0
_MOST_UNCERTAIN = 0.02  # what is known no better has no digits to be rounded to


def _with(seed: tuple[float, float, float], free: list[int], logs: Floats) -> Divisor:
    values = list(seed)
    for i, log in zip(free, logs, strict=True):
        values[i] = float(np.exp(np.clip(log, -200, 20)))
    eps, eps_outside, floor = values
    return Divisor(eps, eps_outside, floor)


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
    """How many digits a number needs: 1 for 1e-5, 2 for 1.5e-5, 4 for pi."""
    if value == 0:
        return 0
    return next((n for n in range(1, 7) if abs(float(f"{value:.{n - 1}e}") / value - 1) < 5e-4), 9)

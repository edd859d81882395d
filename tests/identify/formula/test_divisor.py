"""The constants of a divisor from its curve: the simplest that explain it."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest

from normscope.identify.formula.divisor import (
    Curve,
    Divisor,
    Guard,
    digits_needed,
    fit_divisor,
    plain_number,
)

ROOTS = 10.0 ** np.arange(-8, 3.5, 0.25)


def curve_of(divisor: Callable[[np.ndarray], np.ndarray], noise: float = 1e-6) -> Curve:
    """A curve as outputs show it: the share is off by a noise of its own size."""
    share = ROOTS / divisor(ROOTS) * (1 + noise * np.random.default_rng(1).normal(size=ROOTS.size))
    return Curve(ROOTS, share, noise * share)


FORMULAS = {
    "the root itself": (lambda r: r, (0, 0, 0)),
    "eps": (lambda r: np.sqrt(r**2 + 1e-5), (1e-5, 0, 0)),
    "eps outside": (lambda r: r + 1e-3, (0, 1e-3, 0)),
    "a floor": (lambda r: np.maximum(r, 1e-2), (0, 0, 1e-2)),
    "eps inside and outside": (lambda r: np.sqrt(r**2 + 1e-4) + 1e-3, (1e-4, 1e-3, 0)),
    "eps and a floor": (lambda r: np.maximum(np.sqrt(r**2 + 1e-4), 3e-2), (1e-4, 0, 3e-2)),
}


@pytest.mark.parametrize("name", FORMULAS)
def test_the_constants_are_found(name: str) -> None:
    divisor, expected = FORMULAS[name]
    found = fit_divisor(curve_of(divisor))
    assert (found.eps, found.eps_outside, found.floor) == pytest.approx(expected, rel=1e-4)
    assert found.misfit < 2


@pytest.mark.parametrize(
    "divisor", [lambda r: r**2 + 1e-3, lambda r: np.cbrt(r**3 + 1e-6), lambda r: 1 + np.sqrt(r)]
)
def test_what_no_constants_explain_does_not_fit(
    divisor: Callable[[np.ndarray], np.ndarray],
) -> None:
    assert fit_divisor(curve_of(divisor)).misfit > 5


def test_a_divisor_is_in_other_units_after_times() -> None:
    divisor = Divisor(1e-4, 1e-3, 0.5, Guard(0.1, 0.1, 1.0))
    np.testing.assert_allclose(divisor.times(3).of(3 * ROOTS), 3 * divisor.of(ROOTS))


def test_a_guard_puts_its_number_below_its_tolerance_and_at_0() -> None:
    below, at_zero = Divisor(guard=Guard(0.1, 0.1, 1.0)), Divisor(guard=Guard(0.0, 0.0, 1.0))
    assert below.of(np.array([0.0, 0.09, 0.11])).tolist() == [1, 1, 0.11]
    assert at_zero.of(np.array([0.0, 1e-9])).tolist() == [1, 1e-9]


def test_squares_of_small_roots_do_not_vanish() -> None:
    assert Divisor(eps=1e-320).of(np.array([1e-170]))[0] == pytest.approx(1e-160, rel=1e-3)


def test_only_reliable_points_are_fitted() -> None:
    root, share = np.array([1.0, 2, 3, 4]), np.array([1.0, np.nan, -1, 1])
    curve = Curve(root, share, np.array([1e-3, 1e-3, 1e-3, 0.5]))
    assert curve.reliable().root.tolist() == [1]
    assert curve.known().root.tolist() == [1, 3, 4]


@pytest.mark.parametrize(
    ("value", "digits"), [(0, 0), (1e-5, 1), (1.5e-5, 2), (0.125, 3), (math.pi, 4)]
)
def test_how_many_digits_a_number_needs(value: float, digits: int) -> None:
    assert digits_needed(value) == digits


def test_a_number_becomes_the_shortest_that_is_as_good() -> None:
    assert plain_number(0.99999e-3) == 1e-3
    assert plain_number(0.999e-3) == 0.999e-3
    assert plain_number(0.999e-3, tolerance=2e-3) == 1e-3
    assert plain_number(2.0**-23 * (1 + 1e-6)) == 2.0**-23

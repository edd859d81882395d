"""A divisor is measured where something happens; guards are found between two roots."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from normscope.identify.formula.divisor import Curve, Divisor
from normscope.identify.formula.guard import AtZero
from normscope.identify.formula.scan import find_divisor

Floats = np.ndarray
AT_ZERO = AtZero(1e-36, (1e-26, 5e-19))
NOISE = 1e-6


class Measured:
    """A divisor that is measured at so many roots at once, with some noise, and counts that."""

    def __init__(self, divisor: Callable[[Floats], Floats], batch: int) -> None:
        self.divisor, self.batch, self.calls = divisor, batch, 0
        self.rng = np.random.default_rng(2)

    def __call__(self, roots: Floats) -> Curve:
        assert len(roots) <= self.batch
        self.calls += 1
        share = roots / self.divisor(roots) * (1 + NOISE * self.rng.normal(size=roots.size))
        return Curve(roots, share, NOISE * np.abs(share))


def found_of(
    divisor: Callable[[Floats], Floats], batch: int = 8, at_zero: AtZero | None = None
) -> Divisor | None:
    return find_divisor(Measured(divisor, batch), batch, 3e3, at_zero)


@pytest.mark.parametrize("batch", [1, 8, 64])
@pytest.mark.parametrize("eps", [1e-12, 1e-5, 0.1])
def test_an_eps_of_any_size(eps: float, batch: int) -> None:
    found = found_of(lambda r: np.sqrt(r**2 + eps), batch)
    assert found.eps == pytest.approx(eps, rel=1e-4)
    assert (found.eps_outside, found.floor, found.guard) == (0, 0, None)


def test_many_roots_at_once_need_few_calls() -> None:
    measured = Measured(lambda r: r + 1e-3, 64)
    find_divisor(measured, 64, 3e3, None)
    assert measured.calls <= 3


def guarded(tolerance: float, one: float = 1.0) -> Callable[[Floats], Floats]:
    return lambda r: np.where(r < tolerance, one, r)


@pytest.mark.parametrize("tolerance", [1e-10, 1e-4, 0.1])
def test_the_tolerance_of_a_guard(tolerance: float) -> None:
    found = found_of(guarded(tolerance), at_zero=AT_ZERO)
    assert found.guard.low <= tolerance * (1 + 1e-6)
    assert found.guard.high >= tolerance * (1 - 1e-6)
    assert found.guard.high / found.guard.low < 1 + 1e-5
    assert found.guard.unit == pytest.approx(1, rel=1e-4)


def test_another_number_than_1_in_its_place() -> None:
    assert found_of(guarded(1e-3, one=0.5), at_zero=AT_ZERO).guard.unit == pytest.approx(0.5)


def test_a_number_at_0_is_a_guard_below_all_that_can_be_asked() -> None:
    found = found_of(lambda r: r, at_zero=AT_ZERO)
    assert (found.guard.low, found.guard.unit) == (0, None)
    assert found_of(lambda r: r).guard is None  # no number came out


def test_a_floor_is_no_guard() -> None:
    found = found_of(lambda r: np.maximum(r, 1e-3), at_zero=AT_ZERO)
    assert found.guard is None
    assert found.floor == pytest.approx(1e-3)


@pytest.mark.parametrize(
    "divisor", [lambda r: r**2, lambda r: r**2 + 1e-3, lambda r: r * (1 + 0.1 * np.sin(5 * r))]
)
def test_what_no_constants_explain(divisor: Callable[[Floats], Floats]) -> None:
    assert found_of(divisor) is None

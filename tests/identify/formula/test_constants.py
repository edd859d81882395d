"""Which of two measures it is that differ by a constant factor, and the constants as written."""

from __future__ import annotations

import math

import pytest

from normscope import Measure
from normscope.identify.formula.constants import Constants, constants_for
from normscope.identify.formula.divisor import Divisor, Guard
from normscope.identify.formula.scale_and_bias import Scale
from normscope.identify.formula.unsolved import Unsolved

SIZE = 8
UNBIASED = math.sqrt((SIZE - 1) / SIZE)  # the deviation with ddof 0, in units of that with ddof 1
L2 = 1 / math.sqrt(SIZE)
UNKNOWN = Scale((0,), None)


def found_for(
    divisor: Divisor,
    scale: Scale | None = None,
    measure: Measure = Measure.VARIANCE,
    holds_arrays: bool = True,
    as_found: float | None = None,
) -> Constants | Unsolved:
    return constants_for(SIZE, measure, scale, divisor, 3e-5, holds_arrays, as_found)


def said(constants: Constants | Unsolved) -> tuple[Measure, int, float]:
    assert isinstance(constants, Constants), constants
    return constants.kind.measure, constants.kind.ddof, constants.divisor.eps


def test_a_known_scale_tells_ddof() -> None:
    plain, unbiased = Scale((), 1.0), Scale((), UNBIASED)
    assert said(found_for(Divisor(1e-5), plain)) == (Measure.VARIANCE, 0, 1e-5)
    assert said(found_for(Divisor(1e-5 * UNBIASED**2), unbiased)) == (Measure.VARIANCE, 1, 1e-5)


def test_a_known_scale_tells_l2_from_a_mean_square() -> None:
    mean_square = Measure.MEAN_SQUARE
    assert said(found_for(Divisor(), measure=mean_square)) == (mean_square, 0, 0)
    scale = Scale((), L2)
    assert said(found_for(Divisor(1e-6 / SIZE), scale, mean_square)) == (Measure.L2, 0, 1e-6)


def test_what_is_left_over_is_a_factor_and_said() -> None:
    found = found_for(Divisor(1e-5), Scale((), 2.5))
    assert isinstance(found, Constants)
    assert found.factor == 2.5
    assert found.notes == ("the result is multiplied by 2.5",)


def test_a_factor_made_of_the_size_of_the_set_is_named() -> None:
    found = found_for(Divisor(), Scale((), math.sqrt(SIZE)), Measure.MAX)
    assert isinstance(found, Constants)
    assert found.notes == ("the result is multiplied by 2.828 = sqrt(8), of the set size 8",)


def test_without_a_known_scale_the_roundest_constants_tell() -> None:
    assert said(found_for(Divisor(1e-5), UNKNOWN)) == (Measure.VARIANCE, 0, 1e-5)
    assert said(found_for(Divisor(1e-5 * UNBIASED**2), UNKNOWN)) == (Measure.VARIANCE, 1, 1e-5)


def test_a_scale_that_was_found_as_1_tells() -> None:
    assert said(found_for(Divisor(), UNKNOWN, as_found=UNBIASED)) == (Measure.VARIANCE, 1, 0)


def test_where_nothing_tells_ddof_it_is_unsolved() -> None:
    found = found_for(Divisor(), UNKNOWN)
    assert isinstance(found, Unsolved)
    assert "nothing tells whether ddof is 0 or 1" in found.reason
    assert not found.certain
    # without arrays that could be the scale, either way to write it is right
    assert said(found_for(Divisor(), UNKNOWN, holds_arrays=False)) == (Measure.VARIANCE, 0, 0)


def test_a_guard_is_1_in_the_units_of_one_measure_only() -> None:
    guard = Guard(1e-4 * UNBIASED, 1e-4 * UNBIASED, UNBIASED)
    assert said(found_for(Divisor(guard=guard), UNKNOWN)) == (Measure.VARIANCE, 1, 0)


@pytest.mark.parametrize(("tolerance", "words"), [(1e-3, "below 0.001"), (0.0, "0")])
def test_a_guard_that_is_not_1_is_unsolved(tolerance: float, words: str) -> None:
    found = found_for(Divisor(guard=Guard(tolerance, tolerance, 0.5)))
    expected = f"where that divisor is {words} it is 0.5, which no spec says"
    assert found == Unsolved(expected, certain=False)

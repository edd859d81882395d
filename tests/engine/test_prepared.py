"""What a call has prepared: the numbers of the formula by name, and which rows are contiguous."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from normscope import Measure, spec
from normscope.engine.prepared import formula_of, prepare
from normscope.kernels.contract import MEASURES, Formula

F32 = np.dtype(np.float32)


def named(dtype: np.dtype[Any] = F32, **fields: Any) -> Formula:
    return Formula(*formula_of(spec("b [c]", **fields), dtype))


def test_every_number_of_the_formula_stands_at_its_name() -> None:
    found = named(ddof=1, eps=0.25, eps_outside=0.5, floor=0.125, scale="c", scale_shift=1.0)
    assert found == Formula(
        measure=MEASURES["variance"],
        center=True,
        ddof=1,
        eps=0.25,
        eps_outside=0.5,
        floor=0.125,
        shift=1.0,
        is_float64=False,
        unit_up_to=-1,
    )
    assert named(np.dtype(np.float64), center=False).is_float64
    assert not named(center=False).center


@pytest.mark.parametrize("measure", [m for m in Measure if m is not Measure.NONE])
def test_the_measure_is_sent_by_its_number(measure: Measure) -> None:
    assert named(measure=measure).measure == MEASURES[measure]


def test_every_divisor_is_one_where_nothing_is_divided() -> None:
    found = named(measure="none")
    assert (found.measure, found.unit_up_to) == (MEASURES["variance"], np.inf)


@pytest.mark.parametrize(("unit_below", "largest"), [(0.0, 0.0), (1.0, np.nextafter(1.0, 0.0))])
def test_divisors_below_a_bound_become_one(unit_below: float, largest: float) -> None:
    assert named(eps=0, unit_below=unit_below).unit_up_to == largest


@pytest.mark.parametrize(
    ("pattern", "view", "extra", "expected"),
    [
        ("b [c]", np.s_[:, :], (None, None), True),
        ("b [c]", np.s_[::2, :], (None, None), True),
        ("b [c]", np.s_[:, ::2], (None, None), False),
        ("[b] c", np.s_[:, :], (None, None), False),
        ("b [c]", np.s_[:, :], ((800, 4), None), True),
        ("b [c]", np.s_[:, :], ((800, 8), None), False),
        ("b [c]", np.s_[:, :], (None, (200, 1)), False),
    ],
)
def test_rows_are_contiguous_in_all_arrays_and_without_a_mask(
    pattern: str, view: Any, extra: tuple[Any, Any], expected: bool
) -> None:
    x = np.ones((10, 200), F32)[view]
    stated = spec(pattern)
    dense = np.empty(x.shape, F32).strides
    call = prepare(stated, stated.layout(x.shape), F32, (x.strides, dense, *extra))
    assert call.contiguous is expected


@pytest.mark.parametrize("measure", [m for m in Measure if m is not Measure.NONE])
def test_contiguous_rows_sum_squares(measure: Measure) -> None:
    stated = spec("b [c]", measure=measure)
    strides = np.ones((10, 200), F32).strides
    call = prepare(stated, stated.layout((10, 200)), F32, (strides, strides, None, None))
    assert call.contiguous is (measure not in (Measure.L1, Measure.MAX))

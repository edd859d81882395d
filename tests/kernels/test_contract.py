"""The border between engine and kernels: it needs no Numba, and says what the rest says."""

from __future__ import annotations

import subprocess
import sys
from types import ModuleType

import numpy as np
import pytest
from numba import njit

from normscope import Measure, reference, spec
from normscope.errors import SpecError
from normscope.kernels import contract, measures
from normscope.kernels.backward import nest as backward_nest
from normscope.kernels.contract import (
    ARRAYS,
    FULL_SIZE,
    INPUT,
    MEASURES,
    PARAMETERS,
    SETS,
    WRITTEN,
    BackwardPlace,
    Formula,
    ParameterPlace,
    Place,
)
from normscope.kernels.forward import nest as forward_nest

DIVIDING = [measure for measure in Measure if measure is not Measure.NONE]
PREDICATES = [name for name in vars(contract) if name.startswith(("is_", "takes_"))]


def divisor(x: np.ndarray, measure: Measure) -> float:
    """That of the definition, for one statistics set."""
    y = reference(x[None], spec("b [c]", measure=measure, center=False, eps=0))
    return float(x[0] / y[0, 0])


@pytest.mark.parametrize("module", ["normscope.kernels.contract", "normscope.engine.prepared"])
def test_it_needs_no_numba(module: str) -> None:
    code = f"import sys; sys.modules['numba'] = sys.modules['llvmlite'] = None; import {module}"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


def test_the_kernels_do_need_numba() -> None:
    code = "import sys; sys.modules['numba'] = None; import normscope.kernels.measures"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert "numba" in run.stderr


def test_each_measure_that_divides_has_a_number() -> None:
    assert list(MEASURES) == DIVIDING
    assert sorted(MEASURES.values()) == list(range(len(DIVIDING)))


@pytest.mark.parametrize("measure", DIVIDING)
def test_predicates_say_what_the_definition_does(measure: Measure) -> None:
    number = MEASURES[measure]
    x = np.random.default_rng(3).normal(2, 1, 50)
    alone, twice = divisor(x, measure), divisor(np.concatenate([x, x]), measure)
    assert contract.is_around_mean(number) == np.isclose(divisor(x + 5, measure), alone)
    assert contract.is_sum_of_squares(number) == np.isclose(twice, np.sqrt(2) * alone)
    assert contract.is_sum_of_sizes(number) == np.isclose(twice, 2 * alone)
    assert contract.is_largest(number) == (alone == np.abs(x).max())
    others = contract.is_sum_of_sizes(number) or contract.is_largest(number)
    assert contract.is_square(number) != others


@pytest.mark.parametrize("measure", DIVIDING)
def test_the_same_measures_take_ddof_as_in_a_spec(measure: Measure) -> None:
    if contract.takes_ddof(MEASURES[measure]):
        assert spec("b [c]", measure=measure, ddof=1).ddof == 1
    else:
        with pytest.raises(SpecError, match="ddof"):
            spec("b [c]", measure=measure, ddof=1)


@pytest.mark.parametrize("name", PREDICATES)
def test_compiled_predicates_say_the_same(name: str) -> None:
    compiled = getattr(measures, name)

    @njit
    def asked(measure: float) -> bool:
        return compiled(measure)

    for number in MEASURES.values():
        assert asked(float(number)) == getattr(contract, name)(number)


def test_the_numbers_of_the_formula_stand_where_it_is_said() -> None:
    for place, name in enumerate(Formula._fields):
        assert getattr(contract, name.upper()) == place


@pytest.mark.parametrize("place", [Place, BackwardPlace, ParameterPlace])
def test_every_order_of_arrays_has_the_same_parts(place: type) -> None:
    assert len(place._fields) == ARRAYS
    assert sorted([*FULL_SIZE, *PARAMETERS, SETS]) == list(range(ARRAYS))
    assert place._fields[INPUT] == "x"


def test_what_is_written_stands_in_one_place() -> None:
    assert Place._fields[WRITTEN] == "out"
    assert BackwardPlace._fields[WRITTEN] == "dx"


@pytest.mark.parametrize(
    ("functions", "place"), [(forward_nest, Place), (backward_nest, BackwardPlace)]
)
def test_each_array_is_stepped_through_by_its_own_strides(
    functions: ModuleType, place: type
) -> None:
    offsets, strides, moved, ahead = (
        functions.offsets,
        functions.strides,
        functions.moved,
        functions.ahead,
    )
    rng = np.random.default_rng(1)
    nest = np.concatenate([[[2], [3], [5]], rng.integers(0, 100, (3, ARRAYS))], axis=1)

    @njit
    def walked(nest: np.ndarray, index: int) -> tuple:
        at = offsets(nest, 0, 3, index)
        return at, moved(at, strides(nest, 1), 4), ahead(at, None, 7)

    at, further, beside = walked(nest, 23)
    expected = np.array(np.unravel_index(23, (2, 3, 5))) @ nest[:, 1:]
    assert at == place(*expected)
    assert type(at) is place
    assert further == place(*(expected + 4 * nest[1, 1:]))
    assert beside == place(*expected[:-1] + 7, expected[-1])

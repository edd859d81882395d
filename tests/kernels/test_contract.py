"""The border between engine and kernels: both sides of it say the same, and what the rest says."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from ctypes import Structure, c_double, c_int64, c_void_p, sizeof

import numpy as np
import pytest

from normscope import Measure, reference, spec
from normscope.errors import SpecError
from normscope.kernels import calls, contract
from normscope.kernels.contract import (
    ARRAYS,
    DTYPES,
    DX,
    FULL_SIZE,
    MEASURES,
    OUT,
    PARAMETERS,
    SET,
    Formula,
)
from normscope.kernels.recipe import SOURCE

DIVIDING = [measure for measure in Measure if measure is not Measure.NONE]
STRUCTURES = [
    name for name, value in vars(calls).items()
    if isinstance(value, type) and issubclass(value, Structure) and value is not Structure
]  # fmt: skip


@pytest.fixture(scope="module")
def header() -> str:
    """The C side, without its comments."""
    text = (SOURCE / "contract.h").read_text("utf-8")
    return re.sub(r"/\*.*?\*/", "", text, flags=re.DOTALL)


def numbers(header: str) -> Iterator[tuple[str, int]]:
    """All names of numbers, and the numbers."""
    for body in re.findall(r"enum \{(.*?)\};", header, re.DOTALL):
        value = -1
        for entry in body.split(","):
            name, _, given = entry.partition("=")
            value = int(given) if given else value + 1
            yield name.strip(), value
    for name, value in re.findall(r"#define (\w+) (\d+)", header):
        yield name, int(value)


def members(header: str, structure: str) -> list[tuple[str, str]]:
    """The names of the members of a structure, and their types."""
    body = re.search(r"typedef struct \{([^}]*)\} " + structure + ";", header)
    assert body is not None
    found = []
    for declaration in filter(None, map(str.strip, body[1].split(";"))):
        kind, names = re.match(r"((?:const )?\w+)\s+(.*)", declaration, re.DOTALL).groups()
        for name in names.split(","):
            pointer = "*" if "*" in name else ""
            found.append((name.strip(" *"), kind + pointer))
    return found


def kind_of(member: str) -> type:
    """What a type of C is in Python."""
    if member.endswith("*"):
        return c_void_p
    return {"Int": c_int64, "double": c_double, "Cut": calls.Cut}[member]


def test_every_number_has_the_same_value_on_both_sides(header: str) -> None:
    found = dict(numbers(header))
    assert len(found) > 40
    assert {name: getattr(contract, name) for name in found} == found


def test_every_structure_of_c_is_there(header: str) -> None:
    named = re.findall(r"\} (\w*(?:Call|Cut));", header)
    assert named == STRUCTURES


@pytest.mark.parametrize("name", STRUCTURES)
def test_structures_have_the_same_members_in_order(header: str, name: str) -> None:
    expected = [(member, kind_of(kind)) for member, kind in members(header, name)]
    assert list(getattr(calls, name)._fields_) == expected


@pytest.mark.parametrize("name", STRUCTURES)
def test_all_members_have_eight_bytes(name: str) -> None:
    structure = getattr(calls, name)
    kinds = [kind for _, kind in structure._fields_]
    assert sizeof(structure) == sum(map(sizeof, kinds))
    assert {sizeof(kind) for kind in kinds if kind is not calls.Cut} == {8}


def test_the_formula_has_the_same_numbers_in_order(header: str) -> None:
    assert [name for name, _ in members(header, "Formula")] == list(Formula._fields)
    for place, name in enumerate(Formula._fields):
        assert getattr(contract, name.upper()) == place


@pytest.mark.parametrize(
    "module",
    ["normscope", "normscope.engine.normalize", "normscope.engine.gradients",
     "normscope.engine.fit", "normscope.kernels.contract", "normscope.kernels.library"],
)  # fmt: skip
def test_only_calls_of_kernels_need_ctypes(module: str) -> None:
    code = (
        "import sys; from importlib.util import find_spec; import numpy\n"
        "for name in ('ctypes', '_ctypes', 'normscope.kernels.calls'): sys.modules[name] = None\n"
        f"import {module}"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


def test_each_measure_that_divides_has_a_number() -> None:
    assert list(MEASURES) == DIVIDING
    assert sorted(MEASURES.values()) == list(range(len(DIVIDING)))


def test_each_dtype_has_a_number() -> None:
    assert sorted(DTYPES.values()) == list(range(4))


def divisor(x: np.ndarray, measure: Measure) -> float:
    """That of the definition, for one statistics set."""
    y = reference(x[None], spec("b [c]", measure=measure, center=False, eps=0))
    return float(x[0] / y[0, 0])


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


def test_every_order_of_arrays_has_the_same_parts() -> None:
    assert sorted([*FULL_SIZE, *PARAMETERS, SET]) == list(range(ARRAYS))
    assert DX == OUT

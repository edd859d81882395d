"""Names and numbers of axes."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given, strategies as st

from frameworks.native_meaning import assert_same
from normscope import NormSpec, ShapeError, SpecError, spec, spec_of
from normscope.frameworks.axis_names import with_axis_names
from normscope.frameworks.axis_numbers import axes_of_rank, number_axes
from strategies import cases, specs


@given(st.data())
def test_names_change_nothing_else(data: st.DataObject) -> None:
    case = data.draw(cases())
    stated = data.draw(specs(case))
    assume(any(shared for _, _, shared in case.atoms))  # else no axis is there to be in brackets
    names = " ".join(f"n{dim}" for dim in range(len(case.shape)))
    named = with_axis_names(stated, names)
    assert "..." not in str(named.pattern)
    assert_same(named, stated, case.shape)


def test_names_that_are_taken() -> None:
    stated = with_axis_names(spec("b (g [c]) [s...]", g=2, scale="g c"), "g c h w")
    assert (stated.pattern, stated.scale, stated.sizes) == ("g (g_ [c]) [h w]", "g_ c", {"g_": 2})


@pytest.mark.parametrize("axes", ["b b", "b 3", "b c-d", "b ç"])
def test_what_are_no_names(axes: str) -> None:
    with pytest.raises(SpecError, match="names each axis of the input once"):
        spec_of("layer", axes=axes)


def test_another_number_of_axes() -> None:
    with pytest.raises(ShapeError, match=r"names 3 axes, but .* has 4 axes"):
        spec_of("torch.BatchNorm2d(8)", axes="b c t")


def test_expressions_take_names_too() -> None:
    assert spec_of("torch.LayerNorm((3, 5))", axes="n c h w").pattern == "n c [h w]"
    assert spec_of(NormSpec("... [c]"), axes="b t c").pattern == "b t [c]"


@given(st.integers(1, 6), st.data())
def test_numbers_mean_the_axes_that_numpy_means(rank: int, data: st.DataObject) -> None:
    axes = data.draw(
        st.lists(st.integers(-rank, rank - 1), min_size=1, unique_by=lambda axis: axis % rank)
    )
    try:
        numbered = number_axes("a layer", axes)
    except SpecError:  # counted from both ends
        numbered = number_axes("a layer", axes, rank=rank)
    shape = tuple(range(2, rank + 2))
    found = NormSpec(numbered.sharing(axes), scale=numbered.names(axes)).layout(shape)
    wanted = np.zeros(rank, bool)
    wanted[axes] = True
    assert [axis.shared for axis in found.axes] == wanted.tolist()
    scale = NormSpec(numbered.sharing(axes), scale=numbered.names(axes)).scale
    assert scale is not None
    assert found.named(scale) == tuple(np.flatnonzero(wanted))
    if wanted.all():
        return
    kept = NormSpec(numbered.keeping(axes)).layout(shape)
    assert [axis.shared for axis in kept.axes] == (~wanted).tolist()


@pytest.mark.parametrize(
    ("axes", "rank"), [([3], 3), ([-4], 3), ([0, -3], 3), ([1, 1], None), ([True], None), ([99], 3)]
)
def test_numbers_of_no_axis(axes: list[int], rank: int | None) -> None:
    with pytest.raises(SpecError, match="a layer"):
        number_axes("a layer", axes, rank=rank)


def test_axes_of_two_lists_may_be_one() -> None:
    with pytest.raises(SpecError, match="counts axes from both ends"):
        number_axes("a layer", [1, 2], [-1])
    assert axes_of_rank("a layer", 3, [1, 2], [-1]).names([-1]) == "d2"

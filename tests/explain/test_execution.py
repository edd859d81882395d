"""What an explanation says of the loop nest, for a shape and a dtype."""

from __future__ import annotations

import ml_dtypes
import numpy as np
import pytest

from normscope import DtypeError, ShapeError, explain, spec
from normscope.engine.loops import atomic_strides
from normscope.engine.plan import plan
from normscope.kernels.library import processors

NHWC = (8, 56, 56, 128)


@pytest.mark.parametrize("dtype", ["float32", np.float32, np.dtype("float16"), ml_dtypes.bfloat16])
def test_the_plan_is_that_of_a_contiguous_array(dtype: object) -> None:
    stated = spec("b [h w] (g [c])", g=4, scale="g c", bias="g c")
    found = explain(stated, NHWC, dtype=dtype)
    layout = stated.layout(NHWC)
    x = np.empty(NHWC, found.dtype if dtype is not ml_dtypes.bfloat16 else dtype)
    strides = atomic_strides(layout, x.strides, x.itemsize)
    learned = layout.named("g c")
    wanted = plan(layout, [strides, strides, None, None], [learned, learned], x.itemsize)
    assert str(found.plan) == str(wanted)
    assert found.to_dict()["plan"] == {"dtype": np.dtype(dtype).name, "text": str(wanted)}
    assert f"On NumPy\n  runs: kernels for {processors()}, compiled" in str(found)
    assert f"On a contiguous array of {found.dtype} the loops are" in str(found)
    assert str(wanted) in str(found)
    assert str(wanted) in found.to_html()


@pytest.mark.parametrize(
    ("pattern", "shape", "said"),
    [
        ("b c [h w]", (8, 64, 56, 56), "rows: neighbours in memory belong to one set"),
        ("[b h w] c", NHWC, "columns: neighbours in memory belong to different sets"),
        ("b c [h w]", (8, 64, 56, 56), "Sets are measured and written one by one"),
        ("[b c h w]", (8, 64, 56, 56), "the array is read twice"),
    ],
)
def test_it_is_said_in_words(pattern: str, shape: tuple[int, ...], said: str) -> None:
    assert said in str(explain(pattern, shape, dtype="float32"))


def test_without_a_dtype_nothing_is_said() -> None:
    found = explain("b [c]", (2, None))
    assert found.plan is None
    assert found.to_dict()["plan"] is None
    assert "On NumPy" not in str(found)


def test_what_cannot_be_run_is_refused() -> None:
    with pytest.raises(ShapeError, match="size must be known"):
        explain("b [c]", (2, None), dtype="float32")
    for dtype in ("float31", "nonsense", "complex64", np.dtype("M8[s]"), object()):
        with pytest.raises(DtypeError, match=r"arrays of float64, .* and of integers, not of"):
            explain("b [c]", (2, 3), dtype=dtype)


def test_integers_run_as_the_floats_that_they_equal() -> None:
    for dtype, floats in (("int8", "float32"), (np.uint16, "float32"), (np.int32, "float64")):
        wanted = explain("b [c]", (2, 3), dtype=floats)
        assert str(explain("b [c]", (2, 3), dtype=dtype)) == str(wanted)

from __future__ import annotations

from dataclasses import fields
from inspect import signature
from pathlib import Path

import ml_dtypes
import numpy as np
import pytest

from normscope import (
    DtypeError,
    NormSpec,
    ShapeError,
    SpecError,
    fit,
    gradients,
    normalize,
    reference,
    spec,
)
from normscope.notation.shape_solver import NOT_SIZES

pytestmark = pytest.mark.usefixtures("way")

RNG = np.random.default_rng(3)
X = RNG.normal(1, 2, (4, 6, 5, 3)).astype(np.float32)
INSTANCE = spec("b c [s...]", scale="c", bias="c")
SCALE, BIAS = RNG.normal(size=6), RNG.normal(size=6)


def expected(x: np.ndarray) -> np.ndarray:
    return reference(x, INSTANCE, scale=SCALE, bias=BIAS)


@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.float16, ml_dtypes.bfloat16])
def test_every_float_dtype_is_rounded_once(dtype: type) -> None:
    x = X.astype(dtype)
    y = normalize(x, INSTANCE, scale=SCALE, bias=BIAS)
    assert y.dtype == x.dtype
    np.testing.assert_array_equal(
        y.astype(np.float64),
        expected(x).astype(dtype).astype(np.float64)
        if dtype is not np.float64
        else normalize(x, INSTANCE, scale=SCALE, bias=BIAS),
    )


LAYOUTS = {
    "transposed": lambda a: np.ascontiguousarray(a.T).T,
    "fortran": np.asfortranarray,
    "sliced": lambda a: np.repeat(a, 2, axis=3)[..., ::2],
    "negative strides": lambda a: a[:, ::-1, :, ::-1].copy()[:, ::-1, :, ::-1],
    "unaligned": lambda a: (
        np.frombuffer(b"\0" + a.tobytes(), np.uint8)[1:].view(a.dtype).reshape(a.shape)
    ),
    "big endian": lambda a: a.astype(">f4"),
}


@pytest.mark.parametrize("change", LAYOUTS.values(), ids=LAYOUTS.keys())
def test_every_memory_layout(change) -> None:  # type: ignore[no-untyped-def]
    x = change(X)
    before = x.copy()
    y = normalize(x, INSTANCE, scale=SCALE, bias=BIAS)
    np.testing.assert_allclose(y, expected(X), rtol=1e-6, atol=1e-6)
    np.testing.assert_array_equal(x, before)
    assert y.dtype == x.dtype


def test_read_only_and_broadcast_input() -> None:
    x = np.broadcast_to(X[:1], X.shape)
    np.testing.assert_allclose(
        normalize(x, INSTANCE, scale=SCALE, bias=BIAS), expected(x), rtol=1e-6, atol=1e-6
    )
    assert not x.flags.writeable


def test_memory_order_is_kept() -> None:
    assert normalize(np.asfortranarray(X), INSTANCE).flags.f_contiguous
    assert normalize(X, INSTANCE).flags.c_contiguous


def test_out_may_be_the_input() -> None:
    x = X.copy()
    assert normalize(x, INSTANCE, scale=SCALE, bias=BIAS, out=x) is x
    np.testing.assert_allclose(x, expected(X), rtol=1e-6, atol=1e-6)


def test_out_may_overlap_the_input() -> None:
    memory = np.concatenate([X.ravel(), np.zeros(7, np.float32)])
    x, out = memory[: X.size].reshape(X.shape), memory[7:].reshape(X.shape)
    wanted = expected(x)
    np.testing.assert_allclose(
        normalize(x, INSTANCE, scale=SCALE, bias=BIAS, out=out), wanted, rtol=1e-6, atol=1e-6
    )


@pytest.mark.parametrize(
    "out",
    [np.zeros(3, np.float32), np.zeros(X.shape), [1.0], np.broadcast_to(np.float32(0), X.shape)],
)
def test_an_unfit_out_is_refused_before_anything_is_written(out: object) -> None:
    with pytest.raises(SpecError, match="out"):
        normalize(X, INSTANCE, out=out)  # type: ignore[arg-type]


def test_statistics_are_returned_one_per_set() -> None:
    y, stats = normalize(X, INSTANCE, return_stats=True)
    assert stats.mean.shape == stats.var.shape == stats.rstd.shape == (4, 6)
    np.testing.assert_allclose(stats.mean, X.mean((2, 3)), rtol=1e-5)
    np.testing.assert_allclose(stats.var, X.var((2, 3)), rtol=1e-5)
    again = normalize(X, INSTANCE, mean=stats.mean, var=stats.var)
    np.testing.assert_allclose(again, y, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("x", "said"),
    [
        (X.astype(complex), "complex128"),
        (X.astype(object), "object"),
        (X.astype(str), "dtype <U"),
        (X.astype(np.longdouble), "longdouble|float128"),
        (X.tolist(), "a list"),
        (None, "NoneType"),
        (3.0, "a float"),
        (np.ma.masked_array(X), "masked array"),
        (np.zeros(X.shape, [("a", "f4")]), "dtype"),
        (np.zeros(X.shape, "M8[s]"), "dtype"),
    ],
)
def test_what_cannot_be_normalized_is_refused(x: object, said: str) -> None:
    with pytest.raises(DtypeError, match=said):
        normalize(x, INSTANCE)  # type: ignore[arg-type]


def test_shapes_outside_the_contract() -> None:
    with pytest.raises(ShapeError, match='pattern "b \\[c\\]" has 2 axes, the shape has 4'):
        normalize(X, "b [c]")
    with pytest.raises(ShapeError, match="holds no value"):
        normalize(X[:, :, :0], INSTANCE)
    with pytest.raises(ShapeError, match="ddof=1 divides by 0"):
        normalize(X[:, :, :1, :1], NormSpec("b c [h w]", ddof=1))


def test_an_empty_batch_gives_an_empty_result() -> None:
    assert normalize(X[:0], INSTANCE).shape == (0, 6, 5, 3)
    with pytest.raises(ShapeError, match="holds no value"):
        normalize(X[:0], "[b] c h w")


@pytest.mark.parametrize(
    "arguments",
    [
        {"scale": np.ones(5)},
        {"scale": np.ones((6, 1))},
        {"scale": 1.0},
        {"bias": np.ones((2, 3))},
        {"mean": np.zeros(24), "var": np.ones(23)},
        {"mask": np.ones((3, 1, 1, 1), bool)},
    ],
)
def test_parameters_of_another_shape_are_refused(arguments: dict) -> None:
    with pytest.raises(ShapeError):
        normalize(X, INSTANCE, **arguments)


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ({"mean": np.zeros(24)}, SpecError),
        ({"var": np.zeros(24)}, SpecError),
        ({"mean": np.zeros(24), "var": -np.ones(24)}, SpecError),
        ({"mask": np.ones(X.shape)}, DtypeError),
        ({"scale": np.array(["a"] * 6)}, DtypeError),
        ({"scale": np.ones(6, complex)}, DtypeError),
        ({"eps": 1e-3}, SpecError),
    ],
)
def test_contradictions_are_refused(arguments: dict, error: type[Exception]) -> None:
    with pytest.raises(error):
        normalize(X, INSTANCE, **arguments)


def test_a_parameter_that_the_spec_does_not_have_is_refused() -> None:
    with pytest.raises(SpecError, match="the spec has no scale"):
        normalize(X, spec("b c [s...]"), scale=SCALE)


def test_a_bare_pattern_has_its_parameters_along_c() -> None:
    wanted = reference(X, spec("b (g [c]) [s...]", g=2, scale="g c"), scale=SCALE)
    np.testing.assert_allclose(
        normalize(X, "b (g [c]) [s...]", g=2, scale=SCALE), wanted, rtol=1e-6, atol=1e-6
    )
    with pytest.raises(SpecError, match="no axis called c"):
        normalize(X, "b d [s...]", scale=SCALE)


def test_nan_and_infinity_stay_in_their_set() -> None:
    x = X.copy()
    x[0, 0, 0, 0], x[1, 2, 3, 1] = np.nan, np.inf
    y = normalize(x, INSTANCE)
    touched = np.isnan(y).any((2, 3))
    assert touched[0, 0]
    assert touched[1, 2]
    assert touched.sum() == 2
    np.testing.assert_array_equal(y[2:], normalize(X[2:], INSTANCE))


@pytest.mark.parametrize("size", [1e-320, 1e-200, 1e-30, 1.0, 1e30, 1e200, 1.7e308])
@pytest.mark.parametrize("eps", [0.0, 1e-5])
def test_no_magnitude_overflows(size: float, eps: float, way: str) -> None:
    if way == "definition" and not 1e-150 < size < 1e150:
        pytest.skip("the definition squares in float64")
    x = np.array([[-1.0, 0.5, 0.5, 0.0]]) * size
    units = x / size if size > 1e-310 else x * 1e20 / (size * 1e20)
    exact = (units - units.mean()) / units.std()
    shrink = size * units.std() / np.hypot(size * units.std(), np.sqrt(eps))
    np.testing.assert_allclose(normalize(x, "b [c]", eps=eps), exact * shrink, rtol=1e-3)


def test_float16_near_its_largest_value() -> None:
    x = np.array([[60000.0, -60000.0, 30000.0, 0.0]], np.float16)
    np.testing.assert_allclose(
        normalize(x, "b [c]"), reference(x, spec("b [c]")), rtol=1e-3, atol=1e-3
    )


def test_a_large_mean_loses_nothing() -> None:
    x = (np.array([[40000.0, 40001, 40002, 40003]])).astype(np.float32)
    np.testing.assert_allclose(
        normalize(x, "b [c]"), [[-1.3416355, -0.4472118, 0.4472118, 1.3416355]], rtol=1e-6
    )


def test_constant_input_gives_exactly_the_bias() -> None:
    x = np.full((4, 6, 5, 3), 0.1, np.float32)
    y = normalize(x, INSTANCE, scale=SCALE, bias=BIAS)
    np.testing.assert_array_equal(
        y, np.broadcast_to(BIAS.astype(np.float32)[:, None, None], y.shape)
    )


@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.float16])
@pytest.mark.parametrize(("pattern", "size"), [("b [c]", 5), ("[c] b", 5), ("b [c]", 2000)])
def test_constants_over_a_divisor_whose_inverse_overflows(
    pattern: str, size: int, dtype: type
) -> None:
    x = np.full((4, size), 3, dtype)
    x = x.T if pattern == "[c] b" else x
    stated = spec(pattern, eps=0.0, eps_outside=1e-310)
    np.testing.assert_array_equal(normalize(x, stated), 0)
    no_divisor = normalize(x, spec(pattern, eps=0.0))
    np.testing.assert_array_equal(no_divisor, reference(x, spec(pattern, eps=0.0)))  # 0 / 0


def test_a_set_without_any_counted_value_is_the_bias() -> None:
    mask = np.ones(X.shape, bool)
    mask[0, 1] = False
    y = normalize(X, INSTANCE, scale=SCALE, bias=BIAS, mask=mask)
    np.testing.assert_array_equal(y[0, 1], np.full((5, 3), BIAS[1], np.float32))


def test_a_subclass_comes_back_as_an_array() -> None:
    class Own(np.ndarray):
        pass

    y = normalize(np.eye(3).view(Own), "b [c]")
    assert type(y) is np.ndarray


@pytest.mark.parametrize("which", ["x", "residual"])
def test_an_unaligned_array_leaves_nothing_for_an_aligned_one(which: str) -> None:
    """The call is remembered by the form of its arrays; an unaligned one is read from a copy."""
    rng = np.random.default_rng(0)
    unaligned = np.zeros(6 * 40 * 4 + 1, np.uint8)[1:].view(np.float32).reshape(6, 40)[:, ::2]
    aligned = rng.normal(size=(6, 40)).astype(np.float32)[:, ::2]
    other = rng.normal(size=(6, 20)).astype(np.float32)
    for array in (unaligned, aligned):
        x, residual = (array, other) if which == "x" else (other, array)
        y = normalize(x, "b [c]", residual=residual)
        np.testing.assert_allclose(y, reference(x + residual, spec("b [c]")), rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.float16])
@pytest.mark.parametrize("pattern", ["b [c]", "[b] c"])
@pytest.mark.parametrize("measure", ["mean_square", "l2"])
def test_infinity_without_a_mean_leaves_zeros(measure: str, pattern: str, dtype: type) -> None:
    x = np.array([[1, 2, np.inf, 4]] * 4, dtype)
    x = x if pattern == "b [c]" else np.ascontiguousarray(x.T)
    stated = spec(pattern, measure=measure, center=False)
    with np.errstate(invalid="ignore"):
        expected = reference(x, stated)
    np.testing.assert_array_equal(normalize(x, stated), expected)
    np.testing.assert_array_equal(normalize(x, stated, mask=np.ones(x.shape, bool)), expected)


@pytest.mark.parametrize(("pattern", "shape"), [("[b] c", (3, 0)), ("[b] c [d]", (2, 0, 3))])
def test_no_sets_at_all(pattern: str, shape: tuple[int, ...]) -> None:
    x = np.ones(shape)
    assert normalize(x, pattern).shape == shape
    assert fit(pattern, [x]).count.size == 0


def test_a_given_mean_counts_only_where_one_is_subtracted() -> None:
    x = np.array([[1.0, 2.0, 3.0]])
    for center in (True, False):
        stated = spec("b [c]", measure="variance" if center else "mean_square", center=center)
        expected = reference(x, stated, mean=[1.0], var=[1.0])
        np.testing.assert_allclose(normalize(x, stated, mean=[1.0], var=[1.0]), expected)
        assert expected[0, 0] == pytest.approx(0 if center else 1, abs=1e-4)


def test_statistics_of_a_set_of_which_nothing_counts() -> None:
    mask = np.array([[False] * 5, [True] * 5])
    for dtype in (np.float32, np.float64):
        _, stats = normalize(
            np.ones((2, 5), dtype), spec("b [c]", ddof=1), mask=mask, return_stats=True
        )
        np.testing.assert_array_equal(stats.var, [0, 0])


@pytest.mark.parametrize("arguments", [{"scale": [[1], [1, 2]]}, {"mask": [[True], []]}])
def test_ragged_arguments_are_refused(arguments: dict) -> None:
    with pytest.raises(DtypeError):
        normalize(np.ones((2, 3)), "b [c]", **arguments)


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("place", [0, 1, 2])
@pytest.mark.parametrize("pattern", ["[b] c [h]", "[b h] c", "b [c h]"])
@pytest.mark.parametrize("measure", ["l1", "max"])
def test_nan_is_measured_wherever_it_stands(
    measure: str, pattern: str, place: int, dtype: type
) -> None:
    x = np.random.default_rng(0).normal(size=(3, 2, 70)).astype(dtype)
    x[place, 1, 5] = np.nan
    x = x.swapaxes(1, 2) if pattern == "[b h] c" else x
    stated = spec(pattern, measure=measure, center=False)
    for mask in (None, np.ones(x.shape, bool)):
        y = normalize(np.ascontiguousarray(x), stated, mask=mask)
        np.testing.assert_array_equal(np.isnan(y), np.isnan(reference(x, stated)))


def test_a_mask_that_lies_in_out() -> None:
    x = np.random.default_rng(0).normal(size=(64, 1024))
    out = np.zeros_like(x)
    mask = out.view(bool).reshape(-1)[: x.size].reshape(x.shape)
    mask[:, ::2] = True
    expected = normalize(x, "b [c]", mask=mask.copy())
    np.testing.assert_array_equal(normalize(x, "b [c]", mask=mask, out=out), expected)


@pytest.mark.parametrize("pattern", ["b [c]", "[b] c"])
def test_a_mask_between_the_numbers_of_out(pattern: str) -> None:
    """Both in one record: they share no byte, but their bounds overlap."""
    rng = np.random.default_rng(0)
    record = np.zeros((3, 5), np.dtype([("value", "f4"), ("ok", "?")], align=True))
    record["value"], record["ok"] = rng.normal(size=(3, 5)), rng.random((3, 5)) < 0.6
    wanted = normalize(record["value"].copy(), pattern, mask=record["ok"].copy())
    got = normalize(record["value"], pattern, mask=record["ok"], out=record["value"])
    np.testing.assert_array_equal(got, wanted)


def test_a_broadcast_mask_beside_out() -> None:
    memory = np.random.default_rng(0).normal(size=(4, 8))
    x, mask = memory[:, :7], memory[:, 7:].view(bool)[:, :1]
    mask[:] = [[True], [True], [False], [True]]
    wanted = normalize(x.copy(), "[b] c", mask=mask.copy())
    np.testing.assert_array_equal(normalize(x, "[b] c", mask=mask, out=x), wanted)


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize(
    ("pattern", "length", "others"), [("c [b]", 70, 9), ("[b] c", 70, 9), ("c [b]", 200_000, 1)]
)
def test_infinity_gives_the_same_statistics_by_every_way(
    pattern: str, length: int, others: int, dtype: type
) -> None:
    x = np.random.default_rng(0).normal(size=(others, length)).astype(dtype)
    x[others // 2, length // 2] = np.inf
    laid = x if pattern == "c [b]" else np.ascontiguousarray(x.T)
    y, stats = normalize(laid, pattern, return_stats=True)
    with np.errstate(invalid="ignore"):
        np.testing.assert_allclose(stats.mean, x.mean(1, dtype=np.float64), rtol=1e-6, atol=1e-8)
        np.testing.assert_array_equal(np.isnan(stats.var), np.isnan(x.var(1)))
        wanted = reference(laid, spec(pattern))
    np.testing.assert_array_equal(np.isnan(y), np.isnan(wanted))


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("pattern", ["b [c]", "[c] b"])
@pytest.mark.parametrize("ddof", [2, 3])
def test_no_more_counted_values_than_ddof_give_nan(ddof: int, pattern: str, dtype: type) -> None:
    x = np.random.default_rng(0).normal(size=(3, 6)).astype(dtype)
    mask = np.zeros(x.shape, bool)
    mask[:2, :2] = True
    if pattern == "[c] b":
        x, mask = x.T, mask.T
    stated = spec(pattern, ddof=ddof)
    y, stats = normalize(x, stated, mask=mask, return_stats=True)
    assert np.isnan(stats.var[:2]).all()
    np.testing.assert_array_equal(y, reference(x, stated, mask=mask))


@pytest.mark.parametrize("pattern", [["b", "[c]"], None, 3])
def test_what_is_no_pattern_is_refused(pattern: object) -> None:
    with pytest.raises(SpecError, match="or a NormSpec, not"):
        normalize(np.ones((2, 3)), pattern)  # type: ignore[call-overload]


def test_numbers_of_numpy_are_numbers() -> None:
    x = np.array([[1.0, 2, 3]])
    np.testing.assert_array_equal(
        normalize(x, "b [c]", negative_slope=np.float32(0.5)),
        normalize(x, "b [c]", negative_slope=0.5),
    )
    with pytest.raises(SpecError, match="a finite number"):
        normalize(x, "b [c]", negative_slope=10**400)


@pytest.mark.parametrize("name", ["residual", "scale", "mask", "out"])
def test_masked_arrays_are_refused_everywhere(name: str) -> None:
    x = np.ones((2, 3))
    masked = np.ma.masked_array(np.ones(3 if name == "scale" else (2, 3)), False)
    masked = masked.astype(bool) if name == "mask" else masked
    with pytest.raises(DtypeError, match=rf"{name} is a masked array: give {name}\.filled"):
        normalize(x, spec("b [c]", scale="c"), **{name: masked})


INTEGERS = {
    **dict.fromkeys(("bool", "uint8", "int8", "uint16", "int16", ">i2"), "float32"),
    **dict.fromkeys(("int32", "uint32", "int64", "uint64", ">u4"), "float64"),
}


@pytest.mark.parametrize("dtype", INTEGERS)
def test_integers_are_computed_as_the_floats_that_they_equal(dtype: str) -> None:
    x = RNG.integers(0, 2 if dtype == "bool" else 128, (5, 6, 8)).astype(dtype)
    for array in (x, np.asfortranarray(x), x[:, ::-2], x.transpose(2, 0, 1), x[:0]):
        floats = array.astype(INTEGERS[dtype])
        if not array.size:
            assert normalize(array, "b [s] c").dtype == floats.dtype
            continue
        learned = {
            name: np.arange(array.shape[-1]).astype(kind)
            for name, kind in (("scale", "uint8"), ("bias", "int64"))
        }
        fused = {"mask": array > 0, "negative_slope": 0.5, "return_stats": True, **learned}
        kept = array.copy()
        found, stats = normalize(array, "[b] s c", residual=array, **fused)
        wanted, known = normalize(floats, "[b] s c", residual=floats, **fused)
        assert found.dtype == wanted.dtype
        assert found.strides == wanted.strides
        np.testing.assert_array_equal(found, wanted)
        np.testing.assert_array_equal(stats.var, known.var)
        out = np.empty_like(wanted)
        assert normalize(array, "[b] s c", residual=array, out=out, **fused)[0] is out
        np.testing.assert_array_equal(out, wanted)
        np.testing.assert_array_equal(array, kept)
        given = {"mean": np.full(stats.mean.shape, 3), "var": np.full(stats.mean.shape, 4)}
        np.testing.assert_array_equal(
            normalize(array, "[b] s c", **given), normalize(floats, "[b] s c", **given)
        )


def test_sums_of_integers_do_not_wrap_around() -> None:
    x = np.array([[250, 0, 200]], np.uint8)
    np.testing.assert_array_equal(
        normalize(x, "b [c]", residual=x), normalize(2 * x.astype(np.float32), "b [c]")
    )


@pytest.mark.parametrize("name", ["out", "residual"])
def test_what_integers_are_given_with_is_in_floats(name: str) -> None:
    x = np.ones((2, 3), np.uint8)
    with pytest.raises(SpecError, match=rf"{name} must be float32 of shape \(2, 3\), as the res"):
        normalize(x, "b [c]", **{name: np.ones((2, 3), np.int8)})


def test_a_file_that_is_no_array_is_told_a_way(tmp_path: Path) -> None:
    import h5py

    with h5py.File(tmp_path / "x.h5", "w") as file:
        dataset = file.create_dataset("x", data=np.ones((2, 3)))
        with pytest.raises(DtypeError, match=r"not a NumPy array: give .*fit\(pattern, x\) takes"):
            normalize(dataset, "b [c]")


def test_an_out_whose_elements_are_one_is_refused() -> None:
    x = np.ones((4, 3))
    out = np.lib.stride_tricks.as_strided(np.ones(3), (4, 3), (0, 8))
    with pytest.raises(SpecError, match="stride of 0"):
        normalize(x, "b [c]", out=out)


def test_given_statistics_are_returned_for_an_empty_array_too() -> None:
    x, ones = np.zeros((3, 0)), np.ones(3)
    _, stats = normalize(x, "b [c]", mean=ones, var=ones, return_stats=True)
    np.testing.assert_array_equal(stats.mean, ones)
    np.testing.assert_array_equal(stats.var, ones)


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
@pytest.mark.parametrize("pattern", ["b [c]", "b c [s]", "[b] c"])
@pytest.mark.parametrize("masked", [False, True])
def test_the_mean_is_infinite_wherever_the_infinity_stands(
    dtype: str, pattern: str, masked: bool
) -> None:
    shape = (2, 3, 5) if "s" in pattern else (4, 4)
    for place in np.ndindex(*shape):
        x = np.ones(shape, dtype)
        x[place] = np.inf
        mask = np.ones(shape, bool) if masked else None
        mean = normalize(x, pattern, mask=mask, return_stats=True)[1].mean
        axes = spec(pattern).layout(shape).shared
        np.testing.assert_array_equal(mean, x.mean(axes), f"infinity at {place}")


class Alike(str):
    """Texts that all call themselves equal."""

    __slots__ = ()

    def __eq__(self, other: object) -> bool:
        return True

    def __hash__(self) -> int:
        return hash("b [c]")


class AlikeSpec(NormSpec):
    """Specs that all call themselves equal."""

    def __eq__(self, other: object) -> bool:
        return True

    def __hash__(self) -> int:
        return 1


def test_subclasses_that_call_themselves_equal_are_told_apart() -> None:
    x = RNG.normal(size=(2, 4))
    for kind in (Alike, AlikeSpec):
        for pattern in ("b [c]", "[b] c", "[b c]"):
            found = normalize(x, kind(pattern))
            np.testing.assert_array_equal(found, normalize(x, pattern), f"{kind} {pattern}")


def test_more_axes_than_numpy_has_are_refused() -> None:
    x = np.ones((4,) + (1,) * 31 + (6,))
    sizes = {"r": (2,) + (1,) * 31 + (3,)}
    for call in (
        lambda: reference(x, spec("(s [r])...", **sizes)),
        lambda: normalize(x, "(s [r])...", **sizes),
        lambda: fit("(s [r])...", x, **sizes),
    ):
        with pytest.raises(ShapeError, match="apart into 66 axes; 64 are possible"):
            call()


def test_a_parameter_along_as_many_axes_as_numpy_has() -> None:
    x = RNG.normal(size=(3,) + (1,) * 62 + (4,))
    scale, bias = RNG.normal(size=x.shape), RNG.normal(size=x.T.shape)
    stated = spec("a [b...] c", scale="a b... c", bias="c b... a")
    np.testing.assert_allclose(
        normalize(x, stated, scale=scale, bias=bias),
        normalize(x, "a [b...] c") * scale + bias.T, atol=1e-12,
    )  # fmt: skip


def test_a_size_that_a_keyword_cannot_give_is_shown_in_sizes() -> None:
    keywords = {
        *(name for call in (normalize, gradients, fit) for name in signature(call).parameters),
        *(field.name for field in fields(NormSpec)),
    } - {"fields_and_sizes"}
    assert keywords == NOT_SIZES
    with pytest.raises(ShapeError, match=r'for example sizes=\{"mask": 2\}'):
        normalize(np.ones((2, 4)), "b (mask [c])")
    assert normalize(np.ones((2, 4)), "b (mask [c])", sizes={"mask": 2}).shape == (2, 4)

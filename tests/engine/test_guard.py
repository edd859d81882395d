"""Divisors that are 1 where they would be small, and none at all: in every way through the engine.

`reference` is the oracle. Whether a divisor is 1 must not depend on rounding where a set is
constant, so sets of 0 and of numbers that no float holds exactly are in each input.
"""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from typing import Any

import ml_dtypes
import numpy as np
import pytest

from engine.test_gradients import differences
from normscope import NormSpec, SpecError, fit, normalize, reference, spec
from normscope.engine.gradients import gradients

RNG = np.random.default_rng(11)

MEAN_ONLY = {"measure": "none"}
GUARDS = {
    "no divisor": MEAN_ONLY,
    "where it is 0": {"eps": 0, "unit_below": 0},
    "below a tolerance": {"eps": 0, "unit_below": 0.01},
    "below 2": {"eps": 1e-5, "unit_below": 2},
    "of the mean square": {"eps": 0, "unit_below": 0, "measure": "mean_square", "center": False},
    "of the largest": {"eps": 0, "unit_below": 0.01, "measure": "max", "center": False},
    "of the sum": {"eps": 0, "unit_below": 0, "measure": "l1", "center": False},
}

WAYS = {
    "short rows": ("b [c]", (9, 40), {}),
    "long rows": ("b [c]", (4, 700), {}),
    "rows in chunks": ("b [c]", (4, 140_000), {}),
    "columns": ("[b] c", (40, 7), {}),
    "columns in chunks": ("[b] c", (5000, 5), {}),
    "folded columns": ("[b] (g [c])", (30, 12), {"g": 6}),
    "runs": ("[b] c [h]", (5, 6, 70), {}),
    "middle": ("b [c] h", (5, 9, 4), {}),
}

# A result is rounded once; sums over the set cost a little more. In half precision the constant,
# sets are the point, the rest is checked by tests/test_kernels.py.
CLOSE = {"float64": 1e-12, "float32": 3e-7, "float16": 1e-3, "bfloat16": 8e-3}


def problem(way: str, dtype: Any) -> tuple[np.ndarray, NormSpec]:
    """Ordinary sets, beside sets of 0.1, of 0, of 1e-4 times the spread, and of 1/3."""
    pattern, shape, sizes = WAYS[way]
    stated = spec(pattern, scale="", bias="", **sizes)
    layout = stated.layout(shape)
    x = RNG.normal(0.5, 2, layout.known_sizes)
    kept = [i if i in layout.kept else None for i in range(x.ndim)]
    numbers = np.arange(layout.num_sets).reshape(
        [1 if i is None else size for i, size in zip(kept, x.shape, strict=True)]
    )
    for number, (level, spread) in enumerate(((0.1, 0), (0, 0), (0, 1e-4), (1 / 3, 0))):
        x = np.where(numbers == number, level + spread * x, x)
    return x.reshape(shape).astype(dtype), stated


@pytest.mark.slow
@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.float16, ml_dtypes.bfloat16])
def test_every_way_of_normalize(way: str, dtype: Any) -> None:
    x, plain = problem(way, dtype)
    mask = RNG.random(x.shape) < 0.6
    mask[..., 0] = True
    rest = RNG.normal(size=x.shape).astype(dtype)
    close = CLOSE[np.dtype(dtype).name]
    wide = x.astype(np.float64)
    for name, fields in GUARDS.items():
        stated = replace(plain, **fields)
        learned = {"scale": 1.5, "bias": 0.25}
        wanted = reference(wide, stated, **learned)
        found, stats = normalize(x, stated, **learned, return_stats=True)
        given = {"mean": stats.mean, "var": stats.var}
        masked = reference(wide, stated, **learned, mask=mask)
        added = reference((x + rest).astype(np.float64), stated, **learned)
        results = [
            ("with its statistics", found, wanted),
            ("alone", normalize(x, stated, **learned), wanted),
            ("with given statistics", normalize(x, stated, **learned, **given), wanted),
            ("masked", normalize(x, stated, **learned, mask=mask), masked),
        ]
        if dtype is np.float32:  # these are kernels of their own, but for one dtype as for another
            activated = normalize(x, stated, **learned, negative_slope=0.1)
            results += [
                ("added", normalize(x, stated, **learned, residual=rest), added),
                ("activated", activated, np.where(wanted > 0, wanted, wanted * 0.1)),
            ]
        for what, y, exact in results:
            np.testing.assert_allclose(
                y.astype(np.float64), exact, close, close, err_msg=f"{name}, {what}"
            )


def test_without_the_guard_a_constant_set_is_nan() -> None:
    """The twin: the inputs above have sets whose divisor is 0, in every dtype."""
    for dtype in (np.float64, np.float32, np.float16):
        x, _ = problem("long rows", dtype)
        with np.errstate(invalid="ignore"):
            assert np.isnan(normalize(x, "b [c]", eps=0)[0]).all()


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("pattern", ["b [c]", "[c] b"])
def test_what_is_not_finite_stays(dtype: Any, pattern: str) -> None:
    x = np.array([[np.nan, 1, 2], [np.inf, 1, 2], [-np.inf, np.inf, 0], [3, 3, 3]], dtype)
    x = x if pattern == "b [c]" else x.T.copy()
    with np.errstate(invalid="ignore", over="ignore"):
        for fields in GUARDS.values():
            stated = spec(pattern, **fields)
            wanted = reference(x, stated)
            np.testing.assert_allclose(normalize(x, stated), wanted, 1e-6)
            _, stats = normalize(x, stated, return_stats=True)
            constant = stats.rstd[3]
            assert constant == (1 if stated.center else constant)


def test_a_mean_that_overflows_nothing() -> None:
    """Where nothing is divided, no square has to fit into float64; and all is rounded once."""
    rows = [[1e300, -1e300, 5e299, 1.0], [1e-310, 3e-310, 0, 0], [1e16, 1e16 + 2, 1e16, 1e16]]
    for row, y in zip(rows, normalize(np.array(rows), "b [c]", measure="none"), strict=True):
        exact = [Fraction(number) for number in row]
        assert list(y) == [float(number - sum(exact) / len(row)) for number in exact]


def test_statistics_of_what_is_not_divided() -> None:
    x = RNG.normal(3, 2, (20, 4)).astype(np.float32)
    centred = spec("[b] c", **MEAN_ONLY)
    y, stats = normalize(x, centred, return_stats=True)
    np.testing.assert_array_equal(stats.var, np.ones(4))
    np.testing.assert_array_equal(stats.rstd, np.ones(4))
    np.testing.assert_allclose(stats.mean, x.astype(np.float64).mean(0), rtol=1e-14)
    np.testing.assert_array_equal(normalize(x, centred, mean=stats.mean), y)
    np.testing.assert_array_equal(normalize(x, centred, mean=stats.mean, var=stats.var * 9), y)
    found = fit(centred, np.array_split(x, 3))
    np.testing.assert_array_equal(found.var, np.ones(4))
    np.testing.assert_allclose(found.normalize(x), y, atol=1e-6)
    with pytest.raises(SpecError, match="the mean is all that is used"):
        normalize(x, centred, var=stats.var)
    with pytest.raises(SpecError, match="both or neither"):
        normalize(x, "[b] c", mean=stats.mean)


@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.float16, ml_dtypes.bfloat16])
@pytest.mark.parametrize("value", [0.1, 1 / 3, -6e4, 3e-5, 0.0])
@pytest.mark.parametrize("size", [3, 49, 1000, 70_001])
def test_a_constant_set_is_constant_however_it_is_cut(dtype: Any, value: float, size: int) -> None:
    """The divisor is 1 then; were its spread off by rounding, the result would be far from 0."""
    x = np.full((size, 2), value, dtype)
    x[:, 1] = np.linspace(-1, 1, size)
    guarded = spec("[b] c", eps=0, unit_below=0)
    for y in (
        normalize(x, guarded),
        normalize(x.T.copy(), "c [b]", eps=0, unit_below=0).T,
        fit(guarded, np.array_split(x, 3)).normalize(x),
        reference(x, guarded),
    ):
        np.testing.assert_array_equal(y[:, 0], np.zeros(size))
        assert np.abs(y[:, 1].astype(np.float64)).max() > 1


# --- gradients ------------------------------------------------------------------------------------


@pytest.mark.parametrize("pattern", ["b [c]", "[c] b"])
@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("name", [name for name in GUARDS if name != "of the largest"])
def test_gradients_against_finite_differences(name: str, masked: bool, pattern: str) -> None:
    x = RNG.normal(0.5, 2, (4, 5))
    x[0] *= 1e-4  # its divisor is 1 below a tolerance
    x[1] += 3
    mask = RNG.random((4, 5)) < 0.7
    mask[:, :3] = True
    mask[3] = not masked  # a set without any element
    if pattern == "[c] b":
        x, mask = x.T.copy(), mask.T.copy()
    stated = spec(pattern, scale="c", bias="c", **GUARDS[name])
    if stated.unit_below == 0:
        x = x + 1.0 * (np.abs(x) < 1e-2)  # no set so small that its differences are rounding
        x = np.where(np.abs(x - 1) < 1e-2, np.arange(x.size).reshape(x.shape), x)
    dy = RNG.normal(size=x.shape)
    arguments: dict[str, Any] = {"scale": RNG.normal(size=5), "bias": RNG.normal(size=5)}
    arguments |= {"mask": mask} if masked else {}
    wanted = differences(x, dy, stated, **arguments)
    _, stats = normalize(x, stated, **arguments, return_stats=True)
    arguments.pop("bias")
    found = gradients(dy, x, stated, mean=stats.mean, rstd=stats.rstd, **arguments)
    # differences over 1e-6 of numbers near 1
    np.testing.assert_allclose(found.x, wanted["x"], rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(found.scale, wanted["scale"], rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(found.bias, wanted["bias"], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("unit_below", [0, 0.5, 1])
@pytest.mark.parametrize("pattern", ["b [c]", "[c] b"])
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_a_divisor_that_is_1_by_itself_has_a_derivative(
    unit_below: float, pattern: str, dtype: Any
) -> None:
    """The deviation of -1 and 1 is 1; that of the second set is less than any guard here, or 0."""
    x = np.array([[-1, 1, 1, -1], [0.25, 0.25, 0.25, 0.25], [1, 2, 3, 5]], dtype)
    if unit_below:
        x[1] *= [1, 2, 1, 1]
    dy = np.random.default_rng(3).normal(size=x.shape).astype(dtype)
    if pattern == "[c] b":
        x, dy = x.T.copy(), dy.T.copy()
    axis = 1 if pattern == "b [c]" else 0
    stated = spec(pattern, eps=0, unit_below=unit_below)
    _, stats = normalize(x, stated, return_stats=True)
    np.testing.assert_array_equal(stats.rstd[:2], [1, 1])
    found = gradients(dy, x, stated, mean=stats.mean, rstd=stats.rstd).x
    whole = gradients(dy, x, spec(pattern, eps=0), mean=stats.mean, rstd=stats.rstd).x
    wanted = np.take(whole, [0, 1, 2], 1 - axis)
    guarded = np.take(dy, 1, 1 - axis)
    wanted[(slice(None), 1) if axis == 0 else 1] = guarded - guarded.mean()
    np.testing.assert_allclose(found, wanted, rtol=1e-6, atol=1e-7)
    assert np.abs(np.take(whole, 0, 1 - axis) - np.take(dy, 0, 1 - axis)).max() > 0.1


def test_the_gradient_of_a_mean_alone() -> None:
    x, dy = RNG.normal(size=(2, 6, 4))
    scale = RNG.normal(size=4)
    stated = spec("[b] c", scale="c", **MEAN_ONLY)
    _, stats = normalize(x, stated, scale=scale, return_stats=True)
    found = gradients(dy, x, stated, mean=stats.mean, rstd=np.full(4, 7.0), scale=scale)
    g = dy * scale
    np.testing.assert_allclose(found.x, g - g.mean(0), rtol=1e-13, atol=1e-14)
    np.testing.assert_allclose(found.scale, (dy * (x - x.mean(0))).sum(0), rtol=1e-12)

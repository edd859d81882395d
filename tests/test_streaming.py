from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from sklearn.preprocessing import StandardScaler

from normscope import DtypeError, Running, ShapeError, SpecError, normalize, spec, streaming
from normscope.reference import running_update
from normscope.running import updated
from normscope.streaming import fit

RNG = np.random.default_rng(2)
X = RNG.normal(1000, 2, (4001, 7)).astype(np.float32)


def test_equal_to_standard_scaler() -> None:
    wanted = StandardScaler().fit(X.astype(np.float64))
    found = fit("[b] c", np.array_split(X, 13))
    np.testing.assert_allclose(found.mean, wanted.mean_, rtol=1e-13)
    np.testing.assert_allclose(found.var, wanted.var_, rtol=1e-10)
    np.testing.assert_array_equal(found.count, 4001)
    np.testing.assert_allclose(
        normalize(X, spec("[b] c", eps=0), **found.parameters),
        wanted.transform(X.astype(np.float64)), rtol=1e-5, atol=1e-6,
    )  # fmt: skip


@given(st.lists(st.integers(1, 4000), max_size=20))
@settings(max_examples=30)
def test_the_same_for_any_chunking(cuts: list[int]) -> None:
    whole = fit("[b] c", X)
    found = fit("[b] c", [part for part in np.split(X, sorted(cuts)) if len(part)])
    np.testing.assert_allclose(found.mean, whole.mean, rtol=1e-15)
    np.testing.assert_allclose(found.var, whole.var, rtol=1e-13)


def test_a_memory_map_in_pieces(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streaming, "PIECE_BYTES", 4096)
    np.save(tmp_path / "x.npy", X)
    mapped = np.load(tmp_path / "x.npy", mmap_mode="r")
    found, whole = fit("[b] c", mapped), fit("[b] c", [X])
    np.testing.assert_allclose(found.mean, whole.mean, rtol=1e-15)
    np.testing.assert_allclose(found.var, whole.var, rtol=1e-13)


def test_a_dask_array() -> None:
    from dask import array as dask_array

    blocks = dask_array.from_array(X, chunks=(700, 3))
    found, whole = fit("[b] c", blocks), fit("[b] c", X)
    np.testing.assert_allclose(found.mean, whole.mean, rtol=1e-15)
    np.testing.assert_allclose(found.var, whole.var, rtol=1e-13)


@pytest.mark.parametrize("measure", ["mean_square", "l2", "l1", "max"])
def test_other_measures_and_images(measure: str) -> None:
    images = RNG.normal(2, 3, (9, 4, 5, 6))
    found = fit("[b] c [h w]", [images[:2], images[2:7], images[7:]], measure=measure)
    wanted = normalize(images, spec("[b] c [h w]", measure=measure), return_stats=True)[1]
    np.testing.assert_allclose(found.var, wanted.var, rtol=1e-12)
    np.testing.assert_allclose(found.mean, wanted.mean, rtol=1e-12)
    np.testing.assert_allclose(
        found.normalize(images), normalize(images, "[b] c [h w]", measure=measure), rtol=1e-10,
        atol=1e-12,
    )  # fmt: skip
    assert found.inference.pattern is None


@pytest.mark.parametrize(
    ("batches", "error", "said"),
    [
        ([], SpecError, "no batches"),
        ([X, X[:, :5]], ShapeError, "statistics sets"),
        ([X.astype(int)], DtypeError, "int64"),
        ("text", DtypeError, "iterable"),
        (3, DtypeError, "iterable"),
        ([X[0]], ShapeError, "axes"),
    ],
)
def test_what_cannot_be_measured_is_refused(batches: object, error: type, said: str) -> None:
    with pytest.raises(error, match=said):
        fit("[b] c", batches)


def test_progress_is_shown_when_wanted(capsys: pytest.CaptureFixture[str]) -> None:
    fit("[b] c", [X, X], progress=True)
    fit("[b] c", [X, X], progress=False)


@pytest.mark.parametrize("ddof", [0, 1])
@pytest.mark.parametrize("plus_eps", [False, True])
def test_running_statistics(ddof: int, plus_eps: bool) -> None:
    stated = spec("[b] c", running=Running(0.9, ddof=ddof, plus_eps=plus_eps))
    old = RNG.normal(size=7), RNG.random(7)
    for found, wanted in zip(
        updated(X, stated, *old), running_update(X, stated, *old), strict=True
    ):
        np.testing.assert_allclose(found, wanted, rtol=1e-12)
    with pytest.raises(SpecError, match="no running"):
        updated(X, spec("[b] c"), *old)


def test_sets_with_too_few_counted_values_keep_their_running_statistics() -> None:
    stated = spec("[b] c", running=Running(decay=0.5, ddof=1))
    x = np.array([[1.0, 5.0], [3.0, 7.0]])
    mask = np.array([[True, True], [True, False]])
    mean, var = updated(x, stated, [0.0, 0.5], [1.0, 2.0], mask=mask)
    np.testing.assert_array_equal(mean, [1.0, 0.5])
    np.testing.assert_array_equal(var, [1.5, 2.0])


@pytest.mark.parametrize("rows", [0, 1])
def test_a_batch_that_is_too_small_is_refused(rows: int) -> None:
    stated = spec("[b] c", running=Running(decay=0.5, ddof=1))
    with pytest.raises(ShapeError, match="a statistics set"):
        updated(np.ones((rows, 2)), stated, [0.0, 0.5], [1.0, 2.0])
    with pytest.raises(ShapeError, match=rf"{rows} value\(s\) in all batches together"):
        fit("[b] c", [np.ones((rows, 2))], ddof=1)


def test_running_statistics_of_another_shape_are_refused() -> None:
    stated = spec("[b] s c", running=Running(decay=0.5))
    with pytest.raises(ShapeError, match="running_mean has shape"):
        updated(np.ones((4, 2, 3)), stated, np.zeros((3, 2)), np.ones((2, 3)))
    mean, _ = updated(np.ones((4, 2, 3)), stated, np.zeros(6), np.ones((2, 3)))
    assert mean.shape == (6,)


@pytest.mark.parametrize("pattern", [None, 3, ["[b] c"]])
def test_what_is_no_pattern_is_refused(pattern: object) -> None:
    with pytest.raises(SpecError, match="or a NormSpec, not"):
        fit(pattern, [np.ones((2, 3))])  # type: ignore[arg-type]

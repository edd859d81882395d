from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from normscope import DtypeError, ShapeError, SpecError, normalize, spec
from normscope.engine.fit import Fit, fit

pytestmark = pytest.mark.usefixtures("way")

RNG = np.random.default_rng(2)
X = RNG.normal(1000, 2, (4001, 7)).astype(np.float32)


@pytest.mark.framework
def test_equal_to_standard_scaler() -> None:
    from sklearn.preprocessing import StandardScaler

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
    monkeypatch.setattr("normscope.engine.batches.PIECE_BYTES", 4096)
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
        ([X.astype(complex)], DtypeError, "complex128"),
        (X.tolist(), DtypeError, r"batch 0 is a list, not an array; .* np.array"),
        ([1.0, 2.0], DtypeError, "batch 0 is a float"),
        ([X, (X, X)], DtypeError, r"batch 1 is a tuple, .*batch.0. for batch"),
        ({"x": X}, DtypeError, "a dict of arrays: give one of them"),
        ((part for part in ()), SpecError, "no batches"),
        (np.float32(3), ShapeError, "the shape has 0"),
        (X[0], ShapeError, "axes"),
        ([X, X[0]], ShapeError, "axes"),
        (b"text", DtypeError, "iterable"),
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


@pytest.mark.parametrize("rows", [0, 1])
def test_a_batch_that_is_too_small_is_refused(rows: int) -> None:
    with pytest.raises(ShapeError, match=rf"{rows} values? in all batches together"):
        fit("[b] c", [np.ones((rows, 2))], ddof=1)


@pytest.mark.parametrize("pattern", [None, 3, ["[b] c"]])
def test_what_is_no_pattern_is_refused(pattern: object) -> None:
    with pytest.raises(SpecError, match="or a NormSpec, not"):
        fit(pattern, [np.ones((2, 3))])  # type: ignore[arg-type]


IMAGES = RNG.normal(3, 2, (12, 6, 5, 8)).astype(np.float32)

PATTERNS: list[tuple[str, dict[str, int]]] = [
    ("[b] c h w", {}),
    ("b [...]", {}),
    ("[...]", {}),
    ("b [c] h w", {}),
    ("b (g [c]) [h w]", {"g": 3}),
    ("b ([g] c) h [w]", {"c": 3}),
    ("[b] c h ([p] w)", {"w": 4}),
    ("([p] b) c [h w]", {"p": 4}),
    ("[b] c h w", {"b": 12}),
]


class Stored:
    """An array in a file, as zarr shows it: it can be indexed, and iterated, which is not meant."""

    def __init__(self, array: np.ndarray, chunks: object) -> None:
        self.array, self.chunks = array, chunks
        self.shape, self.dtype = array.shape, array.dtype
        self.read: list[tuple[slice, ...]] = []

    def __getitem__(self, index: tuple[slice, ...]) -> np.ndarray:
        self.read.append(index)
        return self.array[index]

    def __iter__(self) -> Iterator[np.ndarray]:
        return iter(self.array)


def sources(array: np.ndarray, folder: Path) -> Iterator[tuple[str, Any]]:
    """The array, as other libraries have it."""
    import h5py
    import jax.numpy as jnp
    import tensorflow as tf
    import torch
    from dask import array as dask_array

    yield "NumPy", array
    yield "Fortran", np.asfortranarray(array)
    yield "zarr", Stored(array, (7, 4, 5, 3))
    yield "without chunks", Stored(array, None)
    file = h5py.File(folder / "x.h5", "w")
    yield "h5py", file.create_dataset("x", data=array)
    yield "chunked h5py", file.create_dataset("chunked", data=array, chunks=(7, 4, 5, 3))
    yield "big-endian", file.create_dataset("big", data=array, dtype=array.dtype.newbyteorder(">"))
    file.flush()
    yield "Dask", dask_array.from_array(array, chunks=(7, 4, 5, 3))
    yield "torch", torch.from_numpy(array).requires_grad_()
    yield "JAX", jnp.asarray(array)
    yield "TensorFlow", tf.constant(array)
    yield "memoryview", memoryview(array)


def assert_same(found: Fit, wanted: Fit) -> None:
    np.testing.assert_array_equal(found.count, wanted.count)
    np.testing.assert_allclose(found.mean, wanted.mean, rtol=1e-12)
    np.testing.assert_allclose(found.var, wanted.var, rtol=1e-11)


@pytest.mark.framework
@pytest.mark.parametrize("piece", [2000, 1 << 20])
def test_what_has_a_shape_is_one_array(
    piece: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted = {}
    for number, (pattern, sizes) in enumerate(PATTERNS):
        stats = normalize(IMAGES, pattern, return_stats=True, **sizes)[1]
        wanted[number] = found = fit(pattern, IMAGES, **sizes)
        np.testing.assert_allclose(found.mean, stats.mean, rtol=1e-12)
    monkeypatch.setattr("normscope.engine.batches.PIECE_BYTES", piece)
    for _, source in sources(IMAGES, tmp_path):
        for number, (pattern, sizes) in enumerate(PATTERNS):
            assert_same(fit(pattern, source, **sizes), wanted[number])
            assert_same(fit(pattern, [source], **sizes), wanted[number])


def test_little_is_read_at_a_time_and_no_chunk_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("normscope.engine.batches.PIECE_BYTES", 3000)
    chunk = (7, 4, 5, 3)
    for pattern in ("[b] c h w", "b [...]", "[...]", "b [c] h w"):
        stored = Stored(IMAGES, chunk)
        fit(pattern, stored)
        assert len(stored.read) > 3
        for index in stored.read:
            assert stored.array[index].nbytes <= 6000
            starts = [part.start for part in index]
            assert all(start % size == 0 for start, size in zip(starts, chunk, strict=True))
        read = np.zeros(IMAGES.shape, int)
        for index in stored.read:
            read[index] += 1
        assert (read == 1).all()


@pytest.mark.framework
def test_loaders_give_batches() -> None:
    import torch
    from torch.utils.data import DataLoader, TensorDataset

    whole, tensor = fit("[b] c", X), torch.from_numpy(X)
    assert_same(fit("[b] c", DataLoader(tensor, batch_size=300)), whole)  # type: ignore[arg-type]
    assert_same(fit("[b] c", (tensor[i : i + 99] for i in range(0, len(X), 99))), whole)
    pairs = DataLoader(TensorDataset(tensor), batch_size=300)
    with pytest.raises(DtypeError, match=r"batch 0 is a list, .* give the arrays alone"):
        fit("[b] c", pairs)
    half = tensor.bfloat16()
    assert_same(fit("[b] c", half), fit("[b] c", half.float().numpy()))


@pytest.mark.framework
def test_what_only_looks_like_an_array_is_refused(tmp_path: Path) -> None:
    import h5py
    import torch
    from dask import array as dask_array

    class Odd(Stored):
        def __getitem__(self, index: object) -> np.ndarray:
            return self.array[0]

    with h5py.File(tmp_path / "x.h5", "w") as file:
        cases: list[tuple[Any, type, str]] = [
            (file.create_dataset("empty", data=h5py.Empty("f")), DtypeError, "has no shape"),
            (file.create_dataset("text", data=[["a"]]), DtypeError, "dtype object"),
            (file.create_dataset("one", data=1.0), ShapeError, "the shape has 0"),
            (file, DtypeError, "a h5py.File of arrays: give one of them"),
            (Odd(X, None), DtypeError, r"shape \(4001, 7\) of a .*Odd was read with shape \(7,\)"),
            (torch.from_numpy(X).to_sparse(), DtypeError, "a torch.Tensor cannot be read"),
            (dask_array.from_array(X)[dask_array.from_array(X)[:, 0] > 0], ShapeError, "compute_c"),
        ]
        for source, error, said in cases:
            with pytest.raises(error, match=said):
                fit("[b] c", source)
        assert fit("[...]", file["one"]).mean == 1


@pytest.mark.parametrize("dtype", ["uint8", "int16", "int64", "bool", "float16", ">u2"])
def test_any_numbers_are_measured(dtype: str) -> None:
    x = RNG.integers(0, 100, (50, 4)).astype(dtype)
    assert_same(fit("[b] c", x), fit("[b] c", x.astype(np.float64)))
    assert_same(fit("[b] c", [x[:20], x[20:]]), fit("[b] c", x.astype(np.float64)))


def test_std_is_the_root_of_var() -> None:
    np.testing.assert_allclose(fit("[b] c", X).std, X.astype(np.float64).std(0), rtol=1e-12)
    np.testing.assert_allclose(
        fit("[b] c", X, measure="l2").std, np.linalg.norm(X.astype(np.float64), axis=0), rtol=1e-12
    )


@pytest.mark.framework
@pytest.mark.parametrize("piece", [3000, 1 << 20])
def test_only_what_the_mask_counts_is_measured(
    piece: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("normscope.engine.batches.PIECE_BYTES", piece)
    from dask import array as dask_array

    full = RNG.random(IMAGES.shape) > 0.3
    narrow = np.arange(8) < 5
    column = RNG.random((12, 1, 1, 1)) > 0.2
    for mask, pattern in ((full, "[b] c h [w]"), (narrow, "[b c] h [w]"), (column, "[...]")):
        counted = np.broadcast_to(mask, IMAGES.shape)
        stats = normalize(IMAGES, pattern, mask=mask, return_stats=True)[1]
        forms: list[Any] = [mask, mask.tolist(), dask_array.from_array(mask, chunks=3)]
        for _, source in sources(IMAGES, tmp_path):
            for form in forms if piece > 3000 else forms[:1]:
                found = fit(pattern, source, mask=form)
                np.testing.assert_allclose(found.mean, stats.mean, rtol=1e-12)
                np.testing.assert_allclose(found.var, stats.var, rtol=1e-11)
        batches = fit(pattern, [IMAGES[:3], IMAGES[3:]], mask=(counted[:3], counted[3:]))
        np.testing.assert_allclose(batches.mean, stats.mean, rtol=1e-12)
        assert found.count.sum() == counted.sum()


@pytest.mark.framework
def test_nan_is_left_out_when_asked() -> None:
    from sklearn.preprocessing import StandardScaler

    x = np.where(RNG.random(X.shape) > 0.2, X, np.nan).astype(np.float32)
    wanted = StandardScaler().fit(x.astype(np.float64))  # it leaves NaN out, too
    masked = np.ma.masked_invalid(x)
    other = np.where(masked.mask, -1e9, x).astype(np.float32)
    for batches in (x, [x[:100], x[100:]], masked, np.ma.masked_array(other, masked.mask)):
        found = fit("[b] c", batches, missing="skip")
        np.testing.assert_allclose(found.mean, wanted.mean_, rtol=1e-12)
        np.testing.assert_allclose(found.var, wanted.var_, rtol=1e-9)
        np.testing.assert_array_equal(found.count, wanted.n_samples_seen_)
    rest = X > 1000
    both = fit("[b] c", x, mask=rest, missing="skip")
    assert_same(both, fit("[b] c", X, mask=rest & ~np.isnan(x)))
    x[:, 1:] = X[:, 1:]
    propagated = fit("[b] c", x)
    assert np.isnan(propagated.mean).tolist() == [True] + 6 * [False]
    assert np.isnan(propagated.var).tolist() == [True] + 6 * [False]


@pytest.mark.parametrize(
    ("arguments", "error", "said"),
    [
        ({"mask": X > 0}, SpecError, "comes in batches, so mask is an iterable of masks"),
        ({"mask": True}, SpecError, "an iterable of masks, one for each, not a bool"),
        ({"mask": [None]}, SpecError, "there is 1 mask, and more batches"),
        ({"mask": [None] * 3}, SpecError, "there are 2 batches, and more masks"),
        ({"mask": [X, None]}, DtypeError, "mask has dtype float32; .* mask != 0"),
        ({"mask": [X[:, :3] > 0, None]}, ShapeError, "does not broadcast"),
        ({"mask": [X[None] > 0, None]}, ShapeError, "does not broadcast"),
        ({"mask": [np.arange(7) < 6] * 2}, ShapeError, r"1 of 7 sets .* the first one is \(6,\)"),
        ({"missing": "drop"}, SpecError, 'missing is "propagate" or "skip", not .drop.'),
    ],
)
def test_masks_that_do_not_fit_are_refused(
    arguments: dict[str, Any], error: type, said: str
) -> None:
    with pytest.raises(error, match=said):
        fit("[b] c", [X, X], **arguments)


def test_a_masked_array_is_told_both_ways() -> None:
    with pytest.raises(DtypeError, match=r'missing="skip", or give batch\.data, and mask='):
        fit("[b] c", np.ma.masked_array(X, X > 1000))
    assert_same(fit("[b] c", np.ma.masked_array(X, False)), fit("[b] c", X))

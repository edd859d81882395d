"""What scalers of scikit-learn declare, and that they compute it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from sklearn.preprocessing import MaxAbsScaler, Normalizer, RobustScaler, StandardScaler

from normscope import SpecError, explain, normalize, reference, spec_of
from normscope.frameworks.settings import declare

SCALERS = [
    StandardScaler(),
    StandardScaler(with_mean=False),
    StandardScaler(with_std=False),
    MaxAbsScaler(),
    Normalizer("l1"),
    Normalizer("l2"),
    Normalizer("max"),
]
each = pytest.mark.parametrize("scaler", SCALERS, ids=str)


def data(dtype: Any) -> np.ndarray:
    """Rows and columns of 0 and of one value beside ordinary ones."""
    x = np.random.default_rng(4).normal(3, 2, (20, 6))
    x[:, 1], x[:, 2], x[3] = 0.5, 0, 0
    x[3, 1] = 0.5
    x[:, 4] *= 1e-3
    return x.astype(dtype)


@each
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_fit_transform_is_the_training_mode(scaler: Any, dtype: Any) -> None:
    x = data(dtype)
    wanted = scaler.fit_transform(x)
    # scikit-learn computes in the dtype of x, with rounding of its own
    close = {"rtol": 1e-12, "atol": 1e-13} if dtype is np.float64 else {"rtol": 1e-5, "atol": 1e-6}
    for stated in (spec_of(scaler), spec_of(type(scaler)(**scaler.get_params()))):
        np.testing.assert_allclose(normalize(x, stated), wanted, **close)
        np.testing.assert_allclose(reference(x, stated), wanted, **close)


@each
def test_transform_takes_what_it_remembers(scaler: Any) -> None:
    scaler.fit(data(np.float64))
    other = np.random.default_rng(5).normal(size=(4, 6))
    declared = declare(scaler)
    if isinstance(scaler, Normalizer):
        assert declared.infer == declared.train
        return
    assert declared.infer.pattern is None
    assert declared.train.sizes == {"c": 6}
    found = explain(scaler, (20, 6))
    assert found.to_dict()["sample_independent"] == {"train": False, "infer": True}
    assert "no running statistics are kept" not in str(found)
    remembered = {
        StandardScaler: lambda: (scaler.mean_, scaler.var_),
        MaxAbsScaler: lambda: (np.zeros(6), scaler.max_abs_**2),
    }[type(scaler)]()
    y = normalize(other, declared.train, mean=remembered[0], var=remembered[1])
    np.testing.assert_allclose(y, scaler.transform(other), rtol=1e-12)


def test_where_the_guards_differ() -> None:
    """StandardScaler takes a spread for rounding that a spec does not: here 1e-16 of the mean."""
    x = np.full((100, 1), 1.0)
    x[::2] += 2.0**-52
    scaler = StandardScaler().fit(x)
    assert scaler.scale_ == 1
    assert np.abs(normalize(x, spec_of(scaler))).max() > 0.9
    assert np.abs(scaler.transform(x)).max() < 1e-15


def test_the_tolerance_is_that_of_the_dtype() -> None:
    assert spec_of(MaxAbsScaler()).unit_below == 10 * 2.0**-52
    assert spec_of(MaxAbsScaler().fit(data(np.float32))).unit_below == 10 * 2.0**-23
    small = np.full((3, 1), 1e-6, np.float32)
    scaler = MaxAbsScaler().fit(small)
    np.testing.assert_array_equal(normalize(small, spec_of(scaler)), scaler.transform(small))
    np.testing.assert_array_equal(scaler.transform(small), small)


def test_named_by_an_expression() -> None:
    assert spec_of("sklearn.preprocessing.StandardScaler()") == spec_of(StandardScaler())
    assert spec_of("Normalizer('l1')") == spec_of(Normalizer("l1"))
    assert declare("sklearn.MaxAbsScaler").infer.pattern is None
    assert str(spec_of("torch_geometric.nn.MeanSubtractionNorm()")) == (
        '"[n] c", divided by nothing'
    )


@pytest.mark.parametrize(
    ("scaler", "words"),
    [
        (StandardScaler(with_mean=False, with_std=False), "returns its input"),
        (MaxAbsScaler(clip=True), "which no spec says"),
        (RobustScaler(), "cannot be read"),
    ],
)
def test_what_has_no_spec(scaler: Any, words: str) -> None:
    with pytest.raises(SpecError, match=words):
        spec_of(scaler)

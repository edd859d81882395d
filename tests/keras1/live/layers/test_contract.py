"""The contract of BatchNormalization(mode=1): works, says what it does, or refuses."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from keras import ops

from normscope import NormSpec, reference
from normscope.errors import ContractWarning, ShapeError, SpecError
from normscope.keras1 import BatchNormalization

X = np.random.default_rng(0).standard_normal((2, 3, 4, 5)).astype("float32")


def test_a_broken_contract_works_and_warns() -> None:
    with pytest.warns(ContractWarning) as caught:
        y = BatchNormalization(mode=1, name="bn")(X)
    wanted = reference(X, NormSpec("... [c]", eps=1e-3, eps_outside=1e-3))
    np.testing.assert_allclose(ops.convert_to_numpy(y), wanted, rtol=1e-5, atol=1e-6)
    text = str(caught[0].message)
    assert len(caught) == 1
    assert "bn: BatchNormalization(mode=1) normalizes axis 3 alone, 5 values at a time" in text
    assert "This mode assumes a 2D input." in text
    assert "GroupNormalization(groups=1, axis=1)" in text
    assert "GroupNormalization(groups=-1, axis=1)" in text
    assert 'contract="error"' in text


def test_it_can_be_refused() -> None:
    with pytest.raises(ShapeError, match="normalizes axis 3 alone") as caught:
        BatchNormalization(mode=1, contract="error")(X)
    assert caught.value.pattern == "b [c]"
    assert caught.value.shape == (2, 3, 4, 5)


@pytest.mark.parametrize(
    "layer",
    [
        lambda: BatchNormalization(mode=1, contract="ignore")(X),
        lambda: BatchNormalization(mode=1, contract="error")(X[0, 0]),
        lambda: BatchNormalization(mode=0, contract="error")(X),
        lambda: BatchNormalization(mode=2, contract="error")(X),
    ],
)
def test_silence(layer) -> None:  # type: ignore[no-untyped-def]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        layer()


@pytest.mark.parametrize(
    ("release", "epsilon", "momentum", "eps"),
    [
        ("1.0.4", 1e-6, 0.9, 0.0),
        ("1.0.5", 1e-6, 0.9, 1e-6),
        ("1.0.7", 1e-6, 0.99, 1e-6),
        ("1.1.2", 1e-5, 0.99, 1e-5),
        ("1.2.2", 1e-3, 0.99, 1e-3),
    ],
)
def test_releases(release: str, epsilon: float, momentum: float, eps: float) -> None:
    layer = BatchNormalization(mode=1, release=release)
    assert (layer.epsilon, layer.momentum) == (epsilon, momentum)
    assert (layer.spec.eps, layer.spec.eps_outside) == (eps, epsilon)


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ({"mode": 3}, SpecError),
        ({"mode": "feature"}, SpecError),
        ({"axis": 0}, SpecError),
        ({"axis": None}, SpecError),
        ({"axis": [1, 2]}, SpecError),
        ({"axis": 4}, ShapeError),
        ({"axis": -5}, ShapeError),
        ({"mode": 1, "axis": 1}, ShapeError),
        ({"contract": "maybe"}, SpecError),
        ({"release": "2.0.0"}, SpecError),
        ({"center": False}, TypeError),
        ({"gamma_initializer": "ones"}, TypeError),
        ({"weights": [np.ones(5), np.zeros(5)]}, ValueError),
    ],
)
def test_what_is_refused(arguments: dict[str, object], error: type[Exception]) -> None:
    with pytest.raises(error):
        BatchNormalization(**{"contract": "ignore", **arguments})(X)


def test_a_single_gamma_is_shared_as_on_tensorflow() -> None:
    x = X[:, :1]
    y = BatchNormalization(mode=1, axis=1, contract="ignore")(x)
    assert y.shape == x.shape
    with pytest.raises(ShapeError, match="axis=1 gives 1 to gamma"):
        BatchNormalization(mode=1, axis=1, contract="ignore", origin="theano")(x)


def test_freezing_stops_no_update() -> None:
    layer = BatchNormalization(momentum=0.5, trainable=False)
    layer(X, training=True)
    gamma, _, mean, std = layer.get_weights()
    np.testing.assert_allclose(mean, 0.5 * X.mean(axis=(0, 1, 2)), rtol=1e-4, atol=1e-7)
    np.testing.assert_allclose(std, 0.5 + 0.5 * X.var(axis=(0, 1, 2)), rtol=1e-5)
    np.testing.assert_array_equal(gamma, np.ones(5))

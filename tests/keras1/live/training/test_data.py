"""What Keras 1.2.2 took for inputs, labels and weights, given to live models."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from normscope import keras1 as k
from normscope.errors import ShapeError, SpecError
from normscope.keras1.live.training.data import Slot, sample_weights, standardized

RNG = np.random.default_rng(0)
X = RNG.standard_normal((8, 3)).astype("float32")
ONE = [Slot("x", (None, 3))]
LABEL = [Slot("y", (None, 1))]
TWO = [Slot("a", (None, 1)), Slot("b", (None, 2))]


@pytest.fixture(scope="module")
def model() -> k.Sequential:
    made = k.Sequential([k.Dense(1, input_dim=3, activation="sigmoid")])
    made.compile(loss="binary_crossentropy", optimizer=k.SGD(lr=0.0))
    return made


LABELS = [0, 1] * 4


@pytest.mark.parametrize(
    "labels",
    [
        LABELS,
        [[one] for one in LABELS],
        np.array(LABELS),
        np.array(LABELS, dtype=bool),
        [np.float64(one) for one in LABELS],
        [np.array(LABELS)],
        tuple(LABELS),
    ],
    ids=["list", "rows", "integers", "bools", "scalars", "list of one", "tuple"],
)
def test_labels_and_inputs_in_every_form(model: k.Sequential, labels: Any) -> None:
    p, y = model.predict(X)[:, 0], np.array(LABELS)
    wanted = pytest.approx(-np.mean(y * np.log(p) + (1 - y) * np.log(1 - p)), rel=1e-5)
    for x in (X, X.tolist()):
        assert model.train_on_batch(x, labels) == wanted
        assert model.test_on_batch(x, labels) == wanted
    assert model.evaluate(X.tolist(), labels, verbose=0) == wanted
    assert model.fit(X.tolist(), labels, nb_epoch=1, verbose=0).history["loss"][0] == wanted


def test_predictions_of_lists(model: k.Sequential) -> None:
    wanted = model.predict(X)
    for found in (
        model.predict(X.tolist()),
        model.predict([X]),
        model.predict_on_batch(X.tolist()),
    ):
        np.testing.assert_allclose(found, wanted, rtol=1e-6)
    assert isinstance(model.predict_on_batch(X), np.ndarray)


@pytest.mark.parametrize(
    ("given", "slots", "wanted"),
    [
        ([[1, 2, 3]], ONE, [[[1, 2, 3]]]),  # one sample
        ([[[1, 2, 3], [4, 5, 6]]], ONE, [[[1, 2, 3], [4, 5, 6]]]),  # a list of one array
        ({"x": [[1, 2, 3]], "other": 0}, ONE, [[[1, 2, 3]]]),
        ([[0, 1], [[1, 2], [3, 4]]], TWO, [[[0], [1]], [[1, 2], [3, 4]]]),
        ({"b": [[1, 2]], "a": [5]}, TWO, [[[5]], [[1, 2]]]),
        ([5.0], LABEL, [[[5.0]]]),
    ],
)
def test_arrays_of_what_is_given(given: Any, slots: list[Slot], wanted: list[Any]) -> None:
    found = standardized(given, slots, "input")
    assert [array.tolist() for array in found] == wanted


@pytest.mark.parametrize(
    ("given", "slots", "error", "text"),
    [
        ([[1, 2], [3]], ONE, SpecError, "pad_sequences"),
        ("text", ONE, SpecError, "not an array of numbers"),
        ([X, X], ONE, SpecError, r"np\.array\(rows\)"),
        (X, TWO, SpecError, "takes 2 arrays"),
        ([X], TWO, SpecError, r"the list has 1 items"),
        ({"x": X}, TWO, SpecError, "no input 'a'"),
        (5, ONE, SpecError, "one number"),
        (X[:, :2], ONE, ShapeError, r"expected to have the shape \(None, 3\)"),
        (X[:, :, None], ONE, ShapeError, r"expected to have the shape \(None, 3\)"),
    ],
)
def test_what_does_not_fit(
    given: Any, slots: list[Slot], error: type[Exception], text: str
) -> None:
    with pytest.raises(error, match=text):
        standardized(given, slots, "input")


def test_labels_that_broadcast_are_refused() -> None:
    """Keras 3 takes (8,) for three outputs, and compares each of them with the one label."""
    model = k.Sequential([k.Dense(3, input_dim=3)])
    model.compile("sgd", "categorical_crossentropy")
    with pytest.raises(ShapeError, match="to_categorical"):
        model.fit(X, LABELS, verbose=0)
    model.compile("sgd", lambda t, p: (t[:, 0] - p[:, 0]) ** 2)  # one's own takes what it takes
    model.train_on_batch(X, np.zeros((8, 5)))


def test_weights_by_output() -> None:
    targets = [np.array([[0], [1]]), np.eye(2)]
    names = ["a", "b"]
    assert sample_weights(targets, names, None, None) is None
    a, b = sample_weights(targets, names, {"a": [1, 2]}, {"b": {0: 3, 1: 4}}) or []
    assert [a.tolist(), b.tolist()] == [[1, 2], [3, 4]]
    a, b = sample_weights(targets, names, [[1, 2], None], None) or []
    assert b.tolist() == [1, 1]
    for by_sample, by_class, text in (
        (np.ones(2), None, "2 outputs"),
        ({"a": np.ones(3)}, None, "one number for each sample"),
        (None, {"a": {0: 1}}, "no weight for the class 1"),
        (None, {"a": [1, 2]}, "a dict from class to weight"),
    ):
        with pytest.raises((SpecError, ShapeError), match=text):
            sample_weights(targets, names, by_sample, by_class)


def test_classes_by_a_word_have_no_effect() -> None:
    with pytest.warns(UserWarning, match="class_weight='auto' has no effect"):
        assert sample_weights([np.zeros((2, 1))], ["a"], None, "auto") is None


def test_a_model_that_is_not_compiled_says_so() -> None:
    with pytest.raises(SpecError, match=r"model\.compile"):
        k.Sequential([k.Dense(1, input_dim=3)]).fit(X, LABELS)

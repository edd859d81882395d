"""Models of Keras 1: compile, fit, predict, evaluate, save, with its names and defaults."""

from __future__ import annotations

import numpy as np
import pytest
from keras import ops

from normscope import keras1 as k
from normscope.errors import SpecError
from normscope.keras1.live.training.methods import objectives

RNG = np.random.default_rng(0)
X = RNG.standard_normal((12, 5)).astype("float32")
Y = RNG.uniform(0.1, 0.9, (12, 3)).astype("float32")


def mlp() -> k.Sequential:
    return k.Sequential(
        [k.Dense(6, input_dim=5, activation="tanh"), k.BatchNormalization(), k.Dense(3)]
    )


@pytest.mark.parametrize(
    "optimizer", ["sgd", "rmsprop", "adagrad", "adadelta", "adam", "adamax", "nadam"]
)
def test_training_lowers_the_loss(optimizer: str) -> None:
    model = k.Sequential([k.Dense(6, input_dim=5, activation="tanh"), k.Dense(3)])
    model.compile(optimizer=optimizer, loss="mse")
    # All in one batch: Adadelta begins with steps so small that the noise of batches hides them.
    history = model.fit(X, Y, nb_epoch=12, batch_size=12, verbose=0).history["loss"]
    assert len(history) == 12
    assert history[-1] < history[0]


def test_ten_epochs_are_the_default() -> None:
    model = mlp()
    model.compile("sgd", "mse")
    assert len(model.fit(X, Y, verbose=0).history["loss"]) == 10
    assert len(model.fit(X, Y, epochs=2, verbose=0).history["loss"]) == 2


def test_the_loss_of_one_batch_is_that_of_the_batch() -> None:
    """Keras 3 gives the mean over all batches so far."""
    model = mlp()
    model.compile(k.SGD(lr=0.0), "mse")
    first = model.test_on_batch(X, Y)
    model.test_on_batch(X, Y + 10)
    assert model.test_on_batch(X, Y) == pytest.approx(first)
    assert model.train_on_batch(X, Y) == pytest.approx(model.train_on_batch(X, Y))


def test_accuracy_is_chosen_by_the_loss() -> None:
    labels = (Y > 0.5).astype("float32")
    for loss, wanted in (
        ("binary_crossentropy", objectives.binary_accuracy),
        ("categorical_crossentropy", objectives.categorical_accuracy),
    ):
        model = k.Sequential([k.Dense(3, input_dim=5, activation="sigmoid")])
        model.compile("sgd", loss, metrics=["accuracy"])
        _, found = model.evaluate(X, labels, verbose=0)
        by_hand = ops.mean(wanted(ops.convert_to_tensor(labels), model(X)))
        assert found == pytest.approx(float(by_hand), abs=1e-6)
        assert (
            "val_acc" in model.fit(X, labels, nb_epoch=1, validation_split=0.25, verbose=0).history
        )


@pytest.mark.parametrize("shape", [(12, 1), (12,)])
def test_sparse_labels(shape: tuple[int, ...]) -> None:
    given = RNG.integers(0, 3, shape)
    labels = given.reshape(12, 1)
    model = k.Sequential([k.Dense(3, input_dim=5), k.Activation("softmax")])
    model.compile("sgd", "sparse_categorical_crossentropy", metrics=["acc"])
    loss, accuracy = model.evaluate(X, given, verbose=0)
    predicted = model.predict(X)
    wanted = -np.log(np.take_along_axis(predicted, labels, 1)).mean()
    assert loss == pytest.approx(wanted, rel=1e-5)
    assert accuracy == pytest.approx((predicted.argmax(1) == labels[:, 0]).mean())
    np.testing.assert_array_equal(model.predict_classes(X, verbose=0), predicted.argmax(1))


def in_numpy(name: str, t: np.ndarray, p: np.ndarray) -> np.ndarray:
    """The losses by their definitions, in float64."""
    t, p = t.astype(np.float64), p.astype(np.float64)
    unit_t, unit_p = (a / np.linalg.norm(a, axis=-1, keepdims=True) for a in (t, p))
    return {
        "mse": ((p - t) ** 2).mean(-1),
        "mae": np.abs(p - t).mean(-1),
        "mape": 100 * np.abs((t - p) / t).mean(-1),
        "msle": ((np.log1p(p) - np.log1p(t)) ** 2).mean(-1),
        "hinge": np.maximum(1 - t * p, 0).mean(-1),
        "squared_hinge": (np.maximum(1 - t * p, 0) ** 2).mean(-1),
        "binary_crossentropy": -(t * np.log(p) + (1 - t) * np.log(1 - p)).mean(-1),
        "categorical_crossentropy": -(t * np.log(p / p.sum(-1, keepdims=True))).sum(-1),
        "kld": (t * np.log(t / p)).sum(-1),
        "poisson": (p - t * np.log(p)).mean(-1),
        "cosine_proximity": -(unit_t * unit_p).mean(-1),
    }[name]


@pytest.mark.parametrize(
    "name",
    [
        *("mse", "mae", "mape", "msle", "hinge", "squared_hinge", "binary_crossentropy"),
        *("categorical_crossentropy", "kld", "poisson", "cosine_proximity"),
    ],
)
def test_losses(name: str) -> None:
    predicted = RNG.uniform(0.1, 0.9, (12, 3)).astype("float32")
    found = objectives.loss(name)(ops.convert_to_tensor(Y), ops.convert_to_tensor(predicted))
    np.testing.assert_allclose(
        ops.convert_to_numpy(found), in_numpy(name, Y, predicted), rtol=2e-5, atol=1e-5
    )


def test_several_outputs_by_name() -> None:
    a = k.Input(shape=(5,), name="main_input")
    value, flag = k.Dense(2, name="value")(a), k.Dense(1, activation="sigmoid", name="flag")(a)
    model = k.Model(input=a, output=[value, flag])
    model.compile(
        "rmsprop",
        loss={"value": "mse", "flag": "binary_crossentropy"},
        metrics={"flag": "accuracy"},
    )
    targets = [Y[:, :2], (Y[:, 2:] > 0.5).astype("float32")]
    assert len(model.train_on_batch(X, targets)) >= 2
    with pytest.raises(SpecError, match="names the output 'wrong'"):
        model.compile("sgd", loss={"wrong": "mse"})


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ({"optimizer": "lion", "loss": "mse"}, "no optimizer 'lion'"),
        ({"optimizer": "sgd", "loss": "huber"}, "no loss 'huber'"),
        ({"optimizer": "sgd", "loss": "mse", "metrics": ["auc"]}, "no metric 'auc'"),
    ],
)
def test_unknown_names(arguments: dict[str, object], text: str) -> None:
    with pytest.raises(SpecError, match=text):
        mlp().compile(**arguments)

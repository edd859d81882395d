"""`fit_generator`, `evaluate_generator`, `predict_generator`: samples count, not batches."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from normscope import keras1 as k
from normscope.errors import SpecError
from normscope.keras1.callbacks import Callback

RNG = np.random.default_rng(1)
X = RNG.standard_normal((30, 2)).astype("float32")
Y = RNG.standard_normal((30, 1)).astype("float32")


def batches(*sizes: int, labels: bool = True, end: bool = False) -> Iterator[Any]:
    while True:
        start = 0
        for size in sizes:
            part = slice(start, start + size)
            yield (X[part], Y[part]) if labels else X[part]
            start += size
        if end:
            return


@pytest.fixture(scope="module")
def model() -> k.Sequential:
    made = k.Sequential([k.Dense(1, input_dim=2)])
    made.compile(k.SGD(lr=0.0), "mse", metrics=["mae"])
    return made


def test_an_epoch_is_a_number_of_samples(model: k.Sequential) -> None:
    seen: list[tuple[int, int]] = []

    class Sizes(Callback):
        def on_batch_end(self, batch: int, logs: Any = None) -> None:
            seen.append((batch, logs["size"]))

    history = model.fit_generator(
        batches(10, 16, 4),
        30,
        nb_epoch=2,
        verbose=0,
        callbacks=[Sizes()],
        validation_data=(X, Y),
        max_q_size=2,
        nb_worker=4,
        pickle_safe=True,
    )
    assert seen == [(0, 10), (1, 16), (2, 4)] * 2
    loss, mae = model.evaluate(X, Y, verbose=0)
    found = history.history
    assert found["loss"] == pytest.approx([loss, loss], rel=1e-5)
    assert found["val_mean_absolute_error"] == pytest.approx([mae, mae], rel=1e-5)
    assert model.evaluate_generator(batches(10, 16, 4), 30) == pytest.approx([loss, mae], rel=1e-5)


def test_epochs_begin_where_it_is_said(model: k.Sequential) -> None:
    history = model.fit_generator(batches(30), 30, 4, verbose=0, initial_epoch=2)
    assert history.epoch == [2, 3]


def test_predictions(model: k.Sequential) -> None:
    wanted = model.predict(X)
    for generator in (batches(20, 10), batches(20, 10, labels=False)):
        np.testing.assert_allclose(model.predict_generator(generator, 30), wanted, rtol=1e-5)
    assert model.predict_generator(batches(20, 10), val_samples=25).shape == (25, 1)


def test_an_epoch_of_more_samples_is_told(model: k.Sequential) -> None:
    with pytest.warns(UserWarning, match="an epoch had 20 samples, samples_per_epoch=15"):
        model.fit_generator(batches(10), 15, 1, verbose=0)


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (lambda m: m.fit_generator(batches(10, end=True), 30, 1), "ended after 10 of 30 samples"),
        (lambda m: m.fit_generator(batches, 30, 1), r"write batches\(\)"),
        (lambda m: m.fit_generator(5, 30, 1), "a generator is expected"),
        (lambda m: m.fit_generator(iter([X]), 30, 1), r"gives \(x, y\)"),
        (lambda m: m.fit_generator(batches(10), nb_epoch=1), "samples_per_epoch"),
        (lambda m: m.fit_generator(batches(10), steps_per_epoch=3, epochs=1), "counts samples"),
        (lambda m: m.evaluate_generator(batches(10), steps=3), "write val_samples"),
        (lambda m: m.predict_generator(batches(10), steps=3), "write val_samples"),
        (
            lambda m: m.fit_generator(batches(10), 10, 1, verbose=0, validation_data=batches(10)),
            "nb_val_samples",
        ),
    ],
)
def test_what_cannot_be_served(model: k.Sequential, call: Any, text: str) -> None:
    with pytest.raises(SpecError, match=text):
        call(model)


@pytest.mark.parametrize(
    ("method", "option"),
    [
        ("fit_generator", "show_accuracy"),
        ("fit_generator", "nb_val_worker"),
        ("evaluate_generator", "show_accuracy"),
        ("evaluate_generator", "verbose"),
        ("train_on_batch", "accuracy"),
        ("test_on_batch", "accuracy"),
    ],
)
def test_what_had_no_effect_any_more(model: k.Sequential, method: str, option: str) -> None:
    arguments: tuple[Any, ...] = (X, Y)
    if method == "fit_generator":
        arguments = (batches(30), 30, 1, 0)
    elif method == "evaluate_generator":
        arguments = (batches(30), 30)
    with pytest.warns(UserWarning, match=f"{option}= of {method} has no effect"):
        getattr(model, method)(*arguments, **{option: True})

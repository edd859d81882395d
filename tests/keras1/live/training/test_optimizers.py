"""The optimizers of Keras 1 against their rules in NumPy, and their state against a file's."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from keras import ops

from normscope.errors import SpecError
from normscope.keras1 import SGD, Adadelta, Adagrad, Adam, Adamax, Dense, Nadam, RMSprop, Sequential
from normscope.keras1.live.training.optimizers import OPTIMIZERS, get

STEPS = 6

Rule = Callable[[int, np.ndarray, dict[str, np.ndarray]], np.ndarray]
"""Of (step from 1, gradient, memory) what is added to the weight."""


def momentum(t: int, g: np.ndarray, s: dict[str, np.ndarray]) -> np.ndarray:
    lr = 0.1 / (1 + 0.01 * (t - 1))
    s["v"] = 0.9 * s.get("v", 0) - lr * g
    return s["v"]


def nesterov(t: int, g: np.ndarray, s: dict[str, np.ndarray]) -> np.ndarray:
    s["v"] = 0.9 * s.get("v", 0) - 0.1 * g
    return 0.9 * s["v"] - 0.1 * g


def rmsprop(t: int, g: np.ndarray, s: dict[str, np.ndarray]) -> np.ndarray:
    s["a"] = 0.9 * s.get("a", 0) + 0.1 * g**2
    return -0.01 / (1 + 0.5 * (t - 1)) * g / (np.sqrt(s["a"]) + 1e-2)


def adagrad(t: int, g: np.ndarray, s: dict[str, np.ndarray]) -> np.ndarray:
    s["a"] = s.get("a", 0) + g**2
    return -0.1 * g / (np.sqrt(s["a"]) + 1e-2)


def adadelta(t: int, g: np.ndarray, s: dict[str, np.ndarray]) -> np.ndarray:
    s["a"] = 0.95 * s.get("a", 0) + 0.05 * g**2
    update = g * np.sqrt(s.get("d", 0) + 1e-3) / np.sqrt(s["a"] + 1e-3)
    s["d"] = 0.95 * s.get("d", 0) + 0.05 * update**2
    return -update


def means(g: np.ndarray, s: dict[str, np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    s["m"] = 0.9 * s.get("m", 0) + 0.1 * g
    s["v"] = 0.999 * s.get("v", 0) + 0.001 * g**2
    return s["m"], s["v"]


def adam(t: int, g: np.ndarray, s: dict[str, np.ndarray]) -> np.ndarray:
    m, v = means(g, s)
    return -0.01 * np.sqrt(1 - 0.999**t) / (1 - 0.9**t) * m / (np.sqrt(v) + 1e-8)


def adamax(t: int, g: np.ndarray, s: dict[str, np.ndarray]) -> np.ndarray:
    m, _ = means(g, s)
    s["u"] = np.maximum(0.999 * s.get("u", 0), np.abs(g))
    return -0.01 / (1 - 0.9**t) * m / (s["u"] + 1e-8)


def nadam(t: int, g: np.ndarray, s: dict[str, np.ndarray]) -> np.ndarray:
    m, v = means(g, s)
    now, then = (0.9 * (1 - 0.5 * 0.96 ** (k * 0.004)) for k in (t, t + 1))
    s["schedule"] = s.get("schedule", 1) * now
    ahead = (1 - now) * g / (1 - s["schedule"]) + then * m / (1 - s["schedule"] * then)
    return -0.01 * ahead / (np.sqrt(v / (1 - 0.999**t)) + 1e-8)


RULES: dict[str, tuple[Callable[[], Any], Rule]] = {
    "momentum": (lambda: SGD(lr=0.1, momentum=0.9, decay=0.01), momentum),
    "nesterov": (lambda: SGD(lr=0.1, momentum=0.9, nesterov=True), nesterov),
    "rmsprop": (lambda: RMSprop(lr=0.01, epsilon=1e-2, decay=0.5), rmsprop),
    "adagrad": (lambda: Adagrad(lr=0.1, epsilon=1e-2), adagrad),
    "adadelta": (lambda: Adadelta(epsilon=1e-3), adadelta),
    "adam": (lambda: Adam(lr=0.01), adam),
    "adamax": (lambda: Adamax(lr=0.01), adamax),
    "nadam": (lambda: Nadam(lr=0.01), nadam),
}


def problem() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    generator = np.random.default_rng(0)
    x, y, kernel = (generator.standard_normal(shape) for shape in ((8, 4), (8, 3), (4, 3)))
    return x, y, kernel


def gradient(x: np.ndarray, y: np.ndarray, kernel: np.ndarray) -> np.ndarray:
    """Of the mean of (x kernel - y)**2."""
    return 2 * x.T @ (x @ kernel - y) / y.size


def model_with(optimizer: Any, kernel: np.ndarray) -> Sequential:
    model = Sequential([Dense(3, input_dim=4, bias=False)])
    model.set_weights([kernel])
    model.compile(optimizer, "mse")
    return model


def steps_of(rule: Rule, clip: Callable[[np.ndarray], np.ndarray]) -> Iterator[np.ndarray]:
    x, y, kernel = problem()
    memory: dict[str, np.ndarray] = {}
    for t in range(1, STEPS + 1):
        kernel = kernel + rule(t, clip(gradient(x, y, kernel)), memory)
        yield kernel


@pytest.mark.parametrize("name", RULES)
def test_the_rule(name: str) -> None:
    make, rule = RULES[name]
    x, y, kernel = problem()
    model = model_with(make(), kernel)
    for wanted in steps_of(rule, lambda g: g):
        model.train_on_batch(x, y)
        np.testing.assert_allclose(model.get_weights()[0], wanted, rtol=2e-5, atol=2e-6)


def test_every_optimizer_is_here() -> None:
    assert OPTIMIZERS.keys() == {
        "sgd",
        *(RULES.keys() - {"momentum", "nesterov"}),
    }


@pytest.mark.parametrize("limits", [{"clipnorm": 0.2}, {"clipvalue": 0.05}, {"clipnorm": 9.0}])
def test_clipping(limits: dict[str, float]) -> None:
    """clipnorm is of all gradients together, which here are one."""

    def clip(g: np.ndarray) -> np.ndarray:
        norm, value = limits.get("clipnorm"), limits.get("clipvalue")
        g = g * min(1, norm / np.sqrt((g**2).sum())) if norm else g
        return np.clip(g, -value, value) if value else g

    x, y, kernel = problem()
    model = model_with(SGD(lr=0.1, momentum=0.9, nesterov=True, **limits), kernel)
    for wanted in steps_of(nesterov, clip):
        model.train_on_batch(x, y)
        np.testing.assert_allclose(model.get_weights()[0], wanted, rtol=2e-5, atol=2e-6)


@pytest.mark.parametrize("name", RULES)
def test_a_state_as_stored_goes_on(name: str) -> None:
    """For Nadam too, whose schedule no file holds."""
    make, _ = RULES[name]
    x, y, kernel = problem()
    model = model_with(make(), kernel)
    for _ in range(3):
        model.train_on_batch(x, y)
    first = model.optimizer
    state = [ops.convert_to_numpy(array) for slot in first.slot_variables for array in slot]
    if first.counts:
        state.insert(0, np.array(3.0, "float32"))
    again = model_with(make(), model.get_weights()[0])
    again.optimizer.build(again.trainable_variables)
    again.optimizer.set_state(state, [0])
    if not first.counts:  # Keras 1 stores no number of steps for these
        again.optimizer.iterations.assign(3)
    for each in (model, again):
        each.train_on_batch(x, y)
    np.testing.assert_allclose(again.get_weights()[0], model.get_weights()[0], rtol=1e-6)


def test_a_state_that_does_not_fit() -> None:
    kernel = problem()[-1]
    optimizer = model_with(Adam(), kernel).optimizer
    optimizer.build(model_with(optimizer, kernel).trainable_variables)
    for state in ([], [np.zeros(())], [np.zeros(()), np.zeros((4, 3))], [np.zeros((4, 3))] * 3):
        with pytest.raises(SpecError, match="do not fit"):
            optimizer.set_state(state, [0])


def test_names_and_configs() -> None:
    assert get("RMSprop").get_config() == {
        "lr": pytest.approx(0.001),
        "rho": 0.9,
        "decay": 0.0,
        "epsilon": 1e-8,
    }
    again = get({"class_name": "SGD", "config": SGD(lr=0.25, clipvalue=1.0).get_config()})
    assert again.get_config() == SGD(lr=0.25, clipvalue=1.0).get_config()
    with pytest.raises(SpecError, match="no optimizer 'ftrl'"):
        get("ftrl")
    with pytest.raises(SpecError, match="cannot be made"):
        get({"class_name": "SGD", "config": {"speed": 1}})

"""BatchNormalization against what the genuine Keras 1.2.2 computed: 320 cases, two backends.

Each case is run in both phases, and after 1 and 3 steps of training.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from keras import ops

from normscope.keras1 import SGD, BatchNormalization, Input, Model

ORIGINS = {"tensorflow": "tensorflow", "theano": "theano", "theano-old": "theano<0.9"}

KEYS = ("gamma", "beta", "running_mean_0", "running_std_0")

Train = Callable[[Any, list[int]], Callable[[np.ndarray], Any]]

# Rounding of float32: relative to the largest input, and where the mean is large, to what is left
# of its digits (mean 1000: 6e-5 an input, and its outputs are 1 / deviation times larger).
EPSILON = 1.2e-7


def cases(folder: Path) -> list[dict[str, Any]]:
    return json.loads((folder / "index.json").read_text())["cases"]


def arrays_of(folder: Path, file: str) -> dict[str, dict[str, np.ndarray]]:
    """The arrays of each case of one file."""
    found: dict[str, dict[str, np.ndarray]] = defaultdict(dict)
    with np.load(folder / file) as stored:
        for key in stored.files:
            case, name = key.rsplit("__", 1)
            found[case][name] = stored[key]
    return found


def layer_of(case: dict[str, Any], arrays: dict[str, np.ndarray], **options: Any) -> Any:
    origin = ORIGINS[case["backend"]]
    return BatchNormalization(
        **case["constructor"],
        weights=[arrays[key] for key in KEYS],
        origin=origin,
        contract="ignore",
        **options,
    )


def tolerance(arrays: dict[str, np.ndarray], epsilon: float) -> float:
    """How far apart two float32 results may be: the inputs' rounding, seen through the divisor."""
    x = arrays["x"].astype(np.float64)
    smallest = np.sqrt(min(x.var(axis=axis).min() for axis in range(x.ndim)) + epsilon)
    return 8 * EPSILON * (1 + np.abs(x).max() / smallest) * np.abs(arrays["gamma"]).max()


def check(case: dict[str, Any], arrays: dict[str, np.ndarray], train: Train) -> None:
    layer = layer_of(case, arrays)
    near = {"rtol": 3e-6, "atol": tolerance(arrays, case["epsilon"]), "err_msg": case["name"]}
    close = {"rtol": 1e-6, "atol": 1e-6, "err_msg": case["name"]}

    y = ops.convert_to_numpy(layer(arrays["x"], training=False))
    np.testing.assert_allclose(y, arrays["y_test"], **near)
    before = layer.get_weights()
    y = ops.convert_to_numpy(layer(arrays["x"], training=True))
    np.testing.assert_allclose(y, arrays["y_train"], **near)
    layer.set_weights(before)

    step = train(layer, case["input_shape"])
    for number, batch in enumerate(("x", "x2", "x3"), start=1):
        step(arrays[batch])
        if number in (1, 3):
            gamma, beta, mean, std = layer.get_weights()
            np.testing.assert_array_equal(gamma, arrays["gamma"])
            np.testing.assert_array_equal(beta, arrays["beta"])
            np.testing.assert_allclose(mean, arrays[f"running_mean_{number}"], **close)
            np.testing.assert_allclose(std, arrays[f"running_std_{number}"], **close)
    y = ops.convert_to_numpy(layer(arrays["x"], training=False))
    np.testing.assert_allclose(y, arrays["y_test_3"], **near)


def by_calls(layer: Any, shape: list[int]) -> Callable[[np.ndarray], Any]:
    """A step of training is a call of the layer in training mode: the quick way."""
    return lambda x: layer(x, training=True)


def by_train_steps(layer: Any, shape: list[int]) -> Callable[[np.ndarray], Any]:
    """A step of training is train_on_batch with a learning rate of 0, as it was recorded."""
    x = Input(batch_shape=shape)
    model = Model(input=x, output=layer(x))
    model.compile(SGD(lr=0.0), "mse")
    return lambda x: model.train_on_batch(x, np.zeros(shape, "float32"))


@pytest.mark.parametrize("backend", ORIGINS)
def test_all_cases(keras1_golden: Path, backend: str) -> None:
    tested = 0
    for file in sorted({case["file"] for case in cases(keras1_golden)}):
        arrays = arrays_of(keras1_golden, file)
        for case in cases(keras1_golden):
            if case["file"] == file and case["backend"] == backend:
                check(case, arrays[case["name"]], by_calls)
                tested += 1
    assert tested == {"tensorflow": 138, "theano": 138, "theano-old": 44}[backend]


@pytest.mark.parametrize("mode", [0, 1, 2])
@pytest.mark.parametrize("backend", ["tensorflow", "theano"])
def test_train_steps(keras1_golden: Path, backend: str, mode: int) -> None:
    found = [c for c in cases(keras1_golden) if (c["backend"], c["mode"]) == (backend, mode)]
    case = next(case for case in found if case["rank"] == 4 and case["input"] == "normal")
    check(case, arrays_of(keras1_golden, case["file"])[case["name"]], by_train_steps)


@pytest.mark.parametrize(
    ("mode", "change"),
    [
        (1, {"release": "1.0.4"}),  # epsilon once, outside the root
        (0, {"origin": "theano"}),  # remembers variance + epsilon
    ],
)
def test_another_formula_would_be_noticed(
    keras1_golden: Path, mode: int, change: dict[str, str]
) -> None:
    """The twin: a rival reading fails clearly."""
    case = next(
        case
        for case in cases(keras1_golden)
        if case["mode"] == mode and case["backend"] == "tensorflow" and case["input"] == "normal"
    )
    arrays = arrays_of(keras1_golden, case["file"])[case["name"]]
    layer = BatchNormalization(
        **{**case["constructor"], "epsilon": case["epsilon"]},
        weights=[arrays[key] for key in KEYS],
        contract="ignore",
        **change,
    )
    y = ops.convert_to_numpy(layer(arrays["x"], training=True))
    std = layer.get_weights()[3]
    off = max(
        np.abs(y - arrays["y_train"]).max(),
        np.abs(std - arrays.get("running_std_1", std)).max(),
    )
    assert off > 5e-6

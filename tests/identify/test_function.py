# ruff: noqa: E501 (one layer is one line of a table)
"""Functions of NumPy arrays: the modes of Keras 1, usual mistakes, two modes, the call itself."""

from __future__ import annotations

import json

import numpy as np
import pytest

from budget import budget
from identified import identified_as
from normscope import NormSpec, SpecError, preset
from normscope.errors import ShapeError
from normscope.identify import Kind, identify

SHAPE, NAMES = (4, 6, 5, 8), "b c h w"


def mean(x: np.ndarray, axes: tuple[int, ...]) -> np.ndarray:
    return x.mean(axes, keepdims=True)


def var(x: np.ndarray, axes: tuple[int, ...], ddof: int = 0) -> np.ndarray:
    return x.var(axes, keepdims=True, ddof=ddof)


GAMMA = np.array([0.5, 2, 1.5, 0.7, 1.1, 0.9, 1.7, 3], np.float32)

KERAS_1 = {
    "1.0.4": lambda x: GAMMA * (x - mean(x, (-1,))) / (np.sqrt(var(x, (-1,))) + np.float32(1e-6)) + GAMMA,
    "1.2.2": lambda x: GAMMA * (x - mean(x, (-1,))) / (np.sqrt(var(x, (-1,)) + np.float32(1e-3)) + np.float32(1e-3)) + GAMMA,
}  # fmt: skip


@pytest.mark.parametrize("release", KERAS_1)
def test_mode_1_of_keras_1(release: str) -> None:
    stated = preset("keras1.BatchNormalization", mode=1, release=release, axes=NAMES)
    found = identified_as(stated, KERAS_1[release], SHAPE, NAMES)
    assert found.sample_independent == {"train": True, "infer": True}


def test_mode_2_of_keras_1_couples_samples_at_inference() -> None:
    def layer(x: np.ndarray) -> np.ndarray:
        axes = (0, 2, 3)
        return (x - mean(x, axes)) / np.sqrt(var(x, axes) + np.float32(1e-3))

    found = identify(layer, SHAPE, NAMES)
    assert found.train == found.infer == NormSpec("[b] c [h w]", eps=1e-3)
    assert found.sample_independent == {"train": False, "infer": False}
    assert "samples (b) SEE EACH OTHER" in str(found)


MISTAKES = {
    "wrong axis": (
        lambda x: (x - mean(x, (1,))) / np.sqrt(var(x, (1,)) + 1e-5),
        NormSpec("b [c] h w"),
    ),
    "no root": (lambda x: (x - mean(x, (3,))) / (var(x, (3,)) + 1e-5), "mixing"),
    "eps in the numerator": (
        lambda x: (x - mean(x, (3,)) + 1e-5) / np.sqrt(var(x, (3,))),
        "unknown",
    ),
    "mean and variance over other axes": (
        lambda x: (x - mean(x, (3,))) / np.sqrt(var(x, (1, 2, 3)) + 1e-5),
        "mixing",
    ),
    "eps squared": (
        lambda x: (x - mean(x, (3,))) / np.sqrt(var(x, (3,)) + 1e-3**2),
        NormSpec("b c h [w]", eps=1e-6),
    ),
    "variance not around the mean": (
        lambda x: (x - mean(x, (3,))) / np.sqrt(mean(x**2, (3,)) + 1e-5),
        NormSpec("b c h [w]", measure="mean_square"),
    ),
    "mean not subtracted": (
        lambda x: x / np.sqrt(var(x, (3,)) + 1e-5),
        NormSpec("b c h [w]", center=False),
    ),
    "whole array": (
        lambda x: (x - x.mean()) / (x.std() + 1e-8),
        NormSpec("[b c h w]", eps=0, eps_outside=1e-8),
    ),
    "largest value": (
        lambda x: x / (abs(x).max((2, 3), keepdims=True) + 1e-4),
        NormSpec("b c [h w]", center=False, measure="max", eps=0, eps_outside=1e-4),
    ),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_mistakes_are_seen_for_what_they_are(mistake: str) -> None:
    layer, expected = MISTAKES[mistake]
    found = identify(layer, SHAPE, NAMES)
    if isinstance(expected, str):
        assert str(found.kind) == expected, found
        assert found.train is None
    else:
        assert found.train == expected, found


class BatchNorm:
    """A hand-written batch normalization, told its mode by the keyword `training`."""

    def __init__(self) -> None:
        self.mean, self.var = np.zeros(6, np.float32), np.ones(6, np.float32)

    def __call__(self, x: np.ndarray, training: bool = False) -> np.ndarray:
        if training:
            return (x - mean(x, (0, 2, 3))) / np.sqrt(var(x, (0, 2, 3)) + 1e-5)
        return (x - self.mean.reshape(1, -1, 1, 1)) / np.sqrt(self.var.reshape(1, -1, 1, 1) + 1e-5)


def test_a_function_with_two_modes() -> None:
    found = identify(BatchNorm(), SHAPE, NAMES)
    assert found.train == NormSpec("[b] c [h w]")
    assert found.infer is None  # its state is out of reach, so nothing says what it divides by
    assert found.sample_independent == {"train": False, "infer": True}


def test_to_dict_is_as_designed() -> None:
    found = identify(KERAS_1["1.2.2"], SHAPE, NAMES).to_dict()
    assert list(found) == [
        "kind",
        "train",
        "infer",
        "train_axes",
        "infer_axes",
        "sample_independent",
        "max_ulp",
        "evidence",
    ]
    assert json.loads(json.dumps(found)) == found
    assert found["kind"] == "normalization"
    assert NormSpec.from_dict(found["train"]).pattern == "b c h [w]"
    assert found["train_axes"]["w"] == "shared"


def test_neutral_names_without_axes() -> None:
    assert identify(MISTAKES["wrong axis"][0], SHAPE).train.pattern == "b [d1] d2 d3"


def test_a_function_of_float64_only() -> None:
    def layer(x: np.ndarray) -> np.ndarray:
        if x.dtype != np.float64:
            raise TypeError("float64 only")
        return (x - mean(x, (3,))) / np.sqrt(var(x, (3,)) + 1e-5)

    found = identify(layer, SHAPE, NAMES, dtype=np.float64)
    assert found.train == NormSpec("b c h [w]")


def test_an_answer_comes_soon() -> None:
    layer = MISTAKES["whole array"][0]
    identify(layer, (8, 8, 8, 8))
    with budget():
        found = identify(layer, (8, 8, 8, 8))
    assert found.calls <= 200


def test_what_cannot_be_asked() -> None:
    with pytest.raises(SpecError, match="cannot be called"):
        identify(3, (2, 3))
    with pytest.raises(ShapeError, match="names 2 axes, the shape has 3"):
        identify(abs, (2, 3, 4), "b c")
    with pytest.raises(ShapeError, match="at least 1"):
        identify(abs, (2, 0))


def test_pointwise_functions_are_named() -> None:
    found = identify(lambda x: np.maximum(2 * x, 0), SHAPE)
    assert found.kind is Kind.POINTWISE
    assert "each element alone: multiplied by a number, then relu" in found.evidence

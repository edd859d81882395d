"""What may be a normalization by an unknown formula: order and unit of the others do not matter."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from normscope.identify.formula.symmetry import may_be_a_normalization
from numpy_layers import probed

Function = Callable[[np.ndarray], np.ndarray]
WEIGHTS = np.linspace(0.5, 2, 8)


def centred(x: np.ndarray) -> np.ndarray:
    return x - x.mean(1, keepdims=True)


def normalized(x: np.ndarray) -> np.ndarray:
    return centred(x) / x.std(1, keepdims=True)


def softmax(x: np.ndarray) -> np.ndarray:
    e = np.exp(x - x.max(1, keepdims=True))
    return e / e.sum(1, keepdims=True)


MAY_BE: dict[str, Function] = {
    "a sine after": lambda x: np.sin(normalized(x)),
    "an unknown measure": lambda x: centred(x) / np.cbrt((np.abs(x) ** 3).mean(1, keepdims=True)),
    "a scale": lambda x: WEIGHTS * normalized(x) ** 3,
    "a residual": lambda x: x + np.sin(normalized(x)),
    "relu of a sum": lambda x: np.maximum(x + normalized(x), 0),
}
IS_NONE: dict[str, Function] = {
    "softmax": softmax,
    "a matrix": lambda x: x @ np.outer(WEIGHTS, WEIGHTS[::-1]),
    "weights before the statistics": lambda x: normalized(x * WEIGHTS),
    "a cumulative sum": lambda x: x.cumsum(1),
    "a gate by the mean": lambda x: x / (1 + np.exp(-x.mean(1, keepdims=True))),
}


@pytest.mark.parametrize("name", MAY_BE)
def test_it_may_be_one(name: str) -> None:
    assert may_be_a_normalization(probed(MAY_BE[name]))


@pytest.mark.parametrize("name", IS_NONE)
def test_it_cannot_be_one(name: str) -> None:
    assert not may_be_a_normalization(probed(IS_NONE[name]))

"""Plain functions: words for axes, random numbers, memory, and what cannot be asked."""

from __future__ import annotations

import json
import random
import secrets
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from normscope import SpecError
from normscope.errors import ShapeError
from normscope.frameworks.inputs import Passing, passing
from normscope.scope import scope

Function = Callable[[np.ndarray], np.ndarray]

X = np.random.default_rng(0).normal(size=(6, 8))


KEEP = np.array([1.0, 1.0, 0.0, 1.0, 0.0, 1.0])[:, None]


def mean(x: np.ndarray, axis: int) -> np.ndarray:
    return x.mean(axis, keepdims=True)


def by_groups(x: np.ndarray) -> np.ndarray:
    """A batch norm that takes three samples at a time, as on several devices."""
    parts = x.reshape(2, 3, 8)
    return (parts - mean(parts, 1)).reshape(6, 8)


WORDS: dict[str, tuple[Function, str, str]] = {
    "each element": (np.tanh, "independent", "independent"),
    "features": (lambda x: x - mean(x, 1), "independent", "shared"),
    "samples": (lambda x: x - mean(x, 0), "shared", "independent"),
    "everything": (lambda x: x - x.mean(), "shared", "shared"),
    "groups of samples": (by_groups, "grouped 2", "independent"),
    "sums": (lambda x: np.cumsum(x, 1), "independent", "causal"),
    "sums of samples": (lambda x: np.cumsum(x, 0), "causal", "independent"),
    "neighbours": (lambda x: x + np.pad(x, ((0, 0), (1, 0)))[:, :-1], "independent", "window 2"),
    "samples exchanged": (lambda x: x[::-1], "mixed", "independent"),
    "transposed": (lambda x: x.T, "independent", "independent"),
    "one sample for all": (lambda x: 0 * x + x[:1], "mixed", "independent"),
    "a feature left out": (lambda x: x[:, :-1], "independent", "independent"),
    "a feature of zeros added": (
        lambda x: np.pad(x, ((0, 0), (1, 0))),
        "independent",
        "independent",
    ),
    "only the last": (lambda x: x[:, -1], "independent", "mixed"),
    "a sample times 0": (lambda x: x * KEEP, "independent", "independent"),
    "all but one times 0": (
        lambda x: x * (np.arange(6) == 2)[:, None],
        "independent",
        "independent",
    ),
    "features, a sample times 0": (lambda x: (x - mean(x, 1)) * KEEP, "independent", "shared"),
    "sums of what is left": (lambda x: np.cumsum(x * KEEP, 0), "causal", "independent"),
    "a mean of what is left": (lambda x: x - mean(x * KEEP, 0), "mixed", "independent"),
    "none": (lambda x: 0 * x, "none", "none"),
}


def test_a_feature_that_nothing_changes_belongs_to_its_set() -> None:
    found = scope(
        lambda x: (x - mean(x, 1)) * (np.arange(5) != 1), X[:, :5], axes="b c", all_axes=True
    )
    assert found.axes["inference"]["input"]["output"] == {"b": "independent", "c": "shared"}


@pytest.mark.parametrize("name", WORDS)
def test_words(name: str) -> None:
    function, first, second = WORDS[name]
    found = scope(function, X, axes="b c", all_axes=True)
    assert found.axes["inference"]["input"]["output"] == {"b": first, "c": second}, found
    assert found.axes["training"] == found.axes["inference"]
    if name == "transposed":  # the output has its samples where the input has none
        assert found.samples_independent["inference"] is None
    elif name != "none":
        assert found.samples_independent["inference"] is (first == "independent")


def test_what_changes_nothing_is_said() -> None:
    found = scope(lambda x: x * KEEP, X, axes="b c", all_axes=True)
    assert "output does not change with indices 2, 4 of b in input" in str(found)
    padding = np.random.default_rng(0).normal(size=(5, 3)) * (np.arange(5) != 0)[:, None]
    ids = np.array([[1, 2, 0], [0, 3, 4], [2, 2, 1]])
    unused = scope(
        lambda ids: padding[ids] * (np.arange(3) != 1)[:, None, None],
        ids,
        axes="b t",
        all_axes=True,
    )
    assert unused.axes["inference"]["input"]["output"] == {"b": "independent", "t": "independent"}
    assert unused.samples_independent["inference"] is True


def test_a_single_index_shows_nothing() -> None:
    found = scope(np.tanh, X[:1], axes="b c", all_axes=True)
    assert found.axes["inference"]["input"]["output"] == {"b": "not known", "c": "independent"}
    assert found.samples_independent["inference"] is None
    assert "input holds one sample only" in str(found)
    one = scope(np.tanh, X[:, :1], axes="b c", all_axes=True)
    assert one.axes["inference"]["input"]["output"] == {"b": "independent", "c": "not known"}


def test_the_axis_of_an_output_is_found() -> None:
    found = scope(lambda x: x.transpose(1, 2, 0).cumsum(0), np.random.rand(3, 4, 5), all_axes=True)
    axes = found.inference.dependences[0].axes
    assert [(axis.output_axis, axis.word) for axis in axes] == [
        (2, "independent"),
        (0, "causal"),
        (1, "independent"),
    ]


def test_a_table_of_similarities_may_have_its_samples_on_either_axis() -> None:
    def similarity(images: np.ndarray, texts: np.ndarray) -> np.ndarray:
        return images @ texts.T

    found = scope(similarity, (X, X[:, ::-1].copy()))
    assert found.samples_independent["inference"] is None
    assert "run along axis 1 of output, whose axis 0 has 6 indices too" in str(found)
    # one text more, and there is no doubt
    texts = np.random.default_rng(1).normal(size=(7, 8))
    assert scope(similarity, (X, texts)).samples_independent["inference"] is True


def test_two_modes() -> None:
    def layer(x: np.ndarray, training: bool = False) -> np.ndarray:
        return x - mean(x, 0) if training else x

    found = scope(layer, X)
    assert found.samples_independent == {"training": False, "inference": True}
    assert (found.one_mode, scope(np.tanh, X).one_mode) == (False, True)


def test_integers_take_values_that_are_present() -> None:
    table = np.random.default_rng(0).normal(size=(7, 3))

    def embed(ids: np.ndarray) -> np.ndarray:
        assert set(ids.ravel().tolist()) <= {3, 5, 6}
        return table[ids] - table[ids].mean(1, keepdims=True)

    ids = np.array([[3, 5, 6], [5, 5, 3]])
    found = scope(embed, ids, axes="b t", all_axes=True)
    assert found.axes["inference"]["input"]["output"] == {"b": "independent", "t": "shared"}


def test_one_value_only_says_what_is_needed() -> None:
    def masked(x: np.ndarray, mask: np.ndarray) -> np.ndarray:
        return x * mask

    found = scope(masked, (X, np.ones(X.shape, int)))
    assert found.axes["inference"]["mask"] == {}
    assert any(line.startswith("mask holds one value only") for line in found.evidence)
    # a mask of truth values has another value, and floats have a range
    for mask in (np.ones(X.shape, bool), np.ones(X.shape)):
        assert scope(masked, (X, mask)).axes["inference"]["mask"]["output"]["b"] == "independent"


def test_random_numbers_are_repeated() -> None:
    generator = np.random.default_rng(0)
    draws: dict[str, Function] = {
        "numpy": lambda x: x + np.random.normal(size=x.shape),
        "python": lambda x: x + random.random(),
        "its own": lambda x: x + generator.normal(size=x.shape),
    }
    for name, function in draws.items():
        before = np.random.get_state()[1].tolist(), random.getstate(), str(generator.bit_generator)
        state = generator.bit_generator.state
        found = scope(function, X)
        assert found.stochastic["inference"], name
        assert found.samples_independent["inference"] is True, name
        after = np.random.get_state()[1].tolist(), random.getstate(), str(generator.bit_generator)
        assert (after, generator.bit_generator.state) == (before, state)


def test_random_numbers_out_of_reach_are_said() -> None:
    found = scope(lambda x: x + secrets.randbelow(10**9), X)
    assert found.stochastic["inference"] is True
    assert found.samples_independent["inference"] is None
    assert "no generator that is known repeats them" in str(found)


class Remembers:
    """A hand-written batch norm with memory in attributes, arrays and lists."""

    def __init__(self) -> None:
        self.count, self.mean, self.log = 0, np.zeros(8), []

    def __call__(self, x: np.ndarray, training: bool = False) -> np.ndarray:
        if training:
            self.count += 1
            self.mean += mean(x, 0)[0]
            self.log.append(self.count)
        return x - mean(x, 0) if training else x - self.mean


def test_an_object_is_left_as_found() -> None:
    made = Remembers()
    for function in (made, lambda x, training: made(x, training)):
        found = scope(function, X)
        assert found.samples_independent == {"training": False, "inference": True}
        assert not any(found.stochastic.values())
        assert (made.count, made.mean.tolist(), made.log) == (0, [0.0] * 8, [])


def test_the_callers_arrays_are_left_alone() -> None:
    def in_place(x: np.ndarray) -> np.ndarray:
        x -= x.mean(1, keepdims=True)
        return x

    x = X.copy()
    assert scope(in_place, x).samples_independent["inference"] is True
    assert (x == X).all()


def test_what_a_model_refuses_costs_only_that_input() -> None:
    def sorted_only(x: np.ndarray, lengths: np.ndarray) -> np.ndarray:
        if (np.diff(lengths) > 0).any():
            raise ValueError("lengths must fall")
        return x * lengths[:, None]

    lengths = np.array([6, 5, 4, 3, 2, 1])
    found = scope(sorted_only, {"x": X, "lengths": lengths})
    assert found.samples_independent["inference"] is True
    assert found.axes["inference"]["x"]["output"]["b"] == "independent"
    assert any("lengths must fall" in line for line in found.evidence)


def test_a_shape_that_depends_on_the_values() -> None:
    found = scope(lambda x: x[x[:, 0] > 0], X)
    assert any("the shape of output depends on the values" in line for line in found.evidence)


def test_a_function_cannot_be_looked_into() -> None:
    found = scope(lambda x: x - mean(x, 0), X)
    assert found.first["inference"] is None
    assert any("nothing is watched inside a function" in line for line in found.evidence)


def test_to_dict_is_json() -> None:
    found = scope(lambda x: {"y": x - mean(x, 0)}, X, axes="n c", all_axes=True).to_dict()
    assert json.loads(json.dumps(found)) == found
    assert found["sample_independent"] == {"train": False, "infer": False}
    assert found["pair"]["infer"] == [0, 1]
    assert found["infer_axes"] == [
        {
            "input": "input",
            "output": "output.y",
            "axes": {
                "n": {"word": "shared", "output_axis": 0},
                "c": {"word": "independent", "output_axis": 1},
            },
        }
    ]


@pytest.mark.parametrize(
    ("function", "inputs", "expected"),
    [
        (lambda a, b: a, (1, 2), Passing.POSITIONAL),
        (lambda *all: all, [1, 2], Passing.POSITIONAL),
        (lambda pair: pair, (1, 2), Passing.WHOLE),
        (lambda pair, train=False: pair, (1, 2), Passing.WHOLE),
        (lambda a, b: a, {"a": 1, "b": 2}, Passing.NAMED),
        (lambda **all: all, {"a": 1}, Passing.NAMED),
        (lambda batch: batch, {"a": 1, "b": 2}, Passing.WHOLE),
        (lambda x: x, X, Passing.WHOLE),
    ],
)
def test_how_inputs_are_passed(function: Any, inputs: Any, expected: Passing) -> None:
    assert passing(function, inputs) is expected


def test_what_cannot_be_asked() -> None:
    with pytest.raises(SpecError, match="this int cannot be called"):
        scope(3, X)
    with pytest.raises(SpecError, match="holds no array"):
        scope(abs, [1.0, 2.0])
    with pytest.raises(ShapeError, match="names 3 axes, the shape has 2"):
        scope(abs, X, axes="b c h")
    with pytest.raises(SpecError, match="does not say for which of the inputs"):
        scope(np.add, (X, X), axes="b c")
    with pytest.raises(SpecError, match="names the input 'z'"):
        scope(np.add, (X, X), axes={"z": "b c"})

"""What a person can check: index by index who sees whom, and a refused formula in numbers."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from normscope import SpecError
from normscope.cli import app
from normscope.identify import identify
from normscope.scope import scope
from normscope.sight.index_table import MOST


def by_groups(x: np.ndarray, *, right: bool) -> np.ndarray:
    """Groups of two samples; tiled, a group's statistic is handed to the wrong samples."""
    groups = x.reshape(4, 2, -1)
    mean, var = groups.mean(1), groups.var(1)

    def each(values: np.ndarray) -> np.ndarray:
        return values.repeat(2, 0) if right else np.tile(values, (2, 1))

    return (x - each(mean)) / np.sqrt(each(var) + 1e-5)


def right(x: np.ndarray) -> np.ndarray:
    return by_groups(x, right=True)


def wrong(x: np.ndarray) -> np.ndarray:
    return by_groups(x, right=False)


def channels(x: np.ndarray) -> np.ndarray:
    """Group norm over four of eight channels, its mean handed out in turn."""
    mean = x.reshape(len(x), 2, 4).mean(-1)
    return x - np.tile(mean, (1, 4))


RIGHT = [[0, 1], [0, 1], [2, 3], [2, 3], [4, 5], [4, 5], [6, 7], [6, 7]]
# row i sees sample i itself, and the two samples of group i modulo 4
WRONG = [[0, 1], [1, 2, 3], [2, 4, 5], [3, 6, 7], [0, 1, 4], [2, 3, 5], [4, 5, 6], [6, 7]]
X = np.random.default_rng(0).normal(size=(8, 3))


@pytest.mark.parametrize(("function", "rows"), [(right, RIGHT), (wrong, WRONG)])
def test_who_is_handed_the_wrong_statistic(function: object, rows: list[list[int]]) -> None:
    found = identify(function, (8, 3), "b c", show="indices")
    tables = json.loads(json.dumps(found.to_dict()))["indices"]
    assert tables["train"] == {"b": rows, "c": [[0], [1], [2]]}
    assert tables["infer"] == tables["train"]
    scoped = json.loads(json.dumps(scope(function, X, axes="b c", show="indices").to_dict()))
    axes = scoped["infer_axes"][0]["axes"]
    assert axes["b"]["indices"] == rows
    assert axes["c"]["indices"] == [[0], [1], [2]]
    row = " ".join("#" if i in rows[1] else "." for i in range(8))
    for text in (str(found), str(scope(function, X, axes="b c", show="indices"))):
        assert any(line.split("1  ", 1)[-1] == row for line in text.splitlines()), text


def test_along_the_channels_too() -> None:
    found = identify(channels, (3, 8), "b c", show="indices").to_dict()["indices"]["train"]
    assert found["b"] == [[0], [1], [2]]
    group = [list(range(4)), list(range(4, 8))]
    assert found["c"] == [sorted({c, *group[c % 2]}) for c in range(8)]


def test_both_modes_have_their_own() -> None:
    def layer(x: np.ndarray, training: bool = False) -> np.ndarray:
        return x - x.mean(0) if training else x

    found = identify(layer, (3, 2), "b c", show="indices")
    tables = found.to_dict()["indices"]
    assert tables["train"]["b"] == [[0, 1, 2]] * 3
    assert tables["infer"]["b"] == [[0], [1], [2]]


def test_what_has_no_table() -> None:
    assert "indices" not in identify(right, (8, 3)).to_dict()
    long = identify(np.tanh, (2, MOST + 1, 1), "b c h", show="indices")
    assert long.to_dict()["indices"]["train"] == {"b": [[0], [1]], "c": None}
    assert "17 indices are too many for a table" in str(long)
    assert identify(lambda x: x.sum(1), (3, 2), show="indices").to_dict()["indices"]["train"] == {}
    masked = identify(lambda x: x * np.array([[1.0], [0.0]]), (2, 3), "b c", show="indices")
    assert masked.to_dict()["indices"]["train"]["b"] == [[0], []]
    for verb in (lambda: identify(right, (8, 3), show="all"), lambda: scope(right, X, show="all")):
        with pytest.raises(SpecError, match="show='all' is not known"):
            verb()


@pytest.mark.parametrize("verb", ["identify", "scope"])
def test_the_command(verb: str) -> None:
    call = [verb, f"{__file__}:wrong", "--shape", "8,3", "--axes", "b c", "--show", "indices"]
    printed = CliRunner().invoke(app, call)
    assert "1  . # # # . . . ." in printed.output, printed.output


def test_a_refused_formula_is_shown_in_numbers() -> None:
    def odd(x: np.ndarray) -> np.ndarray:
        size = np.abs(x).mean(-1, keepdims=True)
        return x / np.sqrt((x**2).mean(-1, keepdims=True) + 0.1 * np.sqrt(size))

    found = identify(odd, (4, 8), "b c")
    assert found.train is None
    assert 'in numbers, one set of "b [c]" as the layer was found' in str(found)
    pairs = json.loads(json.dumps(found.to_dict()))["pairs"]["train"]
    assert 2 <= len(pairs) <= 3
    for pair in pairs:
        assert (pair["pattern"], pair["set_size"]) == ("b [c]", 8)
        x, y = np.array(pair["x"]), np.array(pair["y"])
        np.testing.assert_allclose(odd(x[None])[0], y, rtol=1e-6)  # as much as float32 holds
    sizes = [float(np.abs(pair["x"]).max()) for pair in pairs]
    assert max(sizes) > 1000 * min(sizes)
    assert "pairs" not in identify(right, (8, 3)).to_dict()


def test_an_answer_that_takes_too_many_calls_still_says_who_sees_whom() -> None:
    made = torch.nn.utils.parametrizations.spectral_norm(torch.nn.Linear(8, 8))
    found = identify(made, (3, 7, 8), "b t c")
    assert found.calls <= 200
    assert found.train_axes == {"b": "independent", "t": "independent", "c": "shared"}
    assert found.infer_axes == found.train_axes

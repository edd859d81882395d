# ruff: noqa: E501 (one case is one line of a table)
"""Who sees whom: what changes nothing is not mixed, a single index shows nothing."""

from __future__ import annotations

import json
from collections.abc import Callable

import numpy as np
import pytest
import torch

from normscope.identify import Kind, identify

Function = Callable[[np.ndarray], np.ndarray]

KEEP = np.array([1.0, 0.0, 1.0, 1.0])[:, None]
LONELY = (np.arange(9) == 5).astype(float)[:, None]
HOLES = np.random.default_rng(3).random((4, 8)) > 0.5


def centred(x: np.ndarray, axis: int) -> np.ndarray:
    return x - x.mean(axis, keepdims=True)


def layer_norm(x: np.ndarray) -> np.ndarray:
    return centred(x, -1) / np.sqrt(x.var(-1, keepdims=True) + 1e-5)


def batch_norm(x: np.ndarray) -> np.ndarray:
    return centred(x, 0) / np.sqrt(x.var(0) + 1e-5)


def masked_batch_norm(x: np.ndarray) -> np.ndarray:
    mean = (x * KEEP).sum(0) / 3
    var = ((x - mean) ** 2 * KEEP).sum(0) / 3
    return (x - mean) / np.sqrt(var + 1e-5) * KEEP


# the function, the shape; the word of the samples; whether they are apart
CASES: dict[str, tuple[Function, tuple[int, int], str, bool | None]] = {
    "a sample times 0": (lambda x: x * KEEP, (4, 5), "independent", True),
    "all but one times 0": (lambda x: x * LONELY, (9, 5), "independent", True),
    "single elements times 0": (lambda x: x * HOLES, (4, 8), "independent", True),
    "a feature times 0": (lambda x: x * KEEP[:, 0], (5, 4), "independent", True),
    "a relu that is dead for a sample": (lambda x: np.maximum(x - 1e4 * (1 - KEEP), 0), (4, 5), "independent", True),
    "layer norm, a sample times 0": (lambda x: layer_norm(x) * KEEP, (4, 5), "independent", True),
    "layer norm of what is left": (lambda x: layer_norm(x * HOLES), (4, 8), "independent", True),
    "groups of which one is dead": (lambda x: np.repeat([1, 0], 2)[:, None] * np.repeat(x[::2] + x[1::2], 2, 0), (4, 5), "grouped 2", False),
    "sums of what is left": (lambda x: np.cumsum(x * KEEP, 0), (4, 5), "causal", False),
    "batch norm, a sample times 0": (masked_batch_norm, (4, 5), "mixed", False),
    "batch norm of what is left": (lambda x: batch_norm(x * KEEP), (4, 5), "mixed", False),
    "one sample for all": (lambda x: 0 * x + x[:1], (4, 5), "mixed", False),
    "two samples for all": (lambda x: 0 * x + x[:1] + x[1:2], (4, 5), "mixed", False),
    "samples exchanged": (lambda x: x[::-1], (4, 5), "mixed", False),
    "samples exchanged, one times 0": (lambda x: x[::-1] * KEEP, (4, 5), "mixed", False),
    "some samples only": (lambda x: x[:2], (4, 5), "independent", True),
    "without the first samples": (lambda x: layer_norm(x)[1:], (4, 5), "independent", True),
    "further samples of zeros": (lambda x: np.pad(x, ((0, 2), (0, 0))), (4, 5), "independent", True),
    "some samples only, of which one saw another": (lambda x: np.concatenate([x[:40], x[40:41] + x[50:51]]), (64, 5), "mixed", False),
    "every second sample": (lambda x: x[::2], (6, 5), "mixed", None),
    "batch norm, then a feature times 0": (lambda x: batch_norm(x) * KEEP[:, 0], (5, 4), "shared", False),
    "each sample twice": (lambda x: np.repeat(x, 2, 0), (4, 5), "mixed", None),
    "pairs of samples": (lambda x: x[:2] + x[2:], (4, 5), "mixed", False),
    "nothing": (lambda x: 0 * x, (4, 5), "none", None),
    "a relu that is always dead": (lambda x: np.maximum(x - 1e4, 0), (4, 5), "none", None),
    "one sample": (layer_norm, (1, 5), "not known", None),
    "one sample, batch norm": (batch_norm, (1, 5), "none", None),
    "one element": (np.tanh, (1, 1), "not known", None),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_samples(name: str) -> None:
    function, shape, word, apart = CASES[name]
    found = identify(function, shape, "b c")
    assert found.train_axes["b"] == word
    assert found.sample_independent == {"train": apart, "infer": apart}
    assert json.loads(json.dumps(found.to_dict()))["sample_independent"]["infer"] is apart
    said = {
        True: "do not see each other",
        False: "SEE EACH OTHER",
        None: "see each other is not known",
    }
    assert all((words in str(found)) == (key is apart) for key, words in said.items())


def test_what_changes_nothing_is_said() -> None:
    assert "inputs tried change no output" in str(identify(lambda x: x * KEEP, (4, 5)))
    assert "change no output" not in str(identify(np.tanh, (4, 5)))


def test_a_mask_hides_no_normalization() -> None:
    found = identify(lambda x: layer_norm(x) * KEEP, (4, 5), "b c")
    assert found.train is not None
    assert (found.train.pattern, found.train.scale) == ("b [c]", "b")


def test_no_output_depends_on_two_inputs() -> None:
    assert identify(lambda x: x * KEEP, (4, 5)).kind is Kind.POINTWISE
    moved = identify(lambda x: x[::-1], (4, 5))
    assert "no output depends on more than one input" in str(moved)
    # each of the inputs changes one output, but two of them the same one
    sums = identify(lambda x: np.pad(x[:1] + x[1:2] + x[2:3] + x[3:], ((0, 3), (0, 0))), (4, 5))
    assert sums.kind is Kind.MIXING


@pytest.mark.parametrize(
    ("function", "pattern"),
    [
        (lambda x: layer_norm(x) * (np.arange(20) != 3), "b [c]"),
        (lambda x: layer_norm(x) * (np.arange(20) == 3), "b [c]"),
        (lambda x: np.where(np.arange(20) < 9, layer_norm(x), 0), "b [c]"),
        (lambda x: batch_norm(x) * (np.arange(20) != 3), "[b] c"),
        (lambda x: layer_norm(x.reshape(4, 4, 5)).reshape(4, 20) * (np.arange(20) != 3), "b (g [c])"),
    ],
)  # fmt: skip
def test_outputs_that_a_mask_hides_belong_to_their_set(function: Function, pattern: str) -> None:
    found = identify(function, (4, 20), "b c")
    assert found.train is not None
    assert found.train.pattern == pattern
    assert found.train.scale == ("g c" if "g" in pattern else "c")


def test_what_a_mask_hides_makes_no_set_of_an_order() -> None:
    masked = identify(lambda x: np.cumsum(x, 1) * (np.arange(6) != 2), (4, 6), "b c")
    assert masked.train_axes == {"b": "independent", "c": "mixed"}


@pytest.mark.parametrize("taken", [np.s_[:, :3], np.s_[:, 0], np.s_[:, [2]], np.s_[::2, 1:]])
def test_what_selects_depends_on_one_input(taken: tuple[slice | int | list[int], ...]) -> None:
    found = identify(lambda x: x[taken], (8, 6), "b c")
    assert found.kind is Kind.POINTWISE
    assert "no output depends on more than one input" in str(found)


@pytest.mark.parametrize("pool", [np.max, np.mean, np.prod])
def test_what_pools_depends_on_several(pool: Callable[..., np.ndarray]) -> None:
    # far apart, so that single inputs hardly ever show that two of them meet
    assert identify(lambda x: pool([x[:32], x[32:]], axis=0), (64, 16)).kind is Kind.MIXING


@pytest.mark.parametrize("shape", [(1, 3, 8), (1, 3, 1), (4, 3, 1)])
def test_a_single_index_shows_nothing(shape: tuple[int, ...]) -> None:
    layer = torch.nn.BatchNorm1d(3, track_running_stats=False)
    found = identify(layer, shape, "b c t")
    single = [name for name, size in zip("bct", shape, strict=True) if size == 1]
    assert not {found.train_axes.get(name) for name in single} - {"not known", "none", None}
    assert found.sample_independent["train"] is (None if shape[0] == 1 else False)
    if shape == (1, 3, 8):
        assert "a pattern that shares it would fit as well" in str(found)

"""Which batch statistic an array follows: told by its values, not by its name."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from normscope import Running
from normscope.identify.formula.probe import Probe
from normscope.identify.memory.running import Memory, find_memory
from normscope.identify.sets.structure import axis_structure
from normscope.notation.spec import NormSpec
from numpy_layers import asked

Arrays = dict[str, np.ndarray]
SHAPE = (12, 5)
SPEC = NormSpec("[b] c", eps=1e-3)


def memory_of(
    update: Callable[[Arrays, np.ndarray], None], spec: NormSpec = SPEC
) -> tuple[Memory | None, Arrays]:
    """What is found of training that updates its arrays so, and the arrays afterwards."""

    def forward(x: np.ndarray, arrays: Arrays, training: bool) -> np.ndarray:
        if training:
            update(arrays, x.astype(np.float64))
        return x

    found = {"p": np.zeros(5), "q": np.ones(5), "calls": np.array(0)}
    mode = asked(forward, SHAPE, found, training=True)
    mode(np.full(SHAPE, 2.0))  # so it is known what training changes
    memory = find_memory(Probe(mode, axis_structure(SHAPE, ("b", "c"), kept=(1,))), spec)
    return memory, mode.subject.adapter.arrays()


def moving(
    share: float, q: Callable[[np.ndarray], np.ndarray]
) -> Callable[[Arrays, np.ndarray], None]:
    def update(arrays: Arrays, x: np.ndarray) -> None:
        arrays["p"] = (1 - share) * arrays["p"] + share * x.mean(0)
        arrays["q"] = (1 - share) * arrays["q"] + share * q(x)

    return update


STORED = {
    "a variance": (lambda x: x.var(0), Running(0.9)),
    "an unbiased variance": (lambda x: x.var(0, ddof=1), Running(0.9, ddof=1)),
    "a deviation": (lambda x: x.std(0), Running(0.9, deviation=True)),
    "a variance plus eps": (lambda x: x.var(0) + 1e-3, Running(0.9, plus_eps=True)),
}


@pytest.mark.parametrize("name", STORED)
def test_what_is_stored_beside_the_mean(name: str) -> None:
    stored, running = STORED[name]
    memory, _ = memory_of(moving(0.1, stored))
    assert memory == Memory(running, known=True, notes=())


@pytest.mark.parametrize("decay", [0.999, 0.5, 0.0])
def test_the_pace(decay: float) -> None:
    memory, _ = memory_of(moving(1 - decay, lambda x: x.var(0)))
    assert memory == Memory(Running(decay), known=True, notes=())


def test_the_arrays_are_as_found() -> None:
    _, arrays = memory_of(moving(0.1, lambda x: x.var(0)))
    assert arrays["p"].tolist() == [0] * 5
    assert arrays["q"].tolist() == [1] * 5


def test_what_leaves_the_arrays_alone_has_no_memory() -> None:
    memory, _ = memory_of(lambda arrays, x: None)
    assert memory is None


def mean_alone(arrays: Arrays, x: np.ndarray) -> None:
    arrays["p"] = 0.9 * arrays["p"] + 0.1 * x.mean(0)


REFUSED = {
    "a mean square is stored": (moving(0.1, lambda x: (x**2).mean(0)), "is the mean square"),
    "the largest is stored": (moving(0.1, lambda x: x.max(0)), "no statistic that is known"),
    "only a mean": (mean_alone, "training changes p alone"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_no_spec_says_is_said(name: str) -> None:
    update, words = REFUSED[name]
    memory, _ = memory_of(update)
    assert memory is not None
    assert not memory.known
    assert words in memory.notes[0]


def test_two_paces() -> None:
    def update(arrays: Arrays, x: np.ndarray) -> None:
        arrays["p"] = 0.9 * arrays["p"] + 0.1 * x.mean(0)
        arrays["q"] = 0.99 * arrays["q"] + 0.01 * x.var(0)

    memory, _ = memory_of(update)
    assert memory is not None
    assert memory.notes == ("the stored mean has decay 0.9, the stored variance 0.99",)


def test_a_cumulative_average_has_no_fixed_decay() -> None:
    def update(arrays: Arrays, x: np.ndarray) -> None:
        arrays["calls"] = arrays["calls"] + 1
        moving(1 / int(arrays["calls"]), lambda x: x.var(0))(arrays, x)

    memory, _ = memory_of(update)
    assert memory is not None
    assert (memory.running, memory.known) == (None, True)
    assert "they have no fixed decay" in memory.notes[0]

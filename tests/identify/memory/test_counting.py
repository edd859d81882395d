"""Statistics that start at 0 are corrected at inference by the number of training calls."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from normscope import Running
from normscope.identify.formula.unsolved import Unsolved
from normscope.identify.memory.counting import counting
from normscope.identify.memory.stored import Stored
from normscope.identify.subject.mode import Mode
from normscope.notation.spec import NormSpec
from numpy_layers import asked

Arrays = dict[str, np.ndarray]
ARRAYS = {"m": np.zeros(4), "v": np.ones(4), "n": np.array(0)}


def inference(share: Callable[[int], float]) -> Mode:
    """Batch norm that divides what is stored by a share, which depends on the count."""

    def forward(x: np.ndarray, arrays: Arrays, training: bool) -> np.ndarray:
        if training:
            arrays["n"] = arrays["n"] + 1
            arrays["m"] = 0.9 * arrays["m"] + 0.1 * x.mean(0)
            arrays["v"] = 0.9 * arrays["v"] + 0.1 * x.var(0)
        part = share(int(arrays["n"]))
        return (x - arrays["m"] / part) / np.sqrt(arrays["v"] / part + 1e-5)

    mode = asked(forward, (6, 4), ARRAYS)
    mode.subject(np.ones((6, 4)), training=True)  # so it is known what training changes
    return mode


def stored(mode: Mode, decay: float | None = 0.9) -> Stored:
    running = None if decay is None else Running(decay)
    spec = NormSpec(None, running=running)
    return Stored(spec, 1.0, (), (1,), ("m", "v"), False, mode.precision)


def test_no_count_matters() -> None:
    mode = inference(lambda n: 1.0)
    assert counting(mode, stored(mode)) == ()


def test_the_correction_is_said() -> None:
    mode = inference(lambda n: 1 - 0.9**n if n else 1.0)
    assert counting(mode, stored(mode)) == (
        "the stored statistics are divided by 1 - 0.9**n after n training calls, which n counts: "
        "they start at 0",
    )


def test_another_use_of_the_count_is_unsolved() -> None:
    for share, decay in ((lambda n: 1 / (1 + n), 0.9), (lambda n: 1 - 0.8**n if n else 1.0, 0.9)):
        mode = inference(share)
        assert isinstance(counting(mode, stored(mode, decay)), Unsolved)


def test_without_a_decay_no_correction_is_known() -> None:
    mode = inference(lambda n: 1 - 0.9**n if n else 1.0)
    assert isinstance(counting(mode, stored(mode, None)), Unsolved)


def test_the_arrays_are_as_found() -> None:
    mode = inference(lambda n: 1 - 0.9**n if n else 1.0)
    counting(mode, stored(mode))
    arrays = mode.subject.adapter.arrays()
    assert {name: value.tolist() for name, value in arrays.items()} == {
        name: value.tolist() for name, value in ARRAYS.items()
    }

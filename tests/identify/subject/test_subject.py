"""A layer's arrays have other values inside a `with`, and afterwards those from before."""

from __future__ import annotations

import numpy as np
import pytest

from normscope.identify.subject.mode import Mode
from normscope.identify.subject.subject import MAX_CALLS, TooManyCallsError
from numpy_layers import asked

ARRAYS = {"w": np.array([1.0, 2.0], np.float32), "count": np.array(3)}


def layer() -> Mode:
    return asked(lambda x, arrays, training: x * arrays["w"], (4, 2), ARRAYS, "w")


def test_inside_other_values_are_used() -> None:
    mode = layer()
    with mode.subject.moved({"w": np.array([5.0, 7.0])}):
        assert mode(np.ones((4, 2)))[0].tolist() == [5, 7]
        assert mode.subject.learned["w"].tolist() == [5, 7]
    assert mode(np.ones((4, 2)))[0].tolist() == [1, 2]
    assert mode.subject.learned["w"].tolist() == [1, 2]


def test_afterwards_the_values_from_before_whatever_happens() -> None:
    subject = layer().subject
    with pytest.raises(ZeroDivisionError), subject.moved({"w": np.zeros(2), "count": np.array(9)}):
        raise ZeroDivisionError
    assert subject.adapter.arrays()["w"].tobytes() == ARRAYS["w"].tobytes()
    assert subject.adapter.arrays()["count"] == 3


def test_also_if_only_some_could_be_written() -> None:
    subject = layer().subject
    wrong_shape = np.zeros(3)
    with (
        pytest.raises(ValueError, match="reshape"),
        subject.moved({"count": np.array(9), "w": wrong_shape}),
    ):
        pytest.fail("it is not entered")
    assert subject.adapter.arrays()["count"] == 3


def test_moves_may_stand_in_each_other() -> None:
    subject = layer().subject
    with subject.moved({"w": np.array([5.0, 7.0])}):
        with subject.as_found("w"):
            assert subject.learned["w"].tolist() == [1, 2]
        assert subject.learned["w"].tolist() == [5, 7]


def test_values_are_rounded_to_what_the_layer_holds() -> None:
    subject = layer().subject
    with subject.moved({"w": np.array([0.1, 0.2])}):
        assert subject.learned["w"].tolist() == np.array([0.1, 0.2], np.float32).tolist()


def counts(x: np.ndarray, arrays: dict[str, np.ndarray], training: bool) -> np.ndarray:
    if training:
        arrays["count"] = arrays["count"] + 1
    return x


def test_what_a_call_changes_is_put_back_and_remembered_by_name() -> None:
    subject = asked(counts, (4, 2), ARRAYS, "w").subject
    _, after = subject.step(np.ones((4, 2)), training=True)
    subject(np.ones((4, 2)), training=False)
    assert after["count"] == 4
    assert subject.adapter.arrays()["count"] == 3
    assert subject.restless == {True: {"count"}, False: set()}


def test_calls_are_limited_and_more_can_be_granted() -> None:
    mode = layer()
    x = np.ones((4, 2))
    for _ in range(MAX_CALLS):
        mode(x)
    with pytest.raises(TooManyCallsError, match=f"no answer within {MAX_CALLS} calls"):
        mode(x)
    with mode.subject.granted(2):
        assert mode.subject.calls_left == 2
        mode(x)
    assert mode.subject.calls_left == 0
    with pytest.raises(TooManyCallsError):
        mode(x)

"""Models of Keras, on each backend in a process of its own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from keras_process import run_on_backend

pytestmark = pytest.mark.framework


@pytest.fixture(scope="module", params=["jax", "torch", "tensorflow"])
def found(request: pytest.FixtureRequest) -> dict[str, Any]:
    script = Path(__file__).with_name("keras_models.py")
    found: dict[str, Any] = run_on_backend(script, request.param)["found"]
    return found


def test_batch_normalization_couples_samples_in_training(found: dict[str, Any]) -> None:
    batch = found["batch"]
    assert batch["independent"] == {"training": False, "inference": True}
    assert batch["first"]["training"] == "inner/bn (BatchNormalization)"
    assert batch["stochastic"] == {"training": True, "inference": False}
    assert batch["axes"]["inference"]["input"]["output.logits"]["b"] == "independent"
    assert batch["axes"]["training"]["input"]["output.embedding"]["b"] == "shared"


def test_group_normalization_does_not(found: dict[str, Any]) -> None:
    assert found["group"]["independent"] == {"training": True, "inference": True}
    assert found["group"]["first"] == {"training": "None", "inference": "None"}


def test_an_operation_of_a_functional_model(found: dict[str, Any]) -> None:
    two = found["two inputs"]
    assert two["independent"] == {"training": False, "inference": False}
    assert two["axes"]["inference"]["input[0]"]["output"]["b"] == "independent"
    assert two["axes"]["inference"]["input[1]"]["output"]["b"] == "shared"
    assert two["first"]["inference"].partition(" ")[2] in ("(Mean)", "(Subtract)")


def test_a_bug_in_the_code_of_a_subclassed_model(found: dict[str, Any]) -> None:
    wrong, right = found["subclassed"], found["subclassed, right"]
    assert wrong["independent"] == {"training": False, "inference": False}
    assert wrong["first"]["inference"].startswith("the code of Subclassed, the model itself, bef")
    assert "two (Dense)" in wrong["first"]["inference"]
    assert right["independent"] == {"training": True, "inference": True}


def test_integer_tokens(found: dict[str, Any]) -> None:
    axes = found["tokens"]["axes"]["inference"]["input"]["output"]
    assert axes == {"b": "independent", "d1": "causal"}
    # the outputs come in the order in which they were computed
    backwards = found["tokens backwards"]["axes"]["inference"]["input"]["output"]
    assert backwards == {"b": "independent", "d1": "mixed"}


def test_a_function_that_holds_a_model(found: dict[str, Any]) -> None:
    function = found["function"]
    assert function["independent"] == {"training": False, "inference": True}
    assert function["stochastic"]["training"] is True


def test_nothing_is_touched(found: dict[str, Any]) -> None:
    for name, result in found.items():
        assert result["untouched"], name

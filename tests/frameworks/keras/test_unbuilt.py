"""Layers of Keras that are not built, and backward passes, on each backend in its own process."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from keras_process import run_on_backend

pytestmark = pytest.mark.framework


@pytest.fixture(scope="module", params=["jax", "torch", "tensorflow"])
def output(request: pytest.FixtureRequest) -> dict[str, Any]:
    return run_on_backend(Path(__file__).with_name("unbuilt_layers.py"), request.param)


COPIED = ("plain", "weighted", "nested", "subclassed", "sequential")
IN_PLACE = ("of a function", "changed", "sharing")


def test_a_layer_that_is_not_built_is_identified(output: dict[str, Any]) -> None:
    for name in (*COPIED, *IN_PLACE):
        result = output["found"][name]["identify"]
        assert result["kind"] == "normalization", (name, result["text"])
        assert result["train"]["pattern"] == ("[b] c" if name == "nested" else "b [c]"), name
        eps = 0.5 if name == "changed" else 1e-3
        assert result["train"].get("eps", 1e-5) == eps, name
        scoped = output["found"][name]["scope"]
        expected = {"train": name != "nested", "infer": True}
        assert scoped["sample_independent"] == expected, (name, scoped["text"])


def test_a_copy_is_built_where_one_can_be_made(output: dict[str, Any]) -> None:
    for name in COPIED:
        for result in output["found"][name].values():
            assert not result["built"], name
            assert result["attributes"], name
            assert result["random"], name
            assert "in place" not in result["text"]


def test_else_the_layer_is_built_in_place_and_that_is_said(output: dict[str, Any]) -> None:
    for name in IN_PLACE:
        for result in output["found"][name].values():
            assert result["built"], name
            assert (
                "was not built and could not be copied, so it was built in place" in result["text"]
            )


def test_a_layer_that_cannot_be_built_is_a_result(output: dict[str, Any]) -> None:
    for result in output["found"]["refusing"].values():
        assert "ValueError: no such shape" in result["text"]
        assert result["sample_independent"] == {"train": None, "infer": None}
        assert not result["built"]
        assert result["attributes"]


def test_backward_after_an_examination(output: dict[str, Any]) -> None:
    assert not any(output["backward"].values()), output["backward"]
    assert bool(output["backward"]) == (output["backend"] == "torch")

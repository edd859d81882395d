"""Arguments that do not fit: which there are, and how the missing one is given."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

import normscope as ns
from normscope import SpecError

X = np.random.default_rng(0).normal(size=(3, 4)).astype(np.float32)


class Masked(torch.nn.Module):
    def forward(self, x, mask):  # type: ignore[no-untyped-def]
        return (x - x.mean(-1, keepdim=True)) * mask


def masked(x, mask):  # type: ignore[no-untyped-def]
    return x * mask


def _layers() -> dict[str, Any]:
    import keras
    from flax import nnx

    class KerasMasked(keras.layers.Layer):
        def call(self, x, weights):  # type: ignore[no-untyped-def]
            return x * weights

    class NnxMasked(nnx.Module):
        def __call__(self, x, mask):  # type: ignore[no-untyped-def]
            return x * mask

    built = KerasMasked()
    built.build((3, 4))
    return {"torch": Masked(), "function": masked, "keras": built, "nnx": NnxMasked()}


@pytest.mark.parametrize("name", ["torch", "function", "keras", "nnx"])
def test_a_missing_input_is_named_with_the_ways_to_give_it(name: str) -> None:
    layer = _layers()[name]
    missing = "weights" if name == "keras" else "mask"
    with pytest.raises(SpecError) as error:
        ns.identify(layer, (3, 4))
    assert f"it takes x and {missing}, and {missing} is missing" in str(error.value)
    assert f"others=({missing},)" in str(error.value)
    assert f"--input {missing}=" in str(error.value)
    with pytest.raises(SpecError) as error:
        ns.scope(layer, X)
    assert f'{{"x": ..., "{missing}": ...}}' in str(error.value)
    assert f"--input x=4,8 --input {missing}=4,8" in str(error.value)


@pytest.mark.parametrize(
    "ask",
    [
        lambda layer: ns.identify(layer, (3, 4), inputs={"msk": X}),
        lambda layer: ns.scope(layer, {"x": X, "msk": X}),
    ],
)
@pytest.mark.parametrize("layer", [Masked(), masked])
def test_a_wrong_name_lists_the_arguments(layer: Any, ask: Callable[[Any], Any]) -> None:
    with pytest.raises(SpecError, match="it has no argument msk; it takes x and mask"):
        ask(layer)


def test_further_inputs_may_be_arrays_of_numpy() -> None:
    mask = np.ones((3, 4), np.float32)
    for given in ({"others": (mask,)}, {"inputs": {"mask": mask}}):
        found = ns.identify(Masked(), (3, 4), **given)  # type: ignore[arg-type]
        assert found.sample_independent["train"]


def test_a_wrapper_that_gives_the_argument_itself_is_not_refused() -> None:
    """The signature that `wraps` shows is not what is called."""

    @functools.wraps(masked)
    def wrapper(x):  # type: ignore[no-untyped-def]
        return masked(x, 2.0)

    assert ns.identify(wrapper, (3, 4)).kind == "pointwise"
    assert ns.scope(wrapper, X).samples_independent["inference"]


def test_a_dict_as_one_argument_is_not_refused() -> None:
    def model(batch):  # type: ignore[no-untyped-def]
        return batch["x"] * batch["mask"]

    assert ns.scope(model, {"x": X, "mask": X}).samples_independent["inference"]


def test_one_array_in_place_of_a_tuple_of_inputs() -> None:
    for others in (X, torch.from_numpy(X)):
        with pytest.raises(SpecError, match=r"write others=\(x,\)"):
            ns.identify(masked, X.shape, others=others)


def test_what_a_model_raised_ends_with_one_period() -> None:
    def failing(x):  # type: ignore[no-untyped-def]
        raise ValueError("no such input.")

    assert "no such input.\n" in str(ns.scope(failing, X))

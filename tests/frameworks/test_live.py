"""What holds for the `Live` of every framework: called, written to, put back."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from normscope.frameworks.arrays import to_numpy
from normscope.frameworks.live import Arguments, Live
from normscope.frameworks.registry import live_of
from normscope.frameworks.trees import first_array

SHAPE = (4, 6)
X = np.random.default_rng(0).normal(size=SHAPE).astype(np.float32)


def torch_layer() -> Any:
    import torch

    return torch.nn.BatchNorm1d(6)


def lazy_layer() -> Any:
    import torch

    return torch.nn.LazyBatchNorm1d()


def keras_layer() -> Any:
    import keras

    return keras.layers.BatchNormalization()


def nnx_module() -> Any:
    from flax import nnx

    return nnx.BatchNorm(6, rngs=nnx.Rngs(0))


def linen_module() -> Any:
    from flax import linen

    return linen.BatchNorm()


def haiku_function() -> Any:
    import haiku as hk

    def batch_norm(x: Any, is_training: bool) -> Any:
        return hk.BatchNorm(True, True, 0.9)(x, is_training)

    return hk.transform_with_state(batch_norm)


def equinox_module() -> Any:
    import equinox as eqx

    return eqx.nn.make_with_state(eqx.nn.BatchNorm)(6, "batch", mode="batch")


def onnx_node() -> Any:
    from onnx import helper

    inputs, outputs = ["x", "scale", "bias", "mean", "var"], ["y", "new_mean", "new_var"]
    return helper.make_node("BatchNormalization", inputs, outputs, training_mode=1)


LAYERS = {
    "torch": torch_layer,
    "torch, lazy": lazy_layer,
    "keras": keras_layer,
    "nnx": nnx_module,
    "linen": linen_module,
    "haiku": haiku_function,
    "equinox": equinox_module,
    "onnx": onnx_node,
}


def arguments(live: Live) -> Arguments:
    return (live.tensor(X),), {}


def output(live: Live, training: bool) -> np.ndarray[Any, Any]:
    positional, named = arguments(live)
    return to_numpy(first_array(live.call(positional, named, training)))


@pytest.mark.framework
@pytest.mark.parametrize("name", LAYERS)
def test_a_training_call_is_undone(name: str) -> None:
    """Each is a batch normalization, so a call in training changes its running statistics."""
    live = live_of(LAYERS[name](), arguments, "")
    assert live.problem is None
    training = live.modes[0]
    assert training
    with live.kept():
        found = live.arrays()
        assert live.learned < set(found)
        first = output(live, training)
        changed = {n for n, value in live.arrays().items() if not np.array_equal(value, found[n])}
        assert changed
        assert not changed & live.learned
        live.put_back()
        assert all(np.array_equal(value, found[n]) for n, value in live.arrays().items())
        np.testing.assert_array_equal(output(live, training), first)


@pytest.mark.framework
@pytest.mark.parametrize("name", LAYERS)
def test_what_is_written_is_used_and_put_back(name: str) -> None:
    live = live_of(LAYERS[name](), arguments, "")
    with live.kept():
        found = live.arrays()
        first = output(live, live.modes[0])
        live.put_back()
        assert live.learned
        for name in live.learned:  # scale and bias
            live.write(name, 2 * found[name])
        np.testing.assert_allclose(output(live, live.modes[0]), 2 * first, atol=1e-5)
        live.put_back_attributes()  # of what calls have changed besides the arrays
        for name in live.learned:
            np.testing.assert_array_equal(live.arrays()[name], 2 * found[name])
        live.put_back()
        np.testing.assert_array_equal(output(live, live.modes[0]), first)


@pytest.mark.parametrize(
    ("layer", "said"),
    [(3, "no int here"), ([1, 2], "no list here")],
)
def test_what_cannot_be_called_is_refused_in_the_words_of_the_verb(layer: Any, said: str) -> None:
    from normscope import SpecError

    with pytest.raises(SpecError, match=said):
        live_of(layer, arguments, "no {kind} here")


@pytest.mark.framework
@pytest.mark.parametrize("name", ["torch, lazy", "keras", "linen", "haiku"])
def test_what_a_first_call_raised_is_raised_by_each(name: str) -> None:
    live = live_of(LAYERS[name](), lambda live: (("no array",), {}), "")
    assert live.problem is not None
    for training in (True, False):
        with pytest.raises(type(live.problem)) as raised:
            live.call((live.tensor(X),), {}, training)
        assert raised.value is live.problem

"""How a layer stood when the model was given, whatever the audit did with it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import normscope as ns
from normscope.frameworks.condition import Condition

X = np.random.default_rng(0).normal(size=(4, 6)).astype("float32")

pytestmark = pytest.mark.framework


def conditions(model: Any, inputs: Any = X) -> list[Condition]:
    return [site.condition for site in ns.audit(model, inputs).layers]


@pytest.mark.parametrize("training", [True, False])
def test_torch_tells_mode_counter_and_what_is_learned(training: bool) -> None:
    import torch
    from torch import nn

    model = nn.Sequential(nn.Linear(6, 6), nn.BatchNorm1d(6, momentum=0.25), nn.BatchNorm1d(6))
    model(torch.from_numpy(X))
    model[1].requires_grad_(False)
    model.train(training)
    first, second = conditions(model)
    assert model.training is model[1].training is training
    assert first == Condition(
        training=training, trainable=False, learning=True, updates=1, decay=0.75
    )
    assert second == Condition(
        training=training, trainable=True, learning=True, updates=1, decay=0.9
    )


def test_torch_asks_the_layer_around_where_one_has_no_parameters() -> None:
    from torch import nn

    frozen = nn.Sequential(nn.Linear(6, 6), nn.BatchNorm1d(6, affine=False)).requires_grad_(False)
    model = nn.Sequential(frozen, nn.Linear(6, 6), nn.BatchNorm1d(6, affine=False))
    assert [one.trainable for one in conditions(model)] == [False, True]


def test_torch_reads_the_momentum_of_a_functional_call() -> None:
    import torch
    from torch import nn

    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.register_buffer("mean", torch.zeros(6))
            self.register_buffer("var", torch.ones(6))

        def forward(self, x: Any) -> Any:
            held: dict[str, Any] = dict(self.named_buffers())
            kept = torch.nn.functional.batch_norm(
                x, held["mean"], held["var"], training=self.training, momentum=0.25
            )
            return torch.nn.functional.batch_norm(kept, None, None, training=True)

    kept, alone = conditions(Net())
    assert kept.decay == 0.75
    assert alone.decay is None


def test_torch_tells_what_is_never_read() -> None:
    from torch import nn

    norm = nn.InstanceNorm1d(6, track_running_stats=True)
    norm.track_running_stats = False
    (found,) = conditions(nn.Sequential(nn.Conv1d(6, 6, 1), norm), np.stack([X] * 5, -1))
    assert found.unused == ("running_mean", "running_var")


def test_a_step_is_counted_and_leaves_nothing_behind() -> None:
    import torch
    from torch import nn
    from torch.utils.checkpoint import checkpoint

    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.block = nn.Sequential(nn.Linear(6, 6), nn.BatchNorm1d(6))

        def forward(self, x: Any) -> Any:
            return checkpoint(self.block, x, use_reentrant=False)

    model = Net().eval()
    before = {name: array.clone() for name, array in model.state_dict().items()}
    (found,) = conditions(model)
    assert (found.updates, found.updates_per_step, found.inputs_per_step) == (0, 2, 1)
    assert all(torch.equal(array, before[name]) for name, array in model.state_dict().items())
    assert all(parameter.grad is None for parameter in model.parameters())
    assert not any(part.training or part._forward_pre_hooks for part in model.modules())


def test_keras_tells_what_is_learned_and_what_a_call_was_told() -> None:
    import keras

    class Own(keras.layers.BatchNormalization):
        def call(self, inputs: Any, training: Any = None, mask: Any = None) -> Any:
            return super().call(inputs, training=training, mask=mask)

    inputs = keras.Input((6,))
    frozen = keras.layers.BatchNormalization(momentum=0.75, trainable=False)
    (first,) = conditions(keras.Model(inputs, frozen(inputs, training=True)))
    (second,) = conditions(keras.Model(inputs, Own()(inputs)))
    plain = keras.layers.BatchNormalization(center=False, scale=False)
    (third,) = conditions(keras.Model(inputs, plain(inputs)))
    assert (first.trainable, first.decay, first.told) == (False, 0.75, True)
    assert (second.trainable, second.overrides) == (True, "BatchNormalization")
    assert second.told is not True
    assert (third.trainable, third.overrides) == (None, "")
    assert {one.training for one in (first, second, third)} == {None}


def test_keras_counts_the_steps_of_the_optimizer() -> None:
    import keras

    model = keras.Sequential([keras.Input((6,)), keras.layers.BatchNormalization()])
    assert conditions(model)[0].updates is None
    model.compile("sgd", "mse")
    model.fit(X, X, batch_size=2, verbose=0)
    assert conditions(model)[0].updates == 2


@pytest.mark.parametrize("training", [True, False])
def test_nnx_tells_the_mode_that_it_was_given_in(training: bool) -> None:
    from flax import nnx

    norm = nnx.BatchNorm(6, momentum=0.75, rngs=nnx.Rngs(0))
    model = nnx.Sequential(norm)
    model.train() if training else model.eval()
    assert conditions(model) == [Condition(training=training, decay=0.75)]
    assert norm.use_running_average is not training


def test_linen_tells_what_an_update_keeps() -> None:
    import jax
    from flax import linen

    class Net(linen.Module):
        @linen.compact
        def __call__(self, x: Any, train: bool = False) -> Any:
            return linen.BatchNorm(use_running_average=not train, momentum=0.75)(x)

    variables = Net().init(jax.random.key(0), X)
    assert conditions((Net(), variables)) == [Condition(decay=0.75)]


def test_onnx_says_what_an_update_would_keep() -> None:
    from onnx import TensorProto, helper

    norm = helper.make_node("BatchNormalization", ["x", *"sbmv"], ["y"], name="bn", momentum=0.75)
    held = [helper.make_tensor(n, TensorProto.FLOAT, [6], [1.0] * 6) for n in "sbmv"]
    ends = [helper.make_tensor_value_info(n, TensorProto.FLOAT, [4, 6]) for n in "xy"]
    graph = helper.make_graph([norm], "net", ends[:1], ends[1:], held)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    assert conditions(model) == [Condition(decay=0.75)]

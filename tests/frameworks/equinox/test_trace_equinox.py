"""The operator graphs of modules of Equinox."""

from __future__ import annotations

from typing import Any

import equinox as eqx
import jax
import numpy as np
import pytest

from frameworks.traces import assert_computes, layers, live, parameters, sites, traced
from normscope.graph.operators import Graph
from normscope.graph.proof import Verdict, samples_apart

BATCH = np.random.default_rng(0).normal(size=(4, 8)).astype(np.float32)
KEY = jax.random.key(0)


class Compiled(eqx.Module):
    linear: eqx.nn.Linear
    norm: eqx.nn.LayerNorm

    def __init__(self) -> None:
        self.linear, self.norm = eqx.nn.Linear(8, 8, key=KEY), eqx.nn.LayerNorm(8)

    @eqx.filter_jit
    def __call__(self, x: Any) -> Any:
        return self.norm(self.linear(x))


class Model(eqx.Module):
    mlp: eqx.nn.MLP
    blocks: list[Compiled]
    stacked: eqx.nn.Linear
    dropout: eqx.nn.Dropout

    def __init__(self) -> None:
        self.mlp = eqx.nn.MLP(8, 8, 8, 2, key=KEY)
        self.blocks = [Compiled(), Compiled()]
        self.dropout = eqx.nn.Dropout(0.1)
        keys = jax.random.split(KEY, 3)
        self.stacked = eqx.filter_vmap(lambda key: eqx.nn.Linear(8, 8, key=key))(keys)

    def __call__(self, x: Any, *, key: Any = None) -> Any:
        x = self.dropout(self.mlp(x), key=key)
        for block in self.blocks:
            x = block(x)
        arrays, rest = eqx.partition(self.stacked, eqx.is_array)
        return jax.lax.scan(lambda x, own: (eqx.combine(own, rest)(x), None), x, arrays)[0]


def batched(model: Any, x: Any, training: bool = False) -> Graph:
    asked = live(model, x)
    with asked.kept():
        asked.take_batch(*asked.inputs(x).arguments(asked.leaf))
    return traced(asked, x, training)


@pytest.mark.parametrize("training", [True, False])
def test_a_model(training: bool) -> None:
    model = Model()
    graph = batched(model, BATCH, training)
    assert samples_apart(graph, [0]).verdict is Verdict.APART
    assert layers(graph) == {
        "mlp": "MLP",
        **{f"mlp.layers[{n}]": "Linear" for n in range(3)},
        "dropout": "Dropout",
        # jit traces what both blocks call only once
        **{f"blocks[{n}]": "Compiled" for n in range(2)},
        **{f"blocks[{n}].linear": "Linear" for n in range(2)},
        **{f"blocks[{n}].norm": "LayerNorm" for n in range(2)},
        # it is built anew in each round
        "stacked": "Linear",
    }
    assert sites(graph) == {"blocks[0].norm": "COMPOSED", "blocks[1].norm": "COMPOSED"}
    (layer,) = (call.layer for call in graph.calls if call.path == "mlp.layers[0]")
    assert layer.weight.sum() == model.mlp.layers[0].weight.sum()  # numbers, and no tracers
    assert {"mlp.layers[0].weight", "blocks[1].norm.bias"} <= parameters(graph)


class Stateful(eqx.Module):
    linear: eqx.nn.Linear
    norm: eqx.nn.BatchNorm

    def __init__(self, mode: Any) -> None:
        self.linear = eqx.nn.Linear(8, 8, key=KEY)
        self.norm = eqx.nn.BatchNorm(8, "batch", mode=mode)

    def __call__(self, x: Any, state: Any) -> Any:
        return self.norm(self.linear(x), state)


@pytest.mark.parametrize("mode", ["batch", "ema"])
def test_batch_normalization(mode: str) -> None:
    model = eqx.nn.make_with_state(Stateful)(mode)
    training = assert_computes(model, BATCH, True)
    inference = assert_computes(model, BATCH, False)
    assert sites(training) == {"norm": "COMPOSED"}
    assert sites(inference) == {"norm": "STORED"}
    assert samples_apart(training, [0]).verdict is Verdict.MEET
    assert samples_apart(inference, [0]).verdict is Verdict.APART
    assert len(training.outputs) == 1  # the new state is none


@pytest.mark.parametrize(
    ("norm", "shape"),
    [
        (eqx.nn.RMSNorm(8), (4, 8)),
        (eqx.nn.LayerNorm((8, 3, 3)), (4, 8, 3, 3)),
        (eqx.nn.GroupNorm(2, 8), (4, 8, 3, 3)),
    ],
)
def test_norms(norm: eqx.Module, shape: tuple[int, ...]) -> None:
    x = np.random.default_rng(0).normal(size=shape).astype(np.float32)
    double, relu = eqx.nn.Lambda(lambda x: x * 2), eqx.nn.Lambda(jax.nn.relu)
    graph = batched(eqx.nn.Sequential([double, norm, relu]), x)
    assert sites(graph) == {"layers[1]": "COMPOSED"}

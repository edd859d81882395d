"""The operator graphs of modules of Flax NNX."""

from __future__ import annotations

from typing import Any

import jax
import numpy as np
from flax import nnx

from frameworks.traces import assert_computes, graph_of, layers, parameters, sites
from normscope.graph.proof import Verdict, causal, samples_apart

SEQUENCE = np.random.default_rng(0).normal(size=(3, 5, 8)).astype(np.float32)


class Block(nnx.Module):
    def __init__(self, rngs: nnx.Rngs) -> None:
        self.norm = nnx.LayerNorm(8, rngs=rngs)
        self.linear = nnx.Linear(8, 8, rngs=rngs)

    def __call__(self, x: Any) -> Any:
        return x + self.linear(self.norm(x))


class Model(nnx.Module):
    def __init__(self) -> None:
        rngs = nnx.Rngs(0)
        norms = [nnx.BatchNorm(8, rngs=rngs), nnx.RMSNorm(8, rngs=rngs)]
        self.layers = nnx.List([nnx.Linear(8, 8, rngs=rngs), *norms])
        self.attention = nnx.MultiHeadAttention(2, 8, decode=False, dropout_rate=0.1, rngs=rngs)
        self.dropout = nnx.Dropout(0.5, rngs=rngs)
        self.checkpointed = Block(rngs)

        @nnx.vmap(in_axes=0, out_axes=0)
        def stack(key: Any) -> Block:
            return Block(nnx.Rngs(key))

        self.stacked = stack(jax.random.split(jax.random.key(0), 3))

    def __call__(self, x: Any) -> Any:
        for layer in self.layers:
            x = layer(x)
        x = self.attention(x, mask=nnx.make_causal_mask(x[..., 0]))
        x = nnx.remat(lambda block, x: block(x))(self.checkpointed, self.dropout(x))

        @nnx.scan(in_axes=(0, nnx.Carry), out_axes=nnx.Carry)
        def through(block: Block, x: Any) -> Any:
            return block(x)

        return through(self.stacked, x)


def test_a_model_in_both_modes() -> None:
    model = Model()
    training = graph_of(model, SEQUENCE, training=True)
    inference = assert_computes(model, SEQUENCE, False)
    norms = dict.fromkeys(("layers.1", "layers.2", "checkpointed.norm", "stacked.norm"), "COMPOSED")
    assert sites(training) == norms
    assert sites(inference) == {**norms, "layers.1": "STORED"}
    proof = samples_apart(training, [0])
    assert proof.verdict is Verdict.MEET
    assert proof.node is not None
    assert proof.node.path == "layers.1"
    assert samples_apart(inference, [0]).verdict is Verdict.APART
    assert causal(inference, [1]).verdict is Verdict.APART
    for graph in (training, inference):
        assert not graph.unknown_operators
        assert {"attention.query": "LinearGeneral", "stacked": "Block"}.items() <= {
            **layers(graph)
        }.items()
        assert {"layers.0.kernel", "layers.1.scale"} <= parameters(graph)
    call = next(call for call in inference.calls if call.path == "layers.1")
    assert isinstance(call.layer, nnx.BatchNorm)


def test_a_recurrence() -> None:
    model = nnx.RNN(nnx.LSTMCell(8, 4, rngs=nnx.Rngs(0)))
    graph = assert_computes(model, SEQUENCE, False)
    assert samples_apart(graph, [0]).verdict is Verdict.APART
    assert causal(graph, [1]).verdict is Verdict.APART

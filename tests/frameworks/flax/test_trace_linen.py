"""The operator graphs of modules of Flax Linen."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn

from frameworks.traces import assert_computes, graph_of, layers, parameters, sites
from normscope.graph.operators import Graph
from normscope.graph.proof import Verdict, causal, samples_apart
from normscope.graph.rules import Branch, Repeat

DRAWN = np.random.default_rng(0)
SEQUENCE = DRAWN.normal(size=(3, 5, 8)).astype(np.float32)
IMAGE = DRAWN.normal(size=(3, 8, 8, 4)).astype(np.float32)


def bound(module: nn.Module, x: Any) -> tuple[nn.Module, Any]:
    """A module with variables that are shaped as its own, and quick to make."""
    shapes = jax.eval_shape(lambda: module.init(jax.random.key(0), x))
    numbers = np.random.default_rng(1)
    return module, jax.tree.map(
        lambda leaf: jnp.asarray(0.5 + 0.1 * numbers.random(leaf.shape), leaf.dtype), shapes
    )


class Convolutions(nn.Module):
    @nn.compact
    def __call__(self, x: Any, train: bool = False) -> Any:
        x = nn.Conv(4, (3, 3), strides=2)(x)
        x = nn.relu(nn.BatchNorm(use_running_average=not train)(x))
        x = nn.ConvTranspose(4, (3, 3), strides=(2, 2))(x)
        x = nn.max_pool(nn.GroupNorm(2)(x), (2, 2), (2, 2))
        x = nn.Conv(4, (3, 3), feature_group_count=4, name="depthwise")(x)
        return nn.Dense(3)(nn.avg_pool(x, (2, 2), (2, 2)).mean((1, 2)))


def test_convolutions_in_both_modes() -> None:
    model = bound(Convolutions(), IMAGE)
    words = {True: Verdict.MEET, False: Verdict.APART}
    forms = {True: "COMPOSED", False: "STORED"}
    for training, word in words.items():
        graph = assert_computes(model, IMAGE, training)
        assert not graph.unknown_operators
        assert sites(graph) == {"BatchNorm_0": forms[training], "GroupNorm_0": "COMPOSED"}
        proof = samples_apart(graph, [0])
        assert proof.verdict is word
        if training:
            assert proof.node is not None
            assert (proof.node.path, proof.node.operator) == ("BatchNorm_0", "reduce_sum")
            assert proof.node.source.startswith("test_trace_linen.py:")
    assert layers(graph) == {
        "Conv_0": "Conv",
        "BatchNorm_0": "BatchNorm",
        "ConvTranspose_0": "ConvTranspose",
        "GroupNorm_0": "GroupNorm",
        "depthwise": "Conv",
        "Dense_0": "Dense",
    }
    assert {"params/depthwise/kernel", "batch_stats/BatchNorm_0/mean"} <= parameters(graph)
    (norm,) = (call.layer for call in graph.calls if call.path == "BatchNorm_0")
    assert norm.use_running_average is None  # so it can be asked in both modes
    first = next(node for node in graph.nodes if node.path == "Conv_0")
    assert (first.operator, first.channel_axis) == ("conv_general_dilated", 3)


class Block(nn.Module):
    @nn.compact
    def __call__(self, x: Any, train: bool = False) -> Any:
        y = nn.LayerNorm()(x)
        mask = nn.make_causal_mask(x[..., 0])
        x = x + nn.MultiHeadDotProductAttention(2)(y, mask=mask)
        y = nn.gelu(nn.Dense(16)(nn.RMSNorm()(x)))
        return x + nn.Dense(8)(nn.Dropout(0.5, deterministic=not train)(y))


class Transformer(nn.Module):
    @nn.compact
    def __call__(self, tokens: Any, train: bool = False) -> Any:
        x = nn.Embed(11, 8)(tokens)
        for _ in range(2):
            x = Block()(x, train)
        return nn.Dense(11)(nn.remat(Block)()(x))


def test_a_transformer_is_causal() -> None:
    tokens = DRAWN.integers(0, 11, (3, 5))
    model = bound(Transformer(), tokens)
    graphs = graph_of(model, tokens, training=True), assert_computes(model, tokens, False)
    for graph in graphs:
        assert samples_apart(graph, [0]).verdict is Verdict.APART
        assert causal(graph, [1]).verdict is Verdict.APART
        assert layers(graph)["Block_1.MultiHeadDotProductAttention_0.query"] == "DenseGeneral"
        assert layers(graph)["CheckpointBlock_0"] == "Block"
        assert sites(graph) == {
            f"{block}.{norm}": "COMPOSED"
            for block in ("Block_0", "Block_1", "CheckpointBlock_0")
            for norm in ("LayerNorm_0", "RMSNorm_0")
        }
    embedding = next(node for node in graphs[0].nodes if node.operator == "gather")
    assert (embedding.path, embedding.channel_axis) == ("Embed_0", 2)


@pytest.mark.parametrize(
    ("norm", "form"),
    [
        (nn.LayerNorm(use_fast_variance=False), "COMPOSED"),
        (nn.LayerNorm(reduction_axes=(1, 2, 3)), "COMPOSED"),
        (nn.InstanceNorm(), "COMPOSED"),
        (nn.GroupNorm(num_groups=None, group_size=1), "COMPOSED"),
        (nn.RMSNorm(use_scale=False), "COMPOSED"),
        (nn.WeightNorm(nn.Dense(4)), ""),
    ],
)
def test_norms(norm: nn.Module, form: str) -> None:
    graph = graph_of(bound(nn.Sequential([nn.Dense(4), norm, nn.relu]), IMAGE), IMAGE)
    assert list(sites(graph).values()) == ([form] if form else [])


class Layers(nn.Module):
    @nn.compact
    def __call__(self, x: Any, train: bool = False) -> Any:
        stacked = nn.scan(Step, variable_axes={"params": 0}, split_rngs={"params": True}, length=3)
        return nn.RNN(nn.GRUCell(8))(stacked(8, name="stacked")(x, None)[0])


class Step(nn.Module):
    features: int

    @nn.compact
    def __call__(self, x: Any, _: Any) -> tuple[Any, None]:
        return nn.Dense(self.features)(nn.LayerNorm()(x)), None


def test_scanned_layers_and_a_recurrence() -> None:
    model = bound(Layers(), SEQUENCE)
    graph = assert_computes(model, SEQUENCE, False)
    assert samples_apart(graph, [0]).verdict is Verdict.APART
    assert causal(graph, [1]).verdict is Verdict.APART
    assert {"stacked.LayerNorm_0", "stacked.Dense_0"} <= set(layers(graph))
    assert sites(graph) == {"stacked.LayerNorm_0": "COMPOSED"}
    first, second = (node for node in graph.nodes if isinstance(node.rule, Repeat))
    assert isinstance(first.rule, Repeat)
    assert isinstance(second.rule, Repeat)
    names = {value.name for value in first.rule.body.inputs if value.is_parameter}
    assert "params/stacked/LayerNorm_0/scale" in names
    assert second.path == "RNN_0"


class Branches(nn.Module):
    @nn.compact
    def __call__(self, x: Any) -> Any:
        norm = nn.LayerNorm(name="norm")
        return nn.cond(x.sum() > 0, lambda m, y: m(y), lambda m, y: 2 * m(y), norm, x)


def test_branches() -> None:
    graph = graph_of(bound(Branches(), SEQUENCE), SEQUENCE)
    (node,) = (node for node in graph.nodes if isinstance(node.rule, Branch))
    assert isinstance(node.rule, Branch)
    assert all("norm" in layers(body) for body in node.rule.bodies)
    assert samples_apart(graph, [0]).verdict is not Verdict.APART


def test_of_a_layer_that_is_called_twice_each_call_is_known() -> None:
    class Twice(nn.Module):
        @nn.compact
        def __call__(self, x: Any) -> Any:
            norm = nn.LayerNorm()
            return norm(norm(x))

    graph = graph_of(bound(Twice(), SEQUENCE), SEQUENCE)
    called = [call for call in graph.calls if call.path == "LayerNorm_0"]
    assert [call.number for call in called] == [1, 2]
    assert called[0].outputs == called[1].inputs
    assert called[0].layer.epsilon == 1e-6
    assert_all_in_order(graph)


def assert_all_in_order(graph: Graph) -> None:
    """Every operand is made before it is taken."""
    known = set(graph.inputs)
    for node in graph.nodes:
        assert all(value.node is None or value in known for value in node.operands)
        known.update(node.results)

"""The operator graphs of transformed functions of Haiku."""

from __future__ import annotations

from typing import Any

import haiku as hk
import jax
import numpy as np
import pytest

from frameworks.traces import assert_computes, graph_of, layers, parameters, sites
from normscope.graph.proof import Verdict, causal, samples_apart

SEQUENCE = np.random.default_rng(0).normal(size=(3, 5, 8)).astype(np.float32)
KEY = jax.random.PRNGKey(0)


def test_a_network_in_both_modes() -> None:
    def network(x: Any, is_training: bool) -> Any:
        x = hk.nets.MLP([8, 8])(x)
        x = hk.BatchNorm(True, True, 0.9)(x, is_training)
        return hk.LayerNorm(-1, True, True)(jax.nn.relu(x))

    transformed = hk.transform_with_state(network)
    model = (transformed, *transformed.init(KEY, SEQUENCE, True))
    training = assert_computes(model, SEQUENCE, True)
    inference = assert_computes(model, SEQUENCE, False)
    assert sites(training) == {"batch_norm": "COMPOSED", "layer_norm": "COMPOSED"}
    assert sites(inference) == {"batch_norm": "STORED", "layer_norm": "COMPOSED"}
    assert samples_apart(training, [0]).verdict is Verdict.MEET
    assert samples_apart(inference, [0]).verdict is Verdict.APART
    assert layers(inference)["mlp/~/linear_1"] == "Linear"
    names = {"mlp/~/linear_0/w", "batch_norm/scale", "batch_norm/~/mean_ema/average"}
    assert names <= parameters(inference)


def test_recurrence_and_attention() -> None:
    def network(x: Any) -> Any:
        mask = np.tril(np.ones((1, 1, 5, 5)))
        start = hk.initializers.VarianceScaling()
        x = hk.MultiHeadAttention(2, 4, w_init=start, model_size=8)(x, x, x, mask=mask)
        core = hk.GRU(8)
        return hk.dynamic_unroll(core, x, core.initial_state(3), time_major=False)[0]

    transformed = hk.transform(network)
    graph = assert_computes((transformed, transformed.init(KEY, SEQUENCE)), SEQUENCE, False)
    assert samples_apart(graph, [0]).verdict is Verdict.APART
    assert causal(graph, [1]).verdict is Verdict.APART


@pytest.mark.parametrize(
    ("make", "name"),
    [
        (lambda: hk.GroupNorm(2), "group_norm"),
        (lambda: hk.RMSNorm(-1), "rms_norm"),
        (lambda: hk.InstanceNorm(True, True), "instance_norm"),
    ],
)
def test_norms(make: Any, name: str) -> None:
    transformed = hk.transform(lambda x: jax.nn.relu(make()(hk.Linear(8)(x))))
    graph = graph_of((transformed, transformed.init(KEY, SEQUENCE)), SEQUENCE)
    assert sites(graph) == {name: "COMPOSED"}

"""The operator graphs of functions that compute in JAX."""

from __future__ import annotations

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen, nnx

from frameworks.traces import assert_computes, graph_of, layers, parameters, sites
from normscope.graph.operators import CannotTraceError
from normscope.graph.proof import Verdict, samples_apart

X = np.random.default_rng(0).normal(size=(4, 8)).astype(np.float32)


def test_layers_that_a_function_calls_are_known() -> None:
    module = linen.Sequential([linen.Dense(8), linen.LayerNorm()])
    variables = module.init(jax.random.key(0), X)
    net = nnx.Sequential(nnx.Linear(8, 8, rngs=nnx.Rngs(0)), nnx.RMSNorm(8, rngs=nnx.Rngs(0)))
    tree = eqx.nn.MLP(8, 8, 8, 1, key=jax.random.key(0))

    def model(x: Any) -> Any:
        return {"y": jax.vmap(eqx.nn.inference_mode(tree))(net(module.apply(variables, x))), "n": 1}

    for x in (X, jnp.asarray(X)):
        graph = assert_computes(model, x, False)
        assert graph.output_names == ["output.y", "output.n"]
        assert samples_apart(graph, [0]).verdict is Verdict.APART
        assert sites(graph) == {"layers_1": "COMPOSED", "net.layers.1": "COMPOSED"}
        assert layers(graph)["tree.layers[0]"] == "Linear"
        names = {"net.layers.0.kernel", "tree.layers[0].weight"}
        assert {*names, "variables.params.layers_0.kernel"} <= parameters(graph)


def test_a_mode_by_keyword() -> None:
    def model(x: Any, training: bool = False) -> Any:
        return x - (x.mean(0) if training else x.mean(1, keepdims=True))

    x = jnp.asarray(X)
    assert samples_apart(graph_of(model, x, True), [0]).verdict is Verdict.MEET
    assert samples_apart(graph_of(model, x, False), [0]).verdict is Verdict.APART


def sorted_in_place(x: Any) -> Any:
    y = x.copy()
    y.sort(0)
    return jnp.asarray(y)


def written_in_place(x: Any) -> Any:
    y = x
    y += 1
    return jnp.asarray(x)


def in_numpy(x: Any) -> Any:
    return x - x.mean(0)


@pytest.mark.parametrize(
    ("function", "said"),
    [
        (sorted_in_place, "something else for arrays of JAX"),
        (written_in_place, "computes in NumPy"),
        (in_numpy, "computes in NumPy"),
    ],
)
def test_what_is_done_to_arrays_of_numpy_cannot_be_seen(function: Any, said: str) -> None:
    with pytest.raises(CannotTraceError, match=said):
        graph_of(function, X)

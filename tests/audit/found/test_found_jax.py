"""What is found in models of JAX, where a mean is a sum divided by a number of the traced shape."""

from __future__ import annotations

from typing import Any

import haiku as hk
import jax
import jax.numpy as jnp
from flax import nnx

from normscope.audit.found.found import found_sites
from normscope.audit.found.site import FoundSite
from normscope.frameworks.registry import live_of
from normscope.identify import identify

SHAPE = (4, 6, 5, 16)


def _only(model: Any) -> FoundSite:
    x = jax.random.normal(jax.random.key(0), SHAPE)
    live = live_of(model, lambda _: ((x,), {}), "")
    given = live.inputs(x)
    with live.kept():
        graphs = {mode: live.trace(given, mode) for mode in (True, False)}
        (site,) = (site for site in found_sites(graphs) if not site.dismissed)
    return site


def test_a_layer_of_nnx_in_a_model_is_what_it_is_alone() -> None:
    norm = nnx.BatchNorm(16, momentum=0.8, rngs=nnx.Rngs(0))
    alone = identify(norm, SHAPE)
    site = _only(nnx.Sequential(nnx.Linear(16, 16, rngs=nnx.Rngs(1)), norm))
    assert (site.train, site.infer) == (alone.train, alone.infer)
    assert site.parameters["running_var"].endswith("var")
    assert site.neighbours.makers[0].channel_axis == 3
    assert site.neighbours.makers[0].adds_bias


def test_a_layer_of_haiku_is_asked_by_its_operators() -> None:
    def model(x: jax.Array, is_training: bool) -> jax.Array:
        return hk.BatchNorm(True, True, 0.9)(hk.Linear(16)(x), is_training)

    made = hk.transform_with_state(model)
    variables = made.init(jax.random.key(0), jnp.ones(SHAPE), True)
    site = _only((made, *variables))
    assert str(site.train) == '"[b d1 d2] d3", eps=1e-05, scale and bias along d3'
    assert site.infer is not None
    assert site.infer.pattern is None
    assert set(site.parameters) == {"scale", "bias", "running_mean", "running_var"}

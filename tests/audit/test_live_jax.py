"""Audits of JAX models: a module of Flax and a plain function."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

import normscope as ns

X = np.random.default_rng(0).normal(size=(4, 8, 5, 3)).astype("float32")


class Net(nnx.Module):
    """A convolution with channels last, and a batch norm that keeps one axis apart."""

    def __init__(self, axis: int, features: int, rngs: nnx.Rngs) -> None:
        self.conv = nnx.Conv(3, 6, (3, 3), rngs=rngs)
        self.bn = nnx.BatchNorm(features, axis=axis, rngs=rngs)

    def __call__(self, x: Any) -> Any:
        return jax.nn.relu(self.bn(self.conv(x)))


@pytest.mark.parametrize(("axis", "features", "fires"), [(-1, 6, False), (-2, 5, True)])
def test_a_norm_over_the_wrong_axis(axis: int, features: int, fires: bool) -> None:
    audit = ns.audit(Net(axis, features, nnx.Rngs(0)), X, select=["NS102"])
    (site,) = audit.layers
    assert (site.path, site.type) == ("bn", "BatchNorm")
    assert bool(audit.findings) is fires
    verdicts = {mode: samples.verdict for mode, samples in audit.samples.items()}
    assert verdicts["inference"] == "proved apart"
    assert verdicts["training"] == "mixed"


def test_a_function() -> None:
    def normalized(x: Any) -> Any:
        return x / jnp.linalg.norm(x, axis=-1, keepdims=True)

    audit = ns.audit(normalized, X)
    (site,) = audit.layers
    assert site.infer is not None
    assert site.infer.measure == "l2"
    assert {f.code for f in audit.findings} == {"NS201"}


def test_layers_in_a_scan_have_other_parameters_in_each_round() -> None:
    class Block(nnx.Module):
        def __init__(self, rngs: nnx.Rngs) -> None:
            self.norm = nnx.LayerNorm(6, rngs=rngs)
            self.dense = nnx.Linear(6, 6, rngs=rngs)

        def __call__(self, x: jax.Array) -> jax.Array:
            return x + self.dense(self.norm(x))

    class Net(nnx.Module):
        def __init__(self, rngs: nnx.Rngs) -> None:
            make = nnx.split_rngs(splits=3)(nnx.vmap(Block, in_axes=0, out_axes=0))
            self.blocks = make(rngs)

        def __call__(self, x: jax.Array) -> jax.Array:
            run = nnx.scan(lambda block, x: block(x), in_axes=(0, nnx.Carry), out_axes=nnx.Carry)
            return run(self.blocks, x)

    audit = ns.audit(Net(nnx.Rngs(0)), np.random.default_rng(0).normal(size=(4, 6)))
    (site,) = audit.layers
    assert str(site.train).startswith('"b [c]", eps=1e-06, scale and bias along c')
    assert audit.samples["inference"].verdict == "proved apart"

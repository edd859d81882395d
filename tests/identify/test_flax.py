"""The normalization layers of Flax, NNX and Linen."""

from __future__ import annotations

import flax.linen as nn
import jax
import jax.numpy as jnp
import pytest
from flax import nnx

from normscope import NormSpec, Running
from normscope.identify import Kind, identify
from normscope.identify.compare import differences

SHAPE, NAMES = (4, 5, 6, 8), "b h w c"
BOTH = {"scale": "c", "bias": "c"}
RMS = {"center": False, "measure": "mean_square"}
BATCH = NormSpec("[b h w] c", running=Running(0.99), **BOTH)
LAYER = NormSpec("b h w [c]", eps=1e-6, **BOTH)
GROUP = NormSpec("b [h w] (g [c])", sizes={"g": 4}, eps=1e-6, scale="g c", bias="g c")
INSTANCE = NormSpec("b [h w] c", eps=1e-6, **BOTH)
RMS_NORM = NormSpec("b h w [c]", eps=1e-6, scale="c", **RMS)

NNX = {
    "batch": (lambda r: nnx.BatchNorm(8, rngs=r), BATCH),
    "batch, axis 1": (
        lambda r: nnx.BatchNorm(5, axis=1, momentum=0.9, use_bias=False, rngs=r),
        NormSpec("[b] h [w c]", scale="h", running=Running(0.9)),
    ),
    "layer": (lambda r: nnx.LayerNorm(8, rngs=r), LAYER),
    "layer over space": (lambda r: nnx.LayerNorm(8, reduction_axes=(1, 2), rngs=r), INSTANCE),
    "rms": (lambda r: nnx.RMSNorm(8, rngs=r), RMS_NORM),
    "group": (lambda r: nnx.GroupNorm(8, 4, rngs=r), GROUP),
    "instance": (lambda r: nnx.InstanceNorm(8, rngs=r), INSTANCE),
}

LINEN = {
    "batch": (nn.BatchNorm(), BATCH),
    "layer": (nn.LayerNorm(), LAYER),
    "rms": (nn.RMSNorm(), RMS_NORM),
    "group": (nn.GroupNorm(4), GROUP),
    "instance": (nn.InstanceNorm(), INSTANCE),
}


@pytest.mark.parametrize("name", NNX)
def test_nnx(name: str) -> None:
    make, expected = NNX[name]
    module = make(nnx.Rngs(0))
    before = jax.tree.map(jnp.array, nnx.state(module))
    found = identify(module, SHAPE, NAMES)
    assert not list(differences(expected, found.train, SHAPE)), found
    assert found.infer == expected.inference()
    assert found.headline == ""
    assert jax.tree.all(jax.tree.map(jnp.array_equal, nnx.state(module), before))


@pytest.mark.parametrize("name", LINEN)
def test_linen(name: str) -> None:
    module, expected = LINEN[name]
    found = identify(module, SHAPE, NAMES)
    assert not list(differences(expected, found.train, SHAPE)), found
    assert found.infer == expected.inference()
    assert found.headline == ""


def test_linen_with_its_variables() -> None:
    module = nn.LayerNorm()
    variables = module.init(jax.random.key(0), jnp.zeros(SHAPE))
    for layer in ((module, variables), module.bind(variables)):
        assert identify(layer, SHAPE, NAMES).train == LAYER


def test_linen_with_a_fixed_mode() -> None:
    training = identify(nn.BatchNorm(use_running_average=False), SHAPE, NAMES)
    assert training.train == BATCH
    assert training.infer == NormSpec("[b h w] c", **BOTH)
    frozen = identify(nn.BatchNorm(use_running_average=True), SHAPE, NAMES)
    assert frozen.train == NormSpec(None, running=Running(1.0), **BOTH)


def test_decoys() -> None:
    rngs = nnx.Rngs(0)
    assert identify(nnx.Linear(8, 8, rngs=rngs), SHAPE).kind is Kind.MIXING
    dropout = identify(nnx.Dropout(0.5, rngs=rngs), SHAPE)
    assert dropout.kind is Kind.POINTWISE
    assert "training: two equal calls give different outputs" in dropout.evidence

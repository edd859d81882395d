"""The normalization layers of Flax, NNX and Linen."""

from __future__ import annotations

import flax.linen as nn
import jax
import jax.numpy as jnp
import pytest
from flax import nnx

from identified import identified_as
from normscope import NormSpec, Running
from normscope.identify import Kind, identify

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
    found = identified_as(expected, module, SHAPE, NAMES)
    assert found.infer == expected.inference()
    assert found.headline == ""
    assert jax.tree.all(jax.tree.map(jnp.array_equal, nnx.state(module), before))


@pytest.mark.parametrize("name", LINEN)
def test_linen(name: str) -> None:
    module, expected = LINEN[name]
    found = identified_as(expected, module, SHAPE, NAMES)
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


# --- the mode, told in every way that Flax has ----------------------------------------------------

AXES = {"variable_axes": {"params": 0, "batch_stats": 0}, "split_rngs": {"params": True}}


class Keyword(nn.Module):
    @nn.compact
    def __call__(self, x: jax.Array, *, train: bool) -> jax.Array:
        return nn.BatchNorm(use_running_average=not train)(x)


class Inverse(nn.Module):
    @nn.compact
    def __call__(self, x: jax.Array, *, is_eval: bool) -> jax.Array:
        return nn.BatchNorm(use_running_average=is_eval)(x)


class Position(nn.Module):
    @nn.compact
    def __call__(self, x: jax.Array, train: bool) -> jax.Array:
        return nn.BatchNorm(use_running_average=not train)(x)


class Later(nn.Module):
    @nn.compact
    def __call__(self, x: jax.Array, mask: None = None, train: bool = False) -> jax.Array:
        return nn.BatchNorm(use_running_average=not train)(x)


class Inside(nn.Module):
    """As the norm of each time step, with the mode by keyword from outside."""

    @nn.compact
    def __call__(self, x: jax.Array, *, is_training: bool) -> jax.Array:
        return nn.vmap(Position, in_axes=(1, None), out_axes=1, **AXES)()(x, is_training)


PER_STEP, OVER_STEPS = "[b] t c", "[b t] c"

TOLD: dict[str, tuple[nn.Module, str]] = {
    "keyword only": (Keyword(), OVER_STEPS),
    "keyword only, the other way round": (Inverse(), OVER_STEPS),
    "vmap of a batch norm": (nn.vmap(nn.BatchNorm, in_axes=1, out_axes=1, **AXES)(), PER_STEP),
    "vmap, by position": (nn.vmap(Position, in_axes=(1, None), out_axes=1, **AXES)(), PER_STEP),
    "vmap inside": (Inside(), PER_STEP),
    "remat, by position": (nn.remat(Position, static_argnums=(2,))(), OVER_STEPS),
    "remat, after another": (nn.remat(Later, static_argnums=(3,))(), OVER_STEPS),
}


@pytest.mark.parametrize("name", TOLD)
def test_a_mode_is_told(name: str) -> None:
    module, pattern = TOLD[name]
    found = identify(module, (4, 3, 6), "b t c")
    assert found.train is not None, found
    assert found.infer is not None, found
    assert (found.train.pattern, found.infer.pattern) == (pattern, None)
    assert found.train.running == Running(0.99)


@pytest.mark.parametrize(
    "module",
    [
        nn.vmap(Keyword, in_axes=1, out_axes=1, **AXES)(),  # Flax passes it on to nobody
        nn.remat(Keyword)(),  # Flax makes a tracer of it
    ],
)
def test_a_mode_that_cannot_be_told_says_what_to_write(module: nn.Module) -> None:
    found = identify(module, (4, 3, 6), "b t c")
    assert found.kind is Kind.UNKNOWN
    assert "it was called with train by keyword" in str(found)
    assert "lambda x, training=False: module.apply(variables, x, ...)" in str(found)


class NnxKeyword(nnx.Module):
    def __init__(self) -> None:
        self.norm = nnx.BatchNorm(6, rngs=nnx.Rngs(0))

    def __call__(self, x: jax.Array, *, train: bool) -> jax.Array:
        return self.norm(x, use_running_average=not train)


class NnxSteps(nnx.Module):
    def __init__(self) -> None:
        make = nnx.vmap(lambda rngs: nnx.BatchNorm(6, rngs=rngs))
        self.norms = make(nnx.Rngs(0).split(3))

    def __call__(self, x: jax.Array, *, deterministic: bool = True) -> jax.Array:
        def one(norm: nnx.BatchNorm, x: jax.Array) -> jax.Array:
            return norm(x, use_running_average=deterministic)

        return nnx.vmap(one, in_axes=(0, 1), out_axes=1)(self.norms, x)


@pytest.mark.parametrize(("kind", "pattern"), [(NnxKeyword, OVER_STEPS), (NnxSteps, PER_STEP)])
def test_nnx_is_told_by_keyword_too(kind: type[nnx.Module], pattern: str) -> None:
    found = identify(kind(), (4, 3, 6), "b t c")
    assert found.train is not None, found
    assert (found.train.pattern, found.train.running) == (pattern, Running(0.99))
    assert found.infer is not None, found
    assert found.infer.pattern is None

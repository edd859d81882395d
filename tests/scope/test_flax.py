# ruff: noqa: E501 (a transformation is one line)
"""Modules of Flax: NNX, and Linen with its variables."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen, nnx

from normscope import SpecError
from normscope.scope import scope

X = np.random.default_rng(0).normal(size=(5, 4)).astype(np.float32)


class Block(nnx.Module):
    def __init__(self, norm: type, rngs: nnx.Rngs) -> None:
        self.linear, self.norm = nnx.Linear(4, 4, rngs=rngs), norm(4, rngs=rngs)
        self.dropout = nnx.Dropout(0.5, rngs=rngs)

    def __call__(self, x: jax.Array) -> jax.Array:
        return self.dropout(self.norm(self.linear(x)))


class Net(nnx.Module):
    def __init__(self, norm: type) -> None:
        rngs = nnx.Rngs(0)
        self.blocks = nnx.List([Block(nnx.LayerNorm, rngs), Block(norm, rngs)])

    def __call__(self, x: jax.Array) -> jax.Array:
        for block in self.blocks:
            x = block(x)
        return x


def everything(module: nnx.Module) -> str:
    values = [
        np.asarray(jax.random.key_data(v) if _is_key(v) else v).tobytes() for v in _leaves(module)
    ]
    modes = [sorted(vars(part)) for _, part in nnx.iter_modules(module)]
    return str((values, modes, module.blocks[0].dropout.deterministic))


def _leaves(module: nnx.Module) -> list[Any]:
    return jax.tree.leaves(nnx.state(module))


def _is_key(value: Any) -> bool:
    return jnp.issubdtype(value.dtype, jax.dtypes.prng_key)


def test_nnx() -> None:
    net = Net(nnx.BatchNorm)
    before, call = everything(net), nnx.BatchNorm.__call__
    found = scope(net, X)
    assert everything(net) == before
    assert nnx.BatchNorm.__call__ is call
    assert found.samples_independent == {"training": False, "inference": True}
    assert str(found.first["training"]) == "blocks.1.norm (BatchNorm)"
    assert found.stochastic == {"training": True, "inference": False}
    right = scope(Net(nnx.LayerNorm), X)
    assert right.samples_independent == {"training": True, "inference": True}


def test_classes_are_put_back_also_when_it_raises() -> None:
    class Breaks(nnx.Module):
        def __call__(self, x: jax.Array) -> jax.Array:
            if type(self).__call__ is not CALLS["Breaks"]:  # it is watched
                raise KeyboardInterrupt
            return x - x.mean(0)

    class Outer(nnx.Module):
        def __init__(self) -> None:
            self.part = Breaks()

        def __call__(self, x: jax.Array) -> jax.Array:
            return self.part(x)

    CALLS["Breaks"] = Breaks.__call__
    with pytest.raises(KeyboardInterrupt):
        scope(Outer(), X)
    assert Breaks.__call__ is CALLS["Breaks"]


CALLS: dict[str, Any] = {}


def test_a_function_that_holds_a_module() -> None:
    net = Net(nnx.BatchNorm)
    before = everything(net)
    found = scope(lambda x: net(x), X)
    assert everything(net) == before
    assert (found.one_mode, found.samples_independent["inference"]) == (True, False)
    assert found.stochastic["inference"]


def test_the_check_notices() -> None:
    net = Net(nnx.BatchNorm)
    before = everything(net)
    net(jnp.asarray(X))
    assert everything(net) != before


class LinenNet(linen.Module):
    norm: type

    @linen.compact
    def __call__(self, x: jax.Array, train: bool = False) -> jax.Array:
        x = linen.Dense(4)(x)
        if self.norm is linen.BatchNorm:
            x = linen.BatchNorm(use_running_average=not train)(x)
        else:
            x = self.norm()(x)
        return linen.Dropout(0.5, deterministic=not train)(x)


@pytest.mark.parametrize(
    ("norm", "independent"), [(linen.BatchNorm, False), (linen.LayerNorm, True)]
)
def test_linen(norm: type, independent: bool) -> None:
    module = LinenNet(norm)
    variables = module.init(jax.random.key(0), jnp.asarray(X))
    for given in ((module, variables), module.bind(variables)):
        found = scope(given, X)
        assert found.samples_independent == {"training": independent, "inference": True}
        assert found.stochastic == {"training": True, "inference": False}
        if not independent:
            assert str(found.first["training"]) == "BatchNorm_0 (BatchNorm)"


def test_linen_without_variables_is_refused() -> None:
    with pytest.raises(SpecError, match="has no variables"):
        scope(LinenNet(linen.LayerNorm), X)


class KeywordNet(linen.Module):
    @linen.compact
    def __call__(self, x: jax.Array, *, is_train: bool) -> jax.Array:
        return linen.BatchNorm(use_running_average=not is_train)(x)


class PositionNet(linen.Module):
    @linen.compact
    def __call__(self, x: jax.Array, train: bool) -> jax.Array:
        return linen.BatchNorm(use_running_average=not train)(x)


class NnxKeyword(nnx.Module):
    def __init__(self) -> None:
        self.norm = nnx.BatchNorm(4, rngs=nnx.Rngs(0))

    def __call__(self, x: jax.Array, *, train: bool) -> jax.Array:
        return self.norm(x, use_running_average=not train)


def test_a_mode_is_told() -> None:
    x = jnp.asarray(X)
    vmapped = linen.vmap(PositionNet, in_axes=(1, None), out_axes=1, variable_axes={"params": 0, "batch_stats": 0}, split_rngs={"params": True})()  # fmt: skip
    steps = jnp.stack([x, 2 * x], axis=1)
    key = jax.random.key(0)
    for module, given, arguments, named in (
        (KeywordNet(), x, (), {"is_train": False}),
        (vmapped, steps, (False,), {}),
    ):
        variables = module.init(key, given, *arguments, **named)
        found = scope((module, variables), given)
        assert found.samples_independent == {"training": False, "inference": True}, found
    assert scope(NnxKeyword(), x).samples_independent == {"training": False, "inference": True}


def test_compiled_functions() -> None:
    found = scope(jax.jit(lambda x: x - x.mean(0)), jnp.asarray(X))
    assert found.samples_independent["inference"] is False
    assert scope(jax.vmap(jax.nn.softmax), jnp.asarray(X)).samples_independent["inference"] is True

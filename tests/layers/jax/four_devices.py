"""Tests for a process with four CPU devices; `test_devices.py` runs them in one of its own."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from jax.sharding import Mesh, NamedSharding, PartitionSpec as P

from normscope import NormSpec, Running, reference, spec
from normscope.layers.jax import Norm, normalize

RNG = np.random.default_rng(7)
X = RNG.normal(1, 2, (8, 5, 6)).astype(np.float32)
SCALE, BIAS = RNG.normal(size=(2, 6)).astype(np.float32)
BATCH = spec("[b s] c", scale="c", bias="c")
MESH = Mesh(np.array(jax.devices()), ("d",))
CLOSE = {"rtol": 1e-5, "atol": 1e-5}

Function = Callable[..., Any]
each_check = pytest.mark.parametrize("check_vma", [True, False])


def test_there_are_four_devices() -> None:
    assert jax.device_count() == 4


def on_devices(
    stated: NormSpec, check_vma: bool = True, names: Any = "d", mesh: Mesh = MESH
) -> Function:
    """(x, scale, bias, mask) -> y, with the batch over all devices and joined statistics."""

    def local(x: jax.Array, scale: jax.Array, bias: jax.Array, mask: jax.Array) -> jax.Array:
        return normalize(x, stated, scale=scale, bias=bias, mask=mask, axis_name=names)

    return jax.shard_map(
        local,
        mesh=mesh,
        in_specs=(P(names), P(), P(), P(names)),
        out_specs=P(names),
        check_vma=check_vma,
    )


def alone(stated: NormSpec) -> Function:
    return lambda x, scale, bias, mask: normalize(x, stated, scale=scale, bias=bias, mask=mask)


def both(one: Function, other: Function, *arguments: Any, tolerance: Any = None) -> None:
    """Equal values, and equal gradients by x, scale and bias; both compiled once."""
    weights = RNG.normal(size=X.shape).astype(np.float32)

    def values_and_gradients(function: Function) -> Any:
        def loss(x: Any, scale: Any, bias: Any, mask: Any) -> Any:
            y = function(x, scale, bias, mask)
            return jnp.sum(jnp.sin(y) * weights), y

        derived = jax.value_and_grad(loss, argnums=(0, 1, 2), has_aux=True)
        return jax.tree.leaves(jax.jit(derived)(*arguments))

    for found, wanted in zip(values_and_gradients(one), values_and_gradients(other), strict=True):
        np.testing.assert_allclose(found, wanted, **(tolerance or CLOSE))


EVERYTHING = np.ones(X.shape, bool)


@each_check
def test_values_and_gradients_are_those_of_the_joined_batch(check_vma: bool) -> None:
    both(on_devices(BATCH, check_vma), alone(BATCH), X, SCALE, BIAS, EVERYTHING)


@each_check
@pytest.mark.parametrize("measure", ["variance", "mean_square", "l2", "l1", "max"])
@pytest.mark.parametrize("center", [True, False])
def test_every_measure(measure: str, center: bool, check_vma: bool) -> None:
    stated = NormSpec(
        "[b s] c", measure=measure, center=center, eps_outside=0.01, scale="c", bias="c"
    )
    both(on_devices(stated, check_vma), alone(stated), X, SCALE, BIAS, EVERYTHING)


def test_without_a_name_each_device_is_alone() -> None:
    """Twin of the tests above: the comparison can fail."""
    local = jax.shard_map(
        lambda x: normalize(x, BATCH), mesh=MESH, in_specs=P("d"), out_specs=P("d")
    )
    assert np.abs(local(X) - normalize(jnp.asarray(X), BATCH)).max() > 0.1


@pytest.mark.parametrize("center", [True, False])
def test_the_statistics_are_the_same_on_every_device(center: bool) -> None:
    """JAX checks what `out_specs` promises: that they do not vary along the named axis."""
    stated = NormSpec("[b s] c", measure="mean_square", center=center)
    both_stats = [
        jax.shard_map(
            lambda x, name=name: normalize(x, stated, axis_name=name, return_stats=True)[1],
            mesh=MESH,
            in_specs=spec_in,
            out_specs=P(),
        )(X)
        for name, spec_in in (("d", P("d")), (None, P()))
    ]
    for found, wanted in zip(*both_stats, strict=True):
        np.testing.assert_allclose(found, wanted, rtol=1e-6)


def test_ddof_counts_all_devices() -> None:
    stated = NormSpec("[b] c", ddof=1, scale="c", bias="c")
    x = X[:4, 0]

    def local(x: jax.Array) -> jax.Array:
        return normalize(x, stated, axis_name="d")

    y = jax.shard_map(local, mesh=MESH, in_specs=P("d"), out_specs=P("d"))(x)
    np.testing.assert_allclose(y, reference(x, stated), **CLOSE)


@each_check
def test_masks_of_unequal_size_one_of_them_empty(check_vma: bool) -> None:
    mask = RNG.random(X.shape) < np.array([0.2, 0.9, 0.5, 0.7]).repeat(2)[:, None, None]
    mask[2:4] = False  # nothing on the second device
    mask[:, :, 1] = False  # no element of the second set anywhere
    both(on_devices(BATCH, check_vma), alone(BATCH), X, SCALE, BIAS, mask)
    y = on_devices(BATCH, check_vma)(X, SCALE, BIAS, mask)
    np.testing.assert_allclose(y, reference(X, BATCH, scale=SCALE, bias=BIAS, mask=mask), **CLOSE)
    np.testing.assert_array_equal(y[:, :, 1], np.full((8, 5), BIAS[1]))


@each_check
def test_a_mask_that_is_the_same_on_every_device(check_vma: bool) -> None:
    mask = RNG.random((2, 5, 6)) < 0.6

    def local(x: jax.Array) -> jax.Array:
        return normalize(x, BATCH, mask=mask, axis_name="d")

    over = jax.shard_map(local, mesh=MESH, in_specs=P("d"), out_specs=P("d"), check_vma=check_vma)
    wanted = reference(X, BATCH, mask=np.tile(mask, (4, 1, 1)))
    np.testing.assert_allclose(over(X), wanted, **CLOSE)
    gradient = jax.grad(lambda x: jnp.sum(jnp.sin(over(x))))(X)
    alike = jax.grad(
        lambda x: jnp.sum(jnp.sin(normalize(x, BATCH, mask=np.tile(mask, (4, 1, 1)))))
    )(X)
    np.testing.assert_allclose(gradient, alike, **CLOSE)


def test_a_large_mean_that_differs_between_devices() -> None:
    x = (RNG.normal(size=X.shape) + np.arange(20000, 20008)[:, None, None]).astype(np.float32)
    y = on_devices(BATCH)(x, SCALE, BIAS, EVERYTHING)
    np.testing.assert_allclose(y, reference(x, BATCH, scale=SCALE, bias=BIAS), **CLOSE)
    constant = np.full(X.shape, 20000.3, np.float32)
    y = on_devices(BATCH)(constant, SCALE, BIAS, EVERYTHING)
    np.testing.assert_array_equal(y, np.broadcast_to(BIAS, X.shape))


def test_half_precision() -> None:
    x = jnp.asarray(X, jnp.bfloat16)
    y = on_devices(BATCH)(x, SCALE, BIAS, EVERYTHING)
    assert y.dtype == jnp.bfloat16
    np.testing.assert_allclose(
        y.astype(np.float32), alone(BATCH)(x, SCALE, BIAS, EVERYTHING).astype(np.float32), rtol=1e-2
    )


def test_several_axis_names() -> None:
    mesh = Mesh(np.array(jax.devices()).reshape(2, 2), ("d", "e"))
    both(on_devices(BATCH, names=("d", "e"), mesh=mesh), alone(BATCH), X, SCALE, BIAS, EVERYTHING)


def test_one_of_two_axis_names() -> None:
    mesh = Mesh(np.array(jax.devices()).reshape(2, 2), ("d", "e"))

    def local(x: jax.Array) -> jax.Array:
        return normalize(x, "[b s] c", axis_name="d")

    y = jax.shard_map(local, mesh=mesh, in_specs=P("d", "e"), out_specs=P("d", "e"))(X[:, :4])
    for part in (slice(0, 2), slice(2, 4)):
        np.testing.assert_allclose(
            y[:, part], reference(X[:, part], spec("[b s] c"))[:, :], **CLOSE
        )


@each_check
def test_features_and_their_parameters_over_devices(check_vma: bool) -> None:
    """Layer norm where each device holds some of the features."""
    stated = spec("b [c]", scale="c", bias="c")
    x, scale, bias = X.reshape(10, 24), np.tile(SCALE, 4), np.tile(BIAS, 4)

    def local(x: jax.Array, scale: jax.Array, bias: jax.Array) -> jax.Array:
        return normalize(x, stated, scale=scale, bias=bias, axis_name="d")

    over = jax.shard_map(
        local,
        mesh=MESH,
        in_specs=(P(None, "d"), P("d"), P("d")),
        out_specs=P(None, "d"),
        check_vma=check_vma,
    )

    def loss(function: Function) -> Function:
        return jax.grad(lambda *a: jnp.sum(jnp.sin(function(*a))), argnums=(0, 1, 2))

    def joined(x: jax.Array, scale: jax.Array, bias: jax.Array) -> jax.Array:
        return normalize(x, stated, scale=scale, bias=bias)

    np.testing.assert_allclose(over(x, scale, bias), joined(x, scale, bias), **CLOSE)
    for found, wanted in zip(loss(over)(x, scale, bias), loss(joined)(x, scale, bias), strict=True):
        np.testing.assert_allclose(found, wanted, **CLOSE)


@each_check
def test_forward_mode_and_second_derivatives(check_vma: bool) -> None:
    rest = (SCALE, BIAS, EVERYTHING)
    towards = RNG.normal(size=X.shape).astype(np.float32)

    def curvature(function: Function) -> Any:
        gradient = jax.grad(lambda x: jnp.sum(jnp.sin(function(x, *rest))))
        return jax.jvp(jax.jit(gradient), (jnp.asarray(X),), (jnp.asarray(towards),))

    for found, wanted in zip(
        curvature(on_devices(BATCH, check_vma)), curvature(alone(BATCH)), strict=True
    ):
        np.testing.assert_allclose(found, wanted, rtol=1e-4, atol=1e-4)


def test_gradients_inside_of_shard_map_summed_are_those_outside() -> None:
    """The usual data-parallel step: each device derives its own loss."""

    def step(scale: jax.Array, x: jax.Array) -> jax.Array:
        def loss(scale: jax.Array) -> jax.Array:
            y = normalize(x, BATCH, scale=scale, axis_name="d")
            return jax.lax.psum(jnp.sum(jnp.sin(y)), "d")

        return jax.grad(loss)(scale)

    over = jax.shard_map(step, mesh=MESH, in_specs=(P(), P("d")), out_specs=P())(SCALE, X)
    whole = jax.grad(lambda scale: jnp.sum(jnp.sin(normalize(X, BATCH, scale=scale))))(SCALE)
    np.testing.assert_allclose(over, whole, **CLOSE)


def test_jit_of_sharded_arrays_needs_no_name_and_gathers_nothing() -> None:
    sharded = jax.device_put(RNG.normal(size=(64, 5, 6)).astype(np.float32), over_batch())

    def loss(x: jax.Array, scale: jax.Array) -> jax.Array:
        return jnp.sum(jnp.sin(normalize(x, BATCH, scale=scale)))

    step = jax.jit(jax.grad(loss, argnums=(0, 1)))
    text = step.lower(sharded, SCALE).compile().as_text()
    assert "all-reduce" in text
    assert "all-gather" not in text
    for found, wanted in zip(step(sharded, SCALE), step(np.asarray(sharded), SCALE), strict=True):
        np.testing.assert_allclose(found, wanted, **CLOSE)


def over_batch() -> NamedSharding:
    return NamedSharding(MESH, P("d"))


# --- the layer ------------------------------------------------------------------------------------


def layer(axis_name: str | None) -> Norm:
    return Norm(BATCH_WITH_MEMORY, c=6, axis_name=axis_name, rngs=nnx.Rngs(0))


BATCH_WITH_MEMORY = NormSpec("[b s] c", scale="c", bias="c", running=Running(0.9, ddof=1))


@pytest.mark.parametrize("masked", [False, True])
def test_the_layer_remembers_what_one_device_would(masked: bool) -> None:
    mask = RNG.random(X.shape) < 0.6 if masked else EVERYTHING
    graph, state = nnx.split(layer("d"))

    @jax.jit
    @partial(jax.shard_map, mesh=MESH, in_specs=(P(), P("d"), P("d")), out_specs=(P("d"), P()))
    def step(state: Any, x: jax.Array, mask: jax.Array) -> Any:
        norm = nnx.merge(graph, state)
        return norm(x, mask=mask), nnx.state(norm)

    single = layer(None)
    for _ in range(3):
        y, state = step(state, X, mask)
        np.testing.assert_allclose(y, single(jnp.asarray(X), mask=mask), **CLOSE)
    wanted = nnx.state(single)
    for name in ("mean", "var", "scale", "bias"):
        np.testing.assert_allclose(state[name][...], wanted[name][...], **CLOSE)


def test_the_layer_agrees_with_flax_over_devices() -> None:
    ours, theirs = layer("d"), nnx.BatchNorm(6, momentum=0.9, axis_name="d", rngs=nnx.Rngs(0))
    ours.spec = NormSpec("[b s] c", scale="c", bias="c", running=Running(0.9), sizes={"c": 6})
    results = []
    for norm in (ours, theirs):
        graph, state = nnx.split(norm)

        @partial(jax.shard_map, mesh=MESH, in_specs=(P(), P("d")), out_specs=(P("d"), P()))
        def step(state: Any, x: jax.Array, graph: Any = graph) -> Any:
            def loss(state: Any) -> Any:
                norm = nnx.merge(graph, state)
                y = norm(x)
                return jax.lax.psum(jnp.sum(jnp.sin(y)), "d"), (y, nnx.state(norm))

            found, (y, state) = jax.grad(loss, has_aux=True)(state)
            return y, (state, found)

        results.append(step(state, X))
    for found, wanted in zip(*map(jax.tree.leaves, results), strict=True):
        np.testing.assert_allclose(found, wanted, rtol=1e-4, atol=1e-4)

"""`Norm` against Flax's own layers, and what it refuses."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from normscope import DtypeError, NormSpec, Running, ShapeError, SpecError, preset, reference, spec
from normscope.layers.jax import Norm
from normscope.reference import running_update

RNG = np.random.default_rng(9)
X = RNG.normal(1, 2, (4, 5, 3, 6)).astype(np.float32)
CLOSE = {"rtol": 1e-5, "atol": 1e-5}
BATCH = NormSpec("[b s...] c", scale="c", bias="c", running=Running(0.9))


def rngs() -> nnx.Rngs:
    return nnx.Rngs(0)


# One row per layer of Flax: the same statement here, and the layer with all defaults.
NATIVE = {
    "batch": (
        lambda: Norm(preset("flax.BatchNorm"), c=6, rngs=rngs()),
        lambda **f: nnx.BatchNorm(6, rngs=rngs(), **f),
    ),
    "layer": (
        lambda: Norm(preset("flax.LayerNorm"), c=6, rngs=rngs()),
        lambda **f: nnx.LayerNorm(6, rngs=rngs(), **f),
    ),
    "rms": (
        lambda: Norm(preset("flax.RMSNorm"), c=6, rngs=rngs()),
        lambda **_: nnx.RMSNorm(6, rngs=rngs()),
    ),
    "group": (
        lambda: Norm(preset("flax.GroupNorm", num_groups=3), c=2, rngs=rngs()),
        lambda **f: nnx.GroupNorm(6, num_groups=3, rngs=rngs(), **f),
    ),
    "instance": (
        lambda: Norm(preset("flax.InstanceNorm"), c=6, rngs=rngs()),
        lambda **f: nnx.InstanceNorm(6, rngs=rngs(), **f),
    ),
}
each_native = pytest.mark.parametrize(("ours", "theirs"), NATIVE.values(), ids=NATIVE.keys())


def same_parameters(*layers: Any) -> None:
    """Random values for scale and bias, the same in each layer."""
    for name in ("scale", "bias"):
        values = RNG.normal(size=6).astype(np.float32)
        for layer in layers:
            if getattr(layer, name, None) is not None:
                variable = getattr(layer, name)
                variable[...] = jnp.asarray(values.reshape(variable.shape))


def flat(state: Any) -> dict[str, np.ndarray]:
    return {str(path[-1]): np.ravel(leaf) for path, leaf in nnx.to_flat_state(state)}


@each_native
def test_values_gradients_and_running_statistics_of_flax(ours: Any, theirs: Any) -> None:
    mine, other = ours(), theirs()
    same_parameters(mine, other)

    @nnx.jit
    def step(layer: Any, x: jax.Array) -> Any:
        def loss(layer: Any, x: jax.Array) -> Any:
            y = layer(x)
            return jnp.sum(jnp.sin(y)), y

        (_, y), gradient = nnx.value_and_grad(loss, argnums=(0, 1), has_aux=True)(layer, x)
        return y, gradient

    for _ in range(3):
        (y, (by_layer, by_x)) = step(mine, X)
        (y_other, (by_layer_other, by_x_other)) = step(other, X)
        np.testing.assert_allclose(y, y_other, **CLOSE)
        np.testing.assert_allclose(by_x, by_x_other, **CLOSE)
        wanted = flat(by_layer_other)
        found = flat(by_layer)
        assert found.keys() == wanted.keys()
        for name in wanted:
            np.testing.assert_allclose(found[name], wanted[name], **CLOSE)
    memory = flat(nnx.state(other, nnx.BatchStat))
    assert flat(nnx.state(mine, nnx.BatchStat)).keys() == memory.keys()
    for name, values in flat(nnx.state(mine, nnx.BatchStat)).items():
        np.testing.assert_allclose(values, memory[name], **CLOSE)
    mine.eval()
    other.eval()
    np.testing.assert_allclose(mine(X + 1), other(X + 1), **CLOSE)


@each_native
@pytest.mark.parametrize(
    ("x", "dtype", "param_dtype"),
    [
        ("bfloat16", None, "float32"),
        ("bfloat16", "bfloat16", "float32"),
        ("float32", "bfloat16", "float32"),
        ("float16", None, "float16"),
        ("float32", None, "bfloat16"),
    ],
)
def test_dtypes_promote_as_in_flax(
    ours: Any, theirs: Any, x: str, dtype: Any, param_dtype: Any
) -> None:
    mine = Norm(ours().spec, dtype=dtype, param_dtype=param_dtype, rngs=rngs())
    other = type(theirs())
    arguments = {"num_groups": 3} if other is nnx.GroupNorm else {}
    other = other(6, dtype=dtype, param_dtype=param_dtype, rngs=rngs(), **arguments)
    y, wanted = mine(jnp.asarray(X, x)), other(jnp.asarray(X, x))
    assert y.dtype == wanted.dtype
    assert mine.scale.dtype == other.scale.dtype
    np.testing.assert_allclose(y.astype(np.float32), wanted.astype(np.float32), atol=0.05)


def test_linen_batch_norm_and_its_collections() -> None:
    linen = nn.BatchNorm(use_running_average=False, momentum=0.9)
    variables = linen.init(jax.random.key(0), X)
    layer = Norm(BATCH, c=6, rngs=rngs())
    for _ in range(2):
        y, updates = linen.apply(variables, X, mutable=["batch_stats"])
        variables = variables | updates
        np.testing.assert_allclose(layer(jnp.asarray(X)), y, **CLOSE)
    for name in ("mean", "var"):
        np.testing.assert_allclose(
            getattr(layer, name)[...], variables["batch_stats"][name], **CLOSE
        )


def test_a_mask_is_honoured_as_by_flax() -> None:
    mask = RNG.random((4, 5, 3, 1)) < 0.6
    mine = Norm(BATCH, c=6, rngs=rngs())
    other = nnx.BatchNorm(6, momentum=0.9, rngs=rngs())
    np.testing.assert_allclose(
        mine(jnp.asarray(X), mask=jnp.asarray(mask)), other(X, mask=mask), **CLOSE
    )
    for name in ("mean", "var"):
        np.testing.assert_allclose(getattr(mine, name)[...], getattr(other, name)[...], **CLOSE)


# --- better than Flax -----------------------------------------------------------------------------


@pytest.mark.parametrize("mean", [2000.0, 20000.0])
def test_a_large_mean_where_flax_by_default_fails(mean: float) -> None:
    x = (RNG.normal(size=(16, 8, 8, 6)) + mean).astype(np.float32)
    layer = Norm(preset("flax.BatchNorm"), c=6, rngs=rngs())
    wanted = reference(x, layer.spec)
    np.testing.assert_allclose(layer(jnp.asarray(x)), wanted, rtol=2e-5, atol=2e-5)
    var = running_update(x, layer.spec, np.zeros(6), np.ones(6))[1]
    np.testing.assert_allclose(layer.var[...], var, rtol=1e-5)
    assert np.abs(nnx.BatchNorm(6, rngs=rngs())(x) - wanted).max() > 1e-2


def test_an_empty_set_leaves_its_running_statistics_alone() -> None:
    mask = np.ones(X.shape, bool)
    mask[..., 2] = False
    layer = Norm(BATCH, c=6, rngs=rngs())
    y = layer(jnp.asarray(X), mask=jnp.asarray(mask))
    assert np.isfinite(y).all()
    assert layer.mean[...][2] == 0
    assert layer.var[...][2] == 1
    assert np.isnan(nnx.BatchNorm(6, rngs=rngs())(X, mask=mask)).any()


# --- every kind of memory -------------------------------------------------------------------------


@pytest.mark.parametrize("center", [True, False])
@pytest.mark.parametrize("measure", ["variance", "mean_square", "max"])
@pytest.mark.parametrize(
    "running",
    [
        Running(0.9),
        Running(0.5, ddof=1),
        Running(0.9, plus_eps=True),
        Running(0.9, deviation=True),
        Running(0.9, ddof=1, plus_eps=True, deviation=True),
    ],
)
def test_running_statistics_are_those_of_the_definition(
    running: Running, measure: str, center: bool
) -> None:
    ddof = int(measure != "max")
    stated = NormSpec(
        "[b] s... c", center=center, measure=measure, ddof=ddof, eps=1e-3, running=running
    )
    layer = Norm(stated, c=6, s=(5, 3), rngs=rngs())
    assert layer.mean.shape == layer.var.shape == (5, 3, 6)
    mean, var = np.zeros((5, 3, 6)), np.ones((5, 3, 6))
    for n in range(3):
        x = X * (n + 1)
        layer(jnp.asarray(x))
        mean, var = running_update(x, stated, mean, var)
    np.testing.assert_allclose(layer.mean[...], mean, **CLOSE)
    np.testing.assert_allclose(layer.var[...], var, **CLOSE)
    found = layer(jnp.asarray(X), use_running_average=True)
    v = var**2 if running.deviation else var
    inference = replace(stated, eps=stated.inference().eps)
    np.testing.assert_allclose(found, reference(X, inference, mean=mean, var=v), **CLOSE)
    np.testing.assert_allclose(layer.mean[...], mean, **CLOSE)


def test_a_mean_alone_is_remembered_where_nothing_is_divided() -> None:
    stated = NormSpec("[b s...] c", {"c": 6}, measure="none", bias="c", running=Running(0.5))
    layer = Norm(stated, rngs=rngs())
    assert layer.var is None
    assert list(flat(nnx.state(layer, nnx.BatchStat))) == ["mean"]
    np.testing.assert_allclose(layer(jnp.asarray(X)), reference(X, stated), **CLOSE)
    mean, _ = running_update(X, stated, np.zeros(6), np.ones(6))
    np.testing.assert_allclose(layer.mean[...], mean, **CLOSE)
    layer.eval()
    np.testing.assert_allclose(layer(jnp.asarray(X)), reference(X, stated, mean=mean), **CLOSE)


def test_train_eval_view_and_call_choose_the_statistics() -> None:
    layer = Norm(BATCH, c=6, use_running_average=True, rngs=rngs())
    x = jnp.asarray(X)
    at_rest = X / np.sqrt(1 + 1e-5)
    np.testing.assert_allclose(layer(x), at_rest, **CLOSE)
    trained = nnx.view(layer, use_running_average=False)
    np.testing.assert_allclose(trained(x), reference(X, BATCH), **CLOSE)
    layer.mean[...], layer.var[...] = jnp.zeros(6), jnp.ones(6)
    layer.train()
    np.testing.assert_allclose(layer(x, use_running_average=True), at_rest, **CLOSE)
    assert (layer.mean[...] == 0).all()
    np.testing.assert_allclose(layer(x), reference(X, BATCH), **CLOSE)
    assert (layer.mean[...] != 0).all()


def test_the_memory_has_no_gradient() -> None:
    layer = Norm(BATCH, c=6, rngs=rngs())

    def memory(x: jax.Array, layer: Norm) -> jax.Array:
        layer(x)
        return jnp.sum(layer.mean[...] + layer.var[...])

    assert (nnx.grad(memory)(jnp.asarray(X), layer) == 0).all()


# --- parameters -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("pattern", "sizes", "scale", "shape"),
    [
        ("b [s...] c", {"c": 6}, "c", (6,)),
        ("b [s...] (g [c])", {"g": 3, "c": 2}, "g c", (3, 2)),
        ("b [s...] (g [c])", {"g": 3, "c": 2}, "c g", (2, 3)),
        ("b [s... c]", {"s": (5, 3), "c": 6}, "s... c", (5, 3, 6)),
        ("b [s... c]", {"c": 6}, "", ()),
        ("... [c]", {"c": 6}, "c", (6,)),
        ("b [...]", {"sizes": {"...": (5, 3, 6)}}, "...", (5, 3, 6)),
    ],
)
def test_sizes_given_by_keyword_shape_the_parameters(
    pattern: str, sizes: dict[str, Any], scale: str, shape: tuple[int, ...]
) -> None:
    layer = Norm(pattern, scale=scale, bias=scale, rngs=rngs(), **sizes)
    assert layer.scale.shape == layer.bias.shape == shape
    again = Norm(spec(pattern, scale=scale, bias=scale), rngs=rngs(), **sizes)
    assert again.spec == layer.spec
    values = RNG.normal(size=shape).astype(np.float32)
    layer.scale[...] = jnp.asarray(values)
    np.testing.assert_allclose(
        layer(jnp.asarray(X)), reference(X, layer.spec, scale=values), **CLOSE
    )


def test_parameters_begin_neutral_and_take_initializers() -> None:
    plain = Norm("... [c]", c=6, scale="c", bias="c", rngs=rngs())
    shifted = Norm("... [c]", c=6, scale="c", scale_shift=1, rngs=rngs())
    np.testing.assert_allclose(plain(jnp.asarray(X)), shifted(jnp.asarray(X)), **CLOSE)
    assert (shifted.scale[...] == 0).all()
    assert shifted.bias is None
    drawn = Norm(
        "... [c]",
        c=6,
        scale="c",
        bias="c",
        scale_init=nnx.initializers.normal(),
        bias_init=nnx.initializers.ones,
        scale_metadata={"regularized": False},
        rngs=rngs(),
    )
    assert (drawn.bias[...] == 1).all()
    assert np.unique(drawn.scale[...]).size == 6
    assert drawn.scale.get_metadata("regularized") is False


def test_each_parameter_takes_one_key_as_in_flax() -> None:
    def after(make: Any) -> jax.Array:
        streams = rngs()
        make(streams)
        return nnx.Linear(3, 3, rngs=streams).kernel[...]

    np.testing.assert_array_equal(
        after(lambda r: Norm(BATCH, c=6, rngs=r)), after(lambda r: nnx.BatchNorm(6, rngs=r))
    )


def test_split_merge_and_clone_keep_the_layer() -> None:
    layer = Norm(BATCH, c=6, rngs=rngs())
    layer(jnp.asarray(X))
    copy = nnx.merge(*nnx.split(layer))
    assert copy.spec == layer.spec
    for other in (copy, nnx.clone(layer)):
        np.testing.assert_array_equal(
            other(jnp.asarray(X), use_running_average=True),
            layer(jnp.asarray(X), use_running_average=True),
        )


def test_layers_stacked_by_vmap_and_scan() -> None:
    @nnx.split_rngs(splits=3)
    @nnx.vmap(in_axes=(0,), out_axes=0)
    def make(streams: nnx.Rngs) -> Norm:
        return Norm(BATCH, c=6, rngs=streams)

    @nnx.scan(in_axes=(0, nnx.Carry), out_axes=nnx.Carry)
    def forward(layer: Norm, x: jax.Array) -> jax.Array:
        return jnp.sin(layer(x))

    layers = make(rngs())
    y = forward(layers, jnp.asarray(X))
    wanted = jnp.asarray(X)
    for n in range(3):
        single = Norm(BATCH, c=6, rngs=rngs())
        wanted = jnp.sin(single(wanted))
        np.testing.assert_allclose(layers.mean[...][n], single.mean[...], **CLOSE)
    np.testing.assert_allclose(y, wanted, **CLOSE)


# --- the contract ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("pattern", "given", "said"),
    [
        ("b [s...] c", {"scale": "c"}, 'scale varies along "c", whose size'),
        ("b [s...] (g [c])", {"g": 3, "bias": "g c"}, 'bias varies along "c", whose size'),
        ("b [s... c]", {"c": 6, "scale": "s... c"}, 'scale varies along "s...", whose sizes'),
        ("b [s... c]", {"c": 6, "s": 5, "scale": "s... c"}, "one per axis, for example s="),
        ("b [s] c", {"c": 6, "running": Running(0.9)}, 'running mean varies along "b"'),
        ("b [s] c", {"epsilon": 1e-3}, "epsilon"),
        ("b [s] c", {"use_running_average": True}, "no running statistics"),
        (NormSpec("b [s] c"), {"eps": 1e-3}, r"dataclasses.replace\(spec, eps="),
        (NormSpec(None), {}, "no pattern"),
    ],
)
def test_a_layer_that_is_not_stated_is_refused(
    pattern: Any, given: dict[str, Any], said: str
) -> None:
    with pytest.raises(SpecError, match=said):
        Norm(pattern, rngs=rngs(), **given)


def test_a_size_is_part_of_the_contract() -> None:
    layer = Norm("b [s...] c", c=6, scale="c", rngs=rngs())
    with pytest.raises(ShapeError, match="wants c = 6 for axis 3, the shape has 5"):
        nnx.jit(layer)(jnp.asarray(X[..., :5]))
    with pytest.raises(DtypeError, match="complex64"):
        layer(jnp.ones((4, 5, 6), jnp.complex64))
    with pytest.raises(SpecError, match="no running statistics"):
        layer(jnp.asarray(X), use_running_average=True)


def test_a_batch_too_small_for_its_running_variance_is_refused() -> None:
    layer = Norm("[b] c", c=6, running=Running(0.9, ddof=1), rngs=rngs())
    with pytest.raises(ShapeError, match="ddof=1 divides by 0"):
        layer(jnp.ones((1, 6)))

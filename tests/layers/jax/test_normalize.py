"""`normalize` of JAX arrays against the definition, against derivatives taken numerically, and
under every transformation."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import hypothesis.strategies as st
import jax
import jax.numpy as jnp
import ml_dtypes
import numpy as np
import pytest
from hypothesis import given, settings
from jax import lax
from jax.ad_checkpoint import checkpoint_name

import normscope
from normscope import (
    DtypeError,
    NormSpec,
    ShapeError,
    SpecError,
    gradients,
    normalize as normalize_numpy,
    reference,
    spec,
)
from normscope.layers.jax import normalize
from strategies import cases, specs

RNG = np.random.default_rng(5)
X = RNG.normal(1, 2, (4, 6, 5, 3)).astype(np.float32)
INSTANCE = spec("b c [s...]", scale="c", bias="c")
BATCH = spec("[b] c [s...]", scale="c", bias="c")
GROUP = spec("b (g [c]) [s...]", g=2, scale="g c", bias="g c")
LAYER = spec("b [c] s...", scale="c", bias="c")
SCALE, BIAS = RNG.normal(size=6).astype(np.float32), RNG.normal(size=6).astype(np.float32)
ALL = {"instance": INSTANCE, "batch": BATCH, "group": GROUP, "layer": LAYER}
each_spec = pytest.mark.parametrize("stated", ALL.values(), ids=ALL.keys())

# float32 carries 24 bits; a handful of operations and the division by a small deviation cost a few.
CLOSE = {"rtol": 1e-5, "atol": 1e-5}


# --- values ---------------------------------------------------------------------------------------


@st.composite
def calls(draw: st.DrawFn) -> tuple[NormSpec, np.ndarray, dict[str, np.ndarray]]:
    """A spec, an input in float64, and parameters, perhaps with a mask or given statistics."""
    case = draw(cases())
    stated = draw(specs(case))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    layout = stated.layout(case.shape)
    arrays: dict[str, np.ndarray] = {}
    for name in ("scale", "bias"):
        names = getattr(stated, name)
        if names is not None and draw(st.booleans()):
            values = rng.normal(size=layout.place(layout.named(names)).shape)
            arrays[name] = values.ravel() if draw(st.booleans()) else values
    kind = draw(st.sampled_from(["plain", "plain", "mask", "given"]))
    if kind == "mask" and not stated.ddof:
        arrays["mask"] = rng.random(case.shape) < draw(st.sampled_from([0.1, 0.5, 0.9]))
    if kind == "given":
        kept = layout.place(layout.kept).shape
        arrays["mean"] = rng.normal(size=kept)
        arrays["var"] = rng.uniform(0.5, 2, size=kept)
    return stated, rng.normal(1, 2, case.shape), arrays


@settings(max_examples=25)  # each compiles anew
@given(calls())
def test_the_definition_is_met(call: tuple[NormSpec, np.ndarray, dict[str, np.ndarray]]) -> None:
    stated, x, arrays = call
    x = x.astype(np.float32)
    arrays = {
        name: values if name == "mask" else values.astype(np.float32)
        for name, values in arrays.items()
    }
    y = normalize(jnp.asarray(x), stated, **arrays)
    assert y.dtype == jnp.float32
    np.testing.assert_allclose(y, reference(x, stated, **arrays), **CLOSE)


@settings(max_examples=12)
@given(calls())
def test_the_derivative_is_that_of_the_definition(
    call: tuple[NormSpec, np.ndarray, dict[str, np.ndarray]],
) -> None:
    """Forward and reverse mode against differences of the reference, along a random direction."""
    stated, x, arrays = call
    rng = np.random.default_rng(0)
    mask = {"mask": arrays.pop("mask")} if "mask" in arrays else {}
    point = {"x": x, **arrays}
    step = {name: rng.normal(size=values.shape) for name, values in point.items()}
    weights = rng.normal(size=x.shape)

    def moved(h: float) -> np.ndarray:
        at = {name: point[name] + h * step[name] for name in point}
        return reference(at.pop("x"), stated, **at, **mask)

    h = 1e-6 * min(1.0, float(np.sqrt(stated.eps) / 1e-3) or 1.0)
    numeric = (moved(h) - moved(-h)) / (2 * h)
    with jax.enable_x64(True):

        def function(point: dict[str, jax.Array]) -> jax.Array:
            return normalize(point["x"], stated, **{k: point[k] for k in arrays}, **mask)

        as_jax = {name: jnp.asarray(values) for name, values in point.items()}
        towards = {name: jnp.asarray(values) for name, values in step.items()}
        y, forward = jax.jvp(function, (as_jax,), (towards,))
        (gradient,) = jax.vjp(function, as_jax)[1](jnp.asarray(weights))
        backward = sum(jnp.vdot(gradient[name], towards[name]) for name in point)
        assert y.dtype == forward.dtype == gradient["x"].dtype == jnp.float64
    size = np.abs(numeric).max(initial=1.0)
    np.testing.assert_allclose(np.asarray(forward) / size, numeric / size, atol=1e-5)
    total = np.abs(weights * numeric).sum() + 1
    np.testing.assert_allclose(
        float(backward) / total, np.sum(weights * numeric) / total, atol=1e-5
    )


def plain(x: jax.Array, scale: jax.Array, bias: jax.Array, axes: Any, shape: Any) -> jax.Array:
    """The textbook formula, for autodiff to take apart."""
    mean = x.mean(axes, keepdims=True)
    var = ((x - mean) ** 2).mean(axes, keepdims=True)
    return (x - mean) / jnp.sqrt(var + 1e-5) * scale.reshape(shape) + bias.reshape(shape)


@pytest.mark.parametrize(
    ("stated", "axes"), [(INSTANCE, (2, 3)), (BATCH, (0, 2, 3)), (LAYER, (1,))]
)
def test_gradients_and_second_derivatives_of_the_textbook_formula(
    stated: NormSpec, axes: tuple[int, ...]
) -> None:
    with jax.enable_x64(True):
        arguments = tuple(jnp.asarray(a, jnp.float64) for a in (X, SCALE, BIAS))
        towards = tuple(jnp.asarray(RNG.normal(size=a.shape)) for a in arguments)

        def ours(x: jax.Array, scale: jax.Array, bias: jax.Array) -> jax.Array:
            return jnp.sum(jnp.sin(normalize(x, stated, scale=scale, bias=bias)))

        def theirs(x: jax.Array, scale: jax.Array, bias: jax.Array) -> jax.Array:
            return jnp.sum(jnp.sin(plain(x, scale, bias, axes, (6, 1, 1))))

        for mine, other in zip(
            jax.grad(ours, argnums=(0, 1, 2))(*arguments),
            jax.grad(theirs, argnums=(0, 1, 2))(*arguments),
            strict=True,
        ):
            np.testing.assert_allclose(mine, other, rtol=1e-9, atol=1e-9)

        def along(function: Callable[..., jax.Array]) -> Any:
            """Forward over reverse, and reverse over reverse, times one direction."""
            gradient = jax.grad(function, argnums=(0, 1, 2))
            over = jax.jvp(gradient, arguments, towards)[1]
            back = jax.vjp(gradient, *arguments)[1](towards)
            return over, back

        for mine, other in zip(
            jax.tree.leaves(along(ours)), jax.tree.leaves(along(theirs)), strict=True
        ):
            np.testing.assert_allclose(mine, other, rtol=1e-8, atol=1e-8)


@pytest.mark.parametrize("measure", ["variance", "mean_square", "l2", "l1", "max"])
@pytest.mark.parametrize("center", [True, False])
def test_second_derivatives_of_every_measure(measure: str, center: bool) -> None:
    stated = NormSpec("b [c]", measure=measure, center=center, eps=1e-2, eps_outside=0.1)
    with jax.enable_x64(True):
        x = jnp.asarray(RNG.normal(1, 2, (2, 4)))

        def loss(x: jax.Array) -> jax.Array:
            return jnp.sum(jnp.sin(normalize(x, stated)))

        hessian = jax.hessian(loss)(x).reshape(8, 8)
        h = 1e-5
        for n, unit in enumerate(np.eye(8).reshape(8, 2, 4)):
            numeric = (jax.grad(loss)(x + h * unit) - jax.grad(loss)(x - h * unit)) / (2 * h)
            np.testing.assert_allclose(hessian[n], numeric.ravel(), rtol=1e-6, atol=1e-8)


def test_statistics_are_returned_and_carry_gradients() -> None:
    y, stats = normalize(jnp.asarray(X), INSTANCE, return_stats=True)
    _, wanted = normalize_numpy(X, INSTANCE, return_stats=True)
    for name in ("mean", "var", "rstd"):
        assert getattr(stats, name).shape == (4, 6)
        np.testing.assert_allclose(getattr(stats, name), getattr(wanted, name), rtol=2e-6)
    np.testing.assert_array_equal(stats.set_size, np.full((4, 6), 15))
    again = normalize(jnp.asarray(X), INSTANCE, mean=stats.mean, var=stats.var)
    np.testing.assert_allclose(again, y, **CLOSE)

    def of_stats(x: jax.Array) -> jax.Array:
        stats = normalize(x, INSTANCE, return_stats=True)[1]
        return jnp.sum(stats.mean * 2 + stats.var * 3 + stats.rstd)

    def by_hand(x: jax.Array) -> jax.Array:
        var = x.var((2, 3))
        return jnp.sum(x.mean((2, 3)) * 2 + var * 3 + (var + 1e-5) ** -0.5)

    np.testing.assert_allclose(jax.grad(of_stats)(X), jax.grad(by_hand)(X), rtol=1e-4, atol=1e-6)


def test_a_bare_pattern_has_its_parameters_along_c() -> None:
    y = normalize(jnp.asarray(X), "b (g [c]) [s...]", g=2, scale=SCALE, eps=1e-3)
    wanted = normalize_numpy(X, "b (g [c]) [s...]", g=2, scale=SCALE, eps=1e-3)
    np.testing.assert_allclose(y, wanted, **CLOSE)


# --- precision ------------------------------------------------------------------------------------


def test_a_large_mean_loses_nothing() -> None:
    x = jnp.array([[40000.0, 40001, 40002, 40003]])
    wanted = [[-1.3416355, -0.4472118, 0.4472118, 1.3416355]]
    np.testing.assert_allclose(normalize(x, "b [c]"), wanted, rtol=1e-6)


@each_spec
@pytest.mark.parametrize("mean", [1e3, 20000.0, 1e6])
def test_a_large_mean_of_many_values_loses_nothing(stated: NormSpec, mean: float) -> None:
    x = RNG.normal(mean, 1, (8, 6, 64, 64)).astype(np.float32)
    for given_x in (x, x + np.float32(0)):
        y = jax.jit(lambda x: normalize(x, stated, scale=SCALE, bias=BIAS))(given_x)
        wanted = reference(given_x, stated, scale=SCALE, bias=BIAS)
        np.testing.assert_allclose(y, wanted, rtol=2e-5, atol=2e-5)


def test_what_one_float32_for_the_mean_would_lose() -> None:
    """Twin of the test above: a mean rounded to float32 is not enough near a million."""
    x = RNG.normal(1e6, 1, (8, 6, 64, 64)).astype(np.float32)
    mean = x.mean((0, 2, 3), keepdims=True, dtype=np.float64).astype(np.float32)
    y = (x - mean) / x.std((0, 2, 3), keepdims=True, dtype=np.float64)
    assert np.abs(y - reference(x, spec("[b] c [s...]"))).max() > 1e-4


@each_spec
@pytest.mark.parametrize("value", [0.1, 20000.3, -3e-5])
def test_constant_input_gives_exactly_the_bias(stated: NormSpec, value: float) -> None:
    x = jnp.full((4, 6, 7, 3), value, jnp.float32)
    y = normalize(x, stated, scale=SCALE, bias=BIAS)
    np.testing.assert_array_equal(y, np.broadcast_to(BIAS[:, None, None], y.shape))
    gradient = jax.grad(lambda x: jnp.sum(normalize(x, stated, scale=SCALE)[0, 0, 0, 0]))(x)
    assert np.isfinite(gradient).all()


@each_spec
@pytest.mark.parametrize("dtype", [jnp.float16, jnp.bfloat16])
def test_half_precision_is_computed_in_float32_and_rounded_once(
    stated: NormSpec, dtype: Any
) -> None:
    x = jnp.asarray(X, dtype)
    y = normalize(x, stated, scale=SCALE, bias=BIAS)
    assert y.dtype == dtype
    wide = normalize(x.astype(jnp.float32), stated, scale=SCALE, bias=BIAS)
    np.testing.assert_array_equal(y, wide.astype(dtype))
    gradient = jax.grad(lambda x: jnp.sum(jnp.sin(normalize(x, stated)).astype(jnp.float32)))(x)
    assert gradient.dtype == dtype


def test_float16_near_its_largest_value() -> None:
    x = np.array([[60000.0, -60000.0, 30000.0, 0.0]], np.float16)
    np.testing.assert_allclose(
        normalize(jnp.asarray(x), "b [c]"), reference(x, spec("b [c]")), rtol=1e-3, atol=1e-3
    )


@pytest.mark.parametrize(
    ("x64", "dtype", "wanted", "statistics"),
    [
        (False, np.float64, jnp.float32, jnp.float32),
        (False, ml_dtypes.bfloat16, jnp.bfloat16, jnp.float32),
        (True, np.float64, jnp.float64, jnp.float64),
        (True, np.float32, jnp.float32, jnp.float32),
        (True, np.float16, jnp.float16, jnp.float32),
    ],
)
def test_dtypes_are_those_of_x(x64: bool, dtype: Any, wanted: Any, statistics: Any) -> None:
    with jax.enable_x64(x64):
        y, stats = normalize(X.astype(dtype), INSTANCE, scale=list(SCALE), return_stats=True)
        assert y.dtype == wanted
        assert stats.mean.dtype == stats.rstd.dtype == statistics


# --- masks ----------------------------------------------------------------------------------------


def test_a_set_without_counted_elements_is_the_bias_and_has_no_gradient() -> None:
    mask = np.ones(X.shape, bool)
    mask[0, 1] = False
    x = X.copy()
    x[0, 1, 0, 0] = np.nan
    for eps in (1e-5, 0.0):
        stated = spec("b c [s...]", scale="c", bias="c", eps=eps)
        y, stats = normalize(x, stated, scale=SCALE, bias=BIAS, mask=mask, return_stats=True)
        np.testing.assert_array_equal(y[0, 1], np.full((5, 3), BIAS[1]))
        assert np.isfinite(y).all()
        assert stats.set_size[0, 1] == 0

        def loss(x: jax.Array, scale: jax.Array, bias: jax.Array, stated: NormSpec) -> jax.Array:
            y = normalize(x, stated, scale=scale, bias=bias, mask=mask)
            return jnp.sum(jnp.sin(y))

        gradient = jax.grad(loss, argnums=(0, 1, 2))(x, SCALE, BIAS, stated)
        assert all(np.isfinite(g).all() for g in gradient)
        np.testing.assert_array_equal(gradient[0][0, 1], np.zeros((5, 3)))


def test_padding_has_no_influence_whatever_it_holds() -> None:
    stated = spec("b [s] c")
    x = RNG.normal(size=(2, 8, 3)).astype(np.float32)
    lengths = np.array([5, 8])
    mask = (np.arange(8) < lengths[:, None])[:, :, None]
    for padding in (0.0, 1e6, np.nan, np.inf):
        padded = np.where(mask, x, np.float32(padding))
        y = normalize(padded, stated, mask=mask)
        np.testing.assert_allclose(y[0, :5], reference(x[:1, :5], stated)[0], **CLOSE)
        np.testing.assert_allclose(y[1], reference(x[1:], stated)[0], **CLOSE)


@pytest.mark.parametrize("measure", ["variance", "mean_square", "l2", "l1", "max", "none"])
def test_padding_reaches_no_gradient_whatever_it_holds(measure: str) -> None:
    stated = spec("b [s] c", measure=measure, center=measure in ("variance", "none"), scale="c")
    mask = (np.arange(8) < np.array([5, 8])[:, None])[:, :, None]
    x = RNG.normal(size=(2, 8, 3)).astype(np.float32)

    def loss(x: jax.Array, scale: jax.Array) -> jax.Array:
        y = normalize(x, stated, scale=scale, mask=mask)
        return jnp.sum(jnp.where(mask, jnp.sin(y), 0))

    expected, *others = (
        jax.grad(loss, argnums=(0, 1))(np.where(mask, x, np.float32(padding)), SCALE[:3])
        for padding in (0.0, np.nan, np.inf, -3e38)
    )
    for found in others:
        for one, other in zip(found, expected, strict=True):
            np.testing.assert_allclose(one, other, **CLOSE)


# --- transformations ------------------------------------------------------------------------------


@each_spec
def test_jit_vmap_scan_and_checkpoint_change_nothing(stated: NormSpec) -> None:
    def apply(x: jax.Array) -> jax.Array:
        return normalize(x, stated, scale=SCALE, bias=BIAS)

    many = jnp.stack([X, X * 2 + 1, X**2])
    one_by_one = jnp.stack([apply(x) for x in many])
    np.testing.assert_allclose(jax.jit(jax.vmap(apply))(many), one_by_one, **CLOSE)
    np.testing.assert_allclose(
        lax.scan(lambda carry, x: (carry, apply(x)), 0, many)[1], one_by_one, **CLOSE
    )

    def loss(function: Callable[[jax.Array], jax.Array]) -> Callable[[jax.Array], jax.Array]:
        return lambda x: jnp.sum(jnp.sin(function(x)))

    gradient = jnp.stack([jax.grad(loss(apply))(x) for x in many])
    for other in (
        jax.vmap(jax.grad(loss(apply)))(many),
        jax.jit(jax.vmap(jax.grad(loss(jax.checkpoint(apply)))))(many),
        jax.grad(lambda m: jnp.sum(jnp.sin(lax.map(apply, m))))(many),
        jnp.stack([jax.jit(jax.grad(loss(apply)))(x) for x in many]),
    ):
        np.testing.assert_allclose(other, gradient, **CLOSE)


def test_jacobians_of_both_modes_agree() -> None:
    x = jnp.asarray(X[:2, :, :1, :2])

    def apply(x: jax.Array) -> jax.Array:
        return normalize(x, GROUP, scale=SCALE, bias=BIAS)

    np.testing.assert_allclose(jax.jacfwd(apply)(x), jax.jacrev(apply)(x), **CLOSE)
    y, pushed = jax.linearize(apply, x)
    np.testing.assert_allclose(pushed(x), jax.jvp(apply, (x,), (x,))[1], **CLOSE)
    np.testing.assert_allclose(y, apply(x), **CLOSE)


@each_spec
def test_scan_carries_x_through_a_stack_of_layers(stated: NormSpec) -> None:
    def looped(x: jax.Array) -> jax.Array:
        return lax.scan(lambda x, _: (jnp.sin(normalize(x, stated)), None), x, None, length=3)[0]

    def unrolled(x: jax.Array) -> jax.Array:
        for _ in range(3):
            x = jnp.sin(normalize(x, stated))
        return x

    for function in (lambda f: f, lambda f: jax.grad(lambda x: jnp.sum(f(x) ** 3))):
        np.testing.assert_allclose(function(looped)(X), function(unrolled)(X), **CLOSE)


def test_a_named_axis_of_vmap_is_part_of_the_set() -> None:
    part = jnp.asarray(X).reshape(2, 2, 6, 5, 3)

    def loss(x: jax.Array, whole: bool) -> jax.Array:
        if whole:
            return jnp.sum(jnp.sin(normalize(x.reshape(X.shape), BATCH, scale=SCALE)))
        named = jax.vmap(lambda x: normalize(x, BATCH, scale=SCALE, axis_name="i"), axis_name="i")
        return jnp.sum(jnp.sin(named(x)))

    np.testing.assert_allclose(loss(part, False), loss(part, True), rtol=1e-5)
    np.testing.assert_allclose(
        jax.grad(loss)(part, False), jax.grad(loss)(part, True), rtol=1e-5, atol=1e-5
    )


def test_the_same_part_in_a_longer_named_axis_is_another_set() -> None:
    """What `jit` remembers of one axis size must not be used for another."""
    part = jnp.asarray(X).reshape(4, 1, 6, 5, 3)
    for n in (2, 4, 3):
        named = jax.vmap(lambda x: normalize(x, BATCH, axis_name="i"), axis_name="i")(part[:n])
        np.testing.assert_allclose(named[:, 0], reference(X[:n], BATCH), **CLOSE)


def test_without_jit_and_with_nan_checks() -> None:
    mask = np.zeros(X.shape, bool)
    with jax.disable_jit():
        np.testing.assert_allclose(normalize(jnp.asarray(X), GROUP), reference(X, GROUP), **CLOSE)
    with jax.debug_nans(True):
        gradient = jax.grad(lambda x: jnp.sum(normalize(x, "[b] c h w", eps=0.0, mask=mask)))(X)
    np.testing.assert_array_equal(gradient, np.zeros(X.shape))


# --- what is kept, and what XLA sees --------------------------------------------------------------


def residuals(function: Callable[..., jax.Array], *arguments: jax.Array) -> list[Any]:
    """The shape and dtype of everything that the backward pass keeps."""
    leaves = jax.tree.leaves(jax.vjp(function, *arguments)[1])
    return sorted((np.shape(leaf), jnp.result_type(leaf).name) for leaf in leaves)


def large(found: list[Any]) -> list[Any]:
    return [entry for entry in found if np.prod(entry[0]) > 100]


@each_spec
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_the_backward_pass_keeps_x_and_a_few_numbers_per_set(stated: NormSpec, dtype: str) -> None:
    x = jnp.asarray(X, dtype)
    mask = jnp.asarray(RNG.random((4, 1, 5, 3)) < 0.8)

    def apply(x: jax.Array, scale: jax.Array, bias: jax.Array) -> jax.Array:
        return normalize(x, stated, scale=scale, bias=bias)

    def masked(x: jax.Array, scale: jax.Array, bias: jax.Array) -> jax.Array:
        return normalize(x, stated, scale=scale, bias=bias, mask=mask)

    sets = stated.layout(X.shape).num_sets
    for function, masks in ((apply, 0), (masked, mask.size)):
        found = residuals(function, x, jnp.asarray(SCALE), jnp.asarray(BIAS))
        assert [e for e in found if e[0] == X.shape] == [(X.shape, dtype)]
        elements = sum(int(np.prod(shape)) for shape, _ in found)
        # pivot, rest, var, rstd and two counts per set; scale
        assert elements <= X.size + masks + 6 * sets + SCALE.size


def test_plain_autodiff_keeps_more() -> None:
    """Twin of the test above: the check can fail."""
    arguments = [jnp.asarray(a) for a in (X, SCALE, BIAS)]
    found = residuals(lambda *a: plain(*a, (0, 2, 3), (6, 1, 1)), *arguments)
    assert len([e for e in found if e[0] == X.shape]) > 1


def test_xla_gets_plain_operations() -> None:
    def gradient(x: jax.Array) -> jax.Array:
        return jax.grad(lambda x: jnp.sum(jnp.sin(normalize(x, GROUP, scale=SCALE))))(x)

    text = jax.jit(gradient).lower(jnp.asarray(X)).as_text()
    assert "stablehlo" in text
    assert "custom_call" not in text
    assert "optimization_barrier" not in text


def test_a_user_may_save_other_things_beside() -> None:
    """A policy of an outer checkpoint does not see, and does not disturb, the inner one."""

    def block(x: jax.Array) -> jax.Array:
        return jnp.sin(checkpoint_name(normalize(x, LAYER, scale=SCALE), "out"))

    policy = jax.checkpoint_policies.save_only_these_names("out")
    found = residuals(jax.checkpoint(block, policy=policy), jnp.asarray(X))
    assert [e[0] for e in large(found)] == [X.shape, X.shape]
    np.testing.assert_allclose(
        jax.grad(lambda x: jnp.sum(jax.checkpoint(block, policy=policy)(x)))(X),
        jax.grad(lambda x: jnp.sum(block(x)))(X),
        **CLOSE,
    )


# --- the contract ---------------------------------------------------------------------------------


def test_the_contract_holds_while_tracing() -> None:
    for wrapped in (jax.jit, jax.vmap, jax.checkpoint, lambda f: f):
        with pytest.raises(ShapeError, match='pattern "b \\[c\\] d e f" has 5 axes'):
            wrapped(lambda x: normalize(x, "b [c] d e f"))(jnp.asarray(X))
    with pytest.raises(ShapeError, match="holds no value"):
        normalize(jnp.asarray(X[:, :, :0]), INSTANCE)
    with pytest.raises(ShapeError, match="ddof=1 divides by 0"):
        normalize(jnp.asarray(X[:, :, :1, :1]), NormSpec("b c [h w]", ddof=1))


def test_an_empty_batch_gives_an_empty_result() -> None:
    for stated in (INSTANCE, NormSpec("b c [s...]", measure="max")):
        y, stats = normalize(jnp.asarray(X[:0]), stated, return_stats=True)
        assert y.shape == (0, 6, 5, 3)
        assert stats.mean.shape == (0, 6)
    assert normalize(jnp.zeros((0, 0)), "b [c]").shape == (0, 0)
    with pytest.raises(ShapeError, match="holds no value"):
        normalize(jnp.asarray(X[:0]), "[b] c h w")


@pytest.mark.parametrize(
    ("arguments", "error", "said"),
    [
        ({"scale": np.ones(5)}, ShapeError, "scale has shape"),
        ({"scale": np.ones((6, 1))}, ShapeError, "scale has shape"),
        ({"scale": 1.0}, ShapeError, "scale has shape"),
        ({"bias": np.ones((2, 3))}, ShapeError, "bias has shape"),
        ({"mean": np.zeros(24), "var": np.ones(23)}, ShapeError, "var has shape"),
        ({"mask": np.ones((3, 1, 1, 1), bool)}, ShapeError, "mask of shape"),
        ({"mask": np.ones((2, 4, 6, 5, 3), bool)}, ShapeError, "mask of shape"),
        ({"mean": np.zeros(24)}, SpecError, "belong together"),
        ({"var": np.zeros(24)}, SpecError, "belong together"),
        ({"mask": np.ones(X.shape)}, DtypeError, "mask has dtype"),
        ({"scale": np.array(["a"] * 6)}, DtypeError, "scale has dtype <U1"),
        ({"scale": np.ones(6, complex)}, DtypeError, "complex"),
        ({"eps": 1e-3}, SpecError, "eps"),
    ],
)
def test_contradictions_are_refused(
    arguments: dict[str, Any], error: type[Exception], said: str
) -> None:
    with pytest.raises(error, match=said):
        normalize(jnp.asarray(X), INSTANCE, **arguments)


def test_an_axis_name_that_is_not_there_is_refused() -> None:
    with pytest.raises(SpecError, match="axis_name='d' is no mapped axis here"):
        normalize(jnp.asarray(X), BATCH, axis_name="d")


def test_a_parameter_that_the_spec_does_not_have_is_refused() -> None:
    with pytest.raises(SpecError, match="the spec has no scale"):
        normalize(jnp.asarray(X), spec("b c [s...]"), scale=SCALE)
    with pytest.raises(SpecError, match="no axis called c"):
        normalize(jnp.asarray(X), "b d [s...]", scale=SCALE)


@pytest.mark.parametrize(
    ("x", "said"),
    [
        (jnp.ones(X.shape, jnp.complex64), "complex64"),
        (jnp.ones(X.shape, jnp.float8_e4m3fn), "float8"),
        (X.tolist(), "a list"),
        (None, "NoneType"),
        (3.0, "a float"),
        (np.ma.masked_array(X), "masked array"),
    ],
)
def test_what_cannot_be_normalized_is_refused(x: object, said: str) -> None:
    with pytest.raises(DtypeError, match=said):
        normalize(x, INSTANCE)  # type: ignore[call-overload]


# --- guards ---------------------------------------------------------------------------------------

GUARDS = [
    {"measure": "none"},
    {"eps": 0, "unit_below": 0},
    {"eps": 0, "unit_below": 0.5},
    {"eps": 1e-12, "eps_outside": 1e-3, "unit_below": 0.5},
    {"eps": 0, "unit_below": 0, "center": False, "measure": "l2"},
    {"eps": 0, "unit_below": 0.5, "center": False, "measure": "max"},
]


@pytest.mark.parametrize("fields", GUARDS, ids=str)
@pytest.mark.parametrize("dtype", [np.float32, "bfloat16"])
def test_a_divisor_that_would_be_0_is_1(fields: dict, dtype: Any) -> None:
    """Sets of 0, of a number that no float holds, and of a deviation below 0.5; and gradients."""
    x = np.array([[0.1] * 4, [0] * 4, [0.1, 0.2, 0.1, 0.3], [1, 2, 5, 3]])
    x = np.asarray(jnp.asarray(x, dtype), np.float32)
    stated = spec("b [c]", scale="c", **fields)
    scale = np.array([1.0, -2, 0.5, 3], np.float32)
    wanted = reference(x, stated, scale=scale)
    close = CLOSE if dtype is np.float32 else {"rtol": 1e-2, "atol": 1e-2}
    given = jnp.asarray(x, dtype)
    y, stats = normalize(given, stated, scale=scale, return_stats=True)
    np.testing.assert_allclose(np.asarray(y, np.float32), wanted, **close)
    known = {"mean": stats.mean, "var": stats.var}
    again = normalize(given, stated, scale=scale, **known)
    np.testing.assert_allclose(np.asarray(again, np.float32), wanted, **close)

    def loss(x: jax.Array, var: jax.Array) -> jax.Array:
        both = normalize(x, stated, scale=scale), normalize(x, stated, mean=stats.mean, var=var)
        return sum(jnp.sum(jnp.sin(y.astype(jnp.float32))) for y in both)

    by_x, by_var = jax.grad(loss, argnums=(0, 1))(given, stats.var)
    assert np.isfinite(np.asarray(by_x, np.float32)).all()
    assert np.isfinite(by_var).all()
    if stated.measure == "none":
        np.testing.assert_array_equal(stats.var, 1)
        np.testing.assert_array_equal(stats.rstd, 1)
        np.testing.assert_allclose(
            normalize(given, stated, scale=scale, mean=stats.mean).astype(np.float32),
            wanted,
            **close,
        )
        with pytest.raises(SpecError, match="the mean is all that is used"):
            normalize(given, stated, var=stats.var)


def test_the_derivative_beside_a_guard_is_that_of_numpy() -> None:
    x = np.array([[0.3, 0.3, 0.3, 0.3], [0.1, 0.2, 0.1, 0.3], [1, 2, 5, 3]])
    dy = RNG.normal(size=x.shape)
    for fields in GUARDS[:-1]:
        stated = spec("b [c]", **fields)
        _, stats = normalize_numpy(x, stated, return_stats=True)
        wanted = gradients(dy, x, stated, mean=stats.mean, rstd=stats.rstd).x
        with jax.enable_x64(True):
            _, pull = jax.vjp(lambda x, s=stated: normalize(x, s), jnp.asarray(x))
            np.testing.assert_allclose(pull(jnp.asarray(dy))[0], wanted, rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize("dtype", ["bool", "uint8", "int16", "int32", "int64"])
def test_integers_are_computed_as_floats(dtype: str) -> None:
    x = np.arange(24).reshape(4, 6).astype(dtype)
    wanted = normscope.normalize(x, "b [c]")
    for array in (x, jnp.asarray(x)):
        found = normalize(array, "b [c]")
        assert found.dtype == jnp.float32  # without jax_enable_x64 there is no other
        np.testing.assert_allclose(found, wanted, atol=1e-6)  # float32 beside float64
    jitted = jax.jit(lambda x: normalize(x, "b [c]"))(x)
    np.testing.assert_allclose(jitted, wanted, atol=1e-6)

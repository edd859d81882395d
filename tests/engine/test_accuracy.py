"""Never less exact than any framework on the same input: every result is rounded once.

That each result is rounded once is tried on thousands of random problems with the means, sizes and
kinds below, and implies that no peer is more exact. Each peer still gets some of them for each
normalization that it can express: what it returns is really compared, not a bound alone. Peers are
called eagerly, with eps = 1e-5, without parameters. Left out:

    torch, batch     sets of a single value, which it refuses
    TensorFlow, RMS  it has no such operation
    JAX              has no normalization but `jax.nn.standardize`, whose variance is E[x**2] -
                     E[x]**2; its peer is the exact formula that a user would write
    Keras            runs on the backend of this process
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cache
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, reject, settings, strategies as st

from engine import exact
from normscope import NormSpec, normalize, reference, spec

LAYER, BATCH = spec("b [c]"), spec("[b] c")
RMS = spec("b [c]", center=False, measure="mean_square")
SPECS = {"layer": LAYER, "batch": BATCH, "rms": RMS}
AXIS = {"layer": 1, "batch": 0, "rms": 1}

MEANS = [0.0, 1.0, -1e3, 1e6, 3e4]
"""In units of the standard deviation."""
SIZES: dict[Any, list[float]] = {
    np.float32: [1e-44, 1e-40, 1e-30, 1e-3, 1.0, 1e3, 1e30],  # denormal ones first
    np.float64: [1e-310, 1e-300, 1e-40, 1e-3, 1.0, 1e3, 1e30, 1e80, 1e200, 1e300],
    np.float16: [1e-7, 1e-5, 1e-2, 1.0],
}
LENGTHS = [1, 2, 3, 17, 64, 300, 2000]
KINDS = ["normal", "normal", "constant", "one outlier", "two values"]
NUMBER = 2000

SHAPES = st.tuples(st.integers(1, 6), st.sampled_from(LENGTHS))
FEW_SHAPES = st.sampled_from([(1, 3), (5, 1), (5, 17), (3, 300)])
"""Of what peers get: JAX compiles anew for each."""

Shapes = st.SearchStrategy[tuple[int, int]]


@st.composite
def problems(draw: st.DrawFn, dtype: Any = np.float32, shapes: Shapes = SHAPES) -> np.ndarray:
    shape = draw(shapes)
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    kind = draw(st.sampled_from(KINDS))
    x = rng.normal(size=shape)
    if kind == "constant":
        x[...] = rng.normal()
    elif kind == "one outlier":
        x[:, 0] = 1e4
    elif kind == "two values":
        x = np.sign(x)
    x += draw(st.sampled_from(MEANS))
    largest = draw(st.sampled_from(["overflow", None])) if dtype is np.float16 else None
    if largest:  # the largest number of float16 itself
        x *= 65504.0 / max(np.abs(x).max(), 1e-3)
    else:
        x *= draw(st.sampled_from(SIZES[dtype]))
    return np.clip(x, -np.finfo(dtype).max, np.finfo(dtype).max).astype(dtype)


def extended(x: np.ndarray, name: str) -> tuple[np.ndarray, np.ndarray]:
    """The result in extended precision, and how far one ulp of float64 in the mean moves it."""
    axis, wide = AXIS[name], x.astype(np.longdouble)
    ulp = np.spacing(np.abs(x).max(axis, keepdims=True).astype(np.float64))
    if name == "rms":
        ulp = np.zeros_like(ulp)
    else:
        wide = wide - wide.mean(axis, keepdims=True)
    v = (wide**2).mean(axis, keepdims=True)
    divisor = np.sqrt(v + np.longdouble(SPECS[name].eps))
    return wide / divisor, ulp / divisor


def once_rounded(wanted: np.ndarray, conditioning: np.ndarray, dtype: Any) -> np.ndarray:
    """How far a float64 result that was rounded once, to `dtype`, may lie from the exact one."""
    ulp = np.spacing(np.abs(wanted).astype(dtype)).astype(np.float64)
    return ulp / 2 * 1.001 + conditioning


@pytest.mark.slow
@pytest.mark.parametrize("name", SPECS)
@pytest.mark.parametrize("dtype", [np.float32, np.float16])
def test_rounded_once(dtype: Any, name: str) -> None:
    @given(problems(dtype))
    @settings(max_examples=NUMBER if dtype is np.float32 else NUMBER // 4)
    @example(np.array([[40000.0, 40001, 40002, 40003]], dtype))
    @example(np.array([[20000.0], [20001], [20003]], dtype))
    def check(x: np.ndarray) -> None:
        wanted, conditioning = extended(x, name)
        error = np.abs(normalize(x, SPECS[name]) - wanted)
        assert (error <= once_rounded(wanted, conditioning, dtype)).all()

    check()


# --- peers ----------------------------------------------------------------------------------------


def torch_peer(x: np.ndarray, name: str) -> np.ndarray:
    import torch
    from torch.nn import functional

    tensor = torch.from_numpy(x)
    if name == "batch":
        if len(x) == 1:
            reject()
        return functional.batch_norm(tensor, None, None, training=True).numpy()
    native = functional.layer_norm if name == "layer" else functional.rms_norm
    return native(tensor, x.shape[1:], eps=1e-5).numpy()


def jax_peer(x: np.ndarray, name: str) -> np.ndarray:
    import jax.numpy as jnp
    from jax import lax

    a, axis = jnp.asarray(x), AXIS[name]
    if name != "rms":
        a = a - a.mean(axis, keepdims=True)
    return np.asarray(a * lax.rsqrt((a * a).mean(axis, keepdims=True) + 1e-5))


def tensorflow_peer(x: np.ndarray, name: str) -> np.ndarray:
    import tensorflow as tf

    mean, var = tf.nn.moments(tf.constant(x), [AXIS[name]], keepdims=True)
    return tf.nn.batch_normalization(x, mean, var, None, None, 1e-5).numpy()


def keras_peer(x: np.ndarray, name: str) -> np.ndarray:
    import keras

    layer = _keras_layer(name, x.shape[1], x.dtype.name)
    y = layer(x, training=True) if name == "batch" else layer(x)
    return np.asarray(keras.ops.convert_to_numpy(y))


@cache
def _keras_layer(name: str, features: int, dtype: str) -> Any:
    from keras import layers

    plain = {"epsilon": 1e-5, "dtype": dtype}
    if name == "rms":
        return layers.RMSNormalization(**plain)
    if name == "layer":
        return layers.LayerNormalization(center=False, scale=False, **plain)
    return layers.BatchNormalization(center=False, scale=False, **plain)


Peer = Callable[[np.ndarray, str], np.ndarray]
PEERS: list[tuple[Peer, str]] = [
    *((torch_peer, name) for name in SPECS),
    *((jax_peer, name) for name in SPECS),
    *((tensorflow_peer, name) for name in ("layer", "batch")),
    *((keras_peer, name) for name in SPECS),
]


def less_exact(x: np.ndarray, y: np.ndarray, peer: np.ndarray, name: str) -> np.ndarray:
    """Where y is further from the exact result than the peer, and than one rounding explains."""
    wanted, conditioning = extended(x, name)
    error, theirs = np.abs(y - wanted), np.abs(peer - wanted)
    theirs = np.where(np.isnan(theirs), np.inf, theirs)
    return ~(error <= np.maximum(theirs, once_rounded(wanted, conditioning, x.dtype.type)))


@pytest.mark.framework
@pytest.mark.filterwarnings("ignore:overflow encountered:RuntimeWarning")
@pytest.mark.parametrize(("peer", "name"), PEERS, ids=lambda p: getattr(p, "__name__", p))
@pytest.mark.parametrize("dtype", [np.float32, np.float16])
def test_never_less_exact_than_a_framework(dtype: Any, peer: Peer, name: str) -> None:
    @given(problems(dtype, FEW_SHAPES))
    @settings(max_examples=50)
    @example(np.array([[40000.0, 40001, 40002, 40003]], dtype))
    @example(np.array([[20000.0], [20001], [20003]], dtype))
    def check(x: np.ndarray) -> None:
        with np.errstate(all="ignore"):
            theirs = peer(x, name)
        assert theirs.dtype == x.dtype
        assert not less_exact(x, normalize(x, SPECS[name]), theirs, name).any()

    check()


@pytest.mark.framework
def test_a_less_exact_result_is_noticed() -> None:
    """The twin: the formula E[x**2] - E[x]**2 in float32 must be found worse."""
    x = np.array([[40000.0, 40001, 40002, 40003]], np.float32)
    with np.errstate(all="ignore"):
        naive = (x - x.mean()) / np.sqrt((x**2).mean() - x.mean() ** 2 + np.float32(1e-5))
    assert less_exact(x, naive, torch_peer(x, "layer"), "layer").any()
    off = np.nextafter(normalize(x, LAYER), np.float32(9))
    assert less_exact(x, off, normalize(x, LAYER), "layer").any()


# --- float64 --------------------------------------------------------------------------------------

Arrange = Callable[[np.ndarray, int], np.ndarray]


@dataclass(frozen=True)
class Form:
    """How statistics sets, the rows of a matrix, lie in an array: `arrange(sets, p)`.

    p divides the size of a set; `axes` are those along which an array of `split`, or else the array
    itself, is normalized. A group is a channel of `split`.
    """

    pattern: str
    axes: tuple[int, ...]
    arrange: Arrange
    split: Callable[[np.ndarray, int], np.ndarray] = lambda x, groups: x
    center: bool = True

    def spec(self, groups: int) -> NormSpec:
        sizes = {"g": groups} if "g" in self.pattern else {}
        measure = "variance" if self.center else "mean_square"
        return spec(self.pattern, sizes=sizes, center=self.center, measure=measure)


def _parts(sets: np.ndarray, p: int) -> np.ndarray:
    return sets.reshape(len(sets), p, -1)


FORMS = {
    "layer": Form("b [c]", (1,), lambda x, p: x),
    "rms": Form("b [c]", (1,), lambda x, p: x, center=False),
    "batch": Form("[b] c", (0,), lambda x, p: x.T),
    "batch, channels first": Form("[b] c [h]", (0, 2), lambda x, p: _parts(x, p).swapaxes(0, 1)),
    "batch, channels last": Form("[b h] c", (0, 1), lambda x, p: np.moveaxis(_parts(x, p), 0, -1)),
    "instance": Form("b c [h]", (2,), lambda x, p: x[None]),
    "instance, channels last": Form("b [h] c", (1,), lambda x, p: x.T[None]),
    "group": Form(
        "b (g [c]) [h]", (2, 3), lambda x, p: x.reshape(1, len(x) * p, -1),
        lambda a, g: a.reshape(1, g, a.shape[1] // g, -1),
    ),
    "group, channels last": Form(
        "b [h] (g [c])", (1, 3),
        lambda x, p: _parts(x, p).transpose(2, 0, 1).reshape(1, -1, len(x) * p),
        lambda a, g: a.reshape(1, a.shape[1], g, -1),
    ),
}  # fmt: skip


ROUNDED_ONCE = 0.5 + 2.0**-16
"""Ulps: half of one, and what is left of the errors of sums."""


def errors(form: Form, sets: np.ndarray, p: int, *results: np.ndarray) -> list[float]:
    """The largest error of each result, in ulps."""
    numbers = form.arrange(np.arange(sets.size).reshape(sets.shape), p).ravel()
    worst = []
    wanted = [exact.normalized(row, 1e-5, form.center) for row in sets]
    for result in results:
        found = np.empty(sets.size)
        found[numbers] = result.ravel()
        rows = zip(found.reshape(sets.shape), wanted, strict=True)
        worst.append(max(exact.ulps(row, one) for row, one in rows))
    return worst


@st.composite
def float64_problems(
    draw: st.DrawFn, names: Sequence[str] = tuple(FORMS), shapes: Shapes = SHAPES
) -> Any:
    name, sets = draw(st.sampled_from(names)), draw(problems(np.float64, shapes))
    p = draw(st.sampled_from([p for p in (1, 2, 3, 4, 17) if sets.shape[1] % p == 0]))
    return name, sets, p


@pytest.mark.slow
@given(float64_problems())
@settings(max_examples=NUMBER // 2)
def test_float64_is_rounded_once(problem: tuple[str, np.ndarray, int]) -> None:
    name, sets, p = problem
    form = FORMS[name]
    (error,) = errors(form, sets, p, normalize(form.arrange(sets, p), form.spec(len(sets))))
    assert error <= ROUNDED_ONCE


@pytest.mark.parametrize("name", ["layer", "batch", "instance, channels last"])
@pytest.mark.parametrize("digits", range(2, 52, 3))
def test_float64_is_rounded_once_however_many_digits_cancel(digits: int, name: str) -> None:
    """Means 2**digits deviations away from 0, around the places where sums are taken again."""
    rng = np.random.default_rng(digits)
    sets = 1 + 2.0**-digits * rng.normal(size=(2, 3000))
    (error,) = errors(
        FORMS[name], sets, 1, normalize(FORMS[name].arrange(sets, 1), FORMS[name].spec(2))
    )
    assert error <= ROUNDED_ONCE


@pytest.mark.parametrize("pattern", ["b [c]", "[c] b"])
@pytest.mark.parametrize("along", ["c", "b"])
@pytest.mark.parametrize("digits", [0, 8, 15, 17])
def test_float64_with_a_bias_is_rounded_once(pattern: str, along: str, digits: int) -> None:
    """However many digits of it cancel: the bias is -scale * y, but for its last ones."""
    rng = np.random.default_rng(digits)
    x = rng.normal(2, 3, (5, 40))
    wanted = [exact.normalized(row, 1e-5, True) for row in x]
    size = 40 if along == "c" else 5
    scale = rng.normal(size=size)
    y = np.array([row.near for row in wanted])
    near = y[0] if along == "c" else y[:, 0]
    bias = -scale * near * (1 + rng.normal(size=size) * 10.0**-digits)
    stated = spec(pattern, scale=along, bias=along)
    found = normalize(x if pattern == "b [c]" else x.T, stated, scale=scale, bias=bias)
    found = found if pattern == "b [c]" else found.T
    for b, c in np.ndindex(5, 40):
        p = c if along == "c" else b
        z = Fraction(wanted[b].near[c]) + Fraction(wanted[b].rest[c])
        true = z * Fraction(scale[p]) + Fraction(bias[p])
        allowed = Fraction(0.51 * np.spacing(abs(float(true)))) + abs(z) / 2**98
        assert abs(Fraction(found[b, c]) - true) <= allowed


def torch_float64(x: np.ndarray, name: str, groups: int) -> np.ndarray:
    import torch
    from torch.nn import functional

    tensor = torch.from_numpy(np.ascontiguousarray(x))
    if name in ("layer", "rms"):
        return torch_peer(np.ascontiguousarray(x), name)
    if name.startswith("batch"):
        y = functional.batch_norm(tensor, None, None, training=True)
    elif name == "instance":
        y = functional.instance_norm(tensor)
    else:
        y = functional.group_norm(tensor, groups)
    return y.numpy()


def jax_float64(x: np.ndarray, name: str, groups: int) -> np.ndarray:
    import jax
    from jax import lax, numpy as jnp

    form = FORMS[name]
    with jax.enable_x64(True):
        a = jnp.asarray(form.split(x, groups))
        if form.center:
            a = a - a.mean(form.axes, keepdims=True)
        y = a * lax.rsqrt((a * a).mean(form.axes, keepdims=True) + 1e-5)
        return np.asarray(y).reshape(x.shape)


def tensorflow_float64(x: np.ndarray, name: str, groups: int) -> np.ndarray:
    import tensorflow as tf

    form = FORMS[name]
    a = form.split(x, groups)
    mean, var = tf.nn.moments(tf.constant(a), form.axes, keepdims=True)
    return tf.nn.batch_normalization(a, mean, var, None, None, 1e-5).numpy().reshape(x.shape)


def keras_float64(x: np.ndarray, name: str, groups: int) -> np.ndarray:
    import jax
    import keras
    from keras import layers

    plain = {"epsilon": 1e-5, "dtype": "float64"}
    bare = {**plain, "center": False, "scale": False}
    last = name.endswith("channels last") or name == "batch"
    with jax.enable_x64(True):
        if name == "rms":
            y = layers.RMSNormalization(**plain)(x)
        elif name == "layer":
            y = layers.LayerNormalization(**bare)(x)
        elif name.startswith("batch"):
            y = layers.BatchNormalization(axis=-1 if last else 1, **bare)(x, training=True)
        else:
            y = layers.GroupNormalization(groups, axis=-1 if last else 1, **bare)(x)
        return np.asarray(keras.ops.convert_to_numpy(y))


Float64Peer = Callable[[np.ndarray, str, int], np.ndarray]
FLOAT64_PEERS: dict[Float64Peer, list[str]] = {
    torch_float64: ["layer", "rms", "batch", "batch, channels first", "instance", "group"],
    jax_float64: list(FORMS),
    tensorflow_float64: [name for name in FORMS if name != "rms"],
    keras_float64: list(FORMS),
}


@pytest.mark.framework
@pytest.mark.parametrize("peer", FLOAT64_PEERS, ids=lambda p: p.__name__)
def test_never_less_exact_in_float64(peer: Float64Peer) -> None:
    @given(float64_problems(FLOAT64_PEERS[peer], FEW_SHAPES))
    @settings(max_examples=50)
    def check(problem: tuple[str, np.ndarray, int]) -> None:
        name, sets, p = problem
        form, groups = FORMS[name], len(sets)
        x = form.arrange(sets, p)
        if peer is torch_float64 and name not in ("layer", "rms") and sets.shape[1] == 1:
            reject()
        with np.errstate(all="ignore"):
            theirs = peer(x, name, groups)
        assert theirs.dtype == np.float64
        ours, other = errors(form, sets, p, normalize(x, form.spec(groups)), theirs)
        assert ours <= max(other, ROUNDED_ONCE)

    check()


def test_an_error_of_one_ulp_in_float64_is_noticed() -> None:
    """The twin."""
    sets = np.array([[1.0, 2.0, 4.0]])
    y = normalize(sets, LAYER)
    right, wrong = errors(FORMS["layer"], sets, 1, y, np.nextafter(y, 9))
    assert right <= 0.5 <= wrong


# --- other dtypes and limits ----------------------------------------------------------------------


@pytest.mark.parametrize("size", [60000.0, 65504.0, 6e-8, 1e-5])
def test_float16_at_its_limits(size: float) -> None:
    x = (np.array([[-1.0, 1.0, 0.5, 0.25, 0.0]]) * size).astype(np.float16)
    np.testing.assert_array_equal(normalize(x, LAYER), reference(x, LAYER).astype(np.float16))


def test_a_set_of_one_element_is_zero() -> None:
    x = np.array([[1e30], [5.0], [-0.0]], np.float32)
    np.testing.assert_array_equal(normalize(x, LAYER), np.zeros_like(x))


@given(problems(), st.sampled_from(list(SPECS)), st.data())
@settings(max_examples=500)
def test_nan_and_infinity_stay_in_their_set(x: np.ndarray, name: str, data: st.DataObject) -> None:
    stated: NormSpec = SPECS[name]
    clean = normalize(x, stated)
    place = tuple(data.draw(st.integers(0, size - 1)) for size in x.shape)
    x[place] = data.draw(st.sampled_from([np.nan, np.inf, -np.inf]))
    kept = 1 - AXIS[name]
    others = np.arange(x.shape[kept]) != place[kept]
    found = normalize(x, stated)
    np.testing.assert_array_equal(found.compress(others, kept), clean.compress(others, kept))
    assert np.isnan(found[place])
    if name != "rms":
        assert np.isnan(found.compress(~others, kept)).all()

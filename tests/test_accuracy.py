"""Never less exact than any framework on the same input, and within 4 ulp of the exact result."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, settings, strategies as st

from normscope import normalize, reference, spec

LAYER, BATCH = spec("b [c]"), spec("[b] c")
MEANS = [0.0, 1.0, -1e3, 1e6, 3e4]
SIZES = [1e-40, 1e-30, 1e-3, 1.0, 1e3, 1e30]


@st.composite
def problems(draw: st.DrawFn, dtype: type = np.float32) -> np.ndarray:
    shape = draw(st.tuples(st.integers(1, 6), st.sampled_from([1, 2, 3, 17, 64, 300])))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    kind = draw(st.sampled_from(["normal", "constant", "one outlier", "two values"]))
    x = rng.normal(size=shape)
    if kind == "constant":
        x[...] = rng.normal()
    elif kind == "one outlier":
        x[:, 0] = 1e4
    elif kind == "two values":
        x = np.sign(x)
    return ((x + draw(st.sampled_from(MEANS))) * draw(st.sampled_from(SIZES))).astype(dtype)


def exact(x: np.ndarray, stated: Any) -> np.ndarray:
    """The result in extended precision, so that it can judge float64 arithmetic too."""
    wide = x.astype(np.longdouble)
    axis = 1 if stated is LAYER else 0
    centred = wide - wide.mean(axis, keepdims=True)
    variance = (centred**2).mean(axis, keepdims=True)
    return centred / np.sqrt(variance + np.longdouble(stated.eps))


@given(problems(), st.sampled_from([LAYER, BATCH]))
@settings(max_examples=2000)
def test_within_one_ulp_of_the_exact_result(x: np.ndarray, stated: Any) -> None:
    wanted = exact(x, stated)
    found = normalize(x, stated)
    rounded = wanted.astype(np.float32)
    # the exact mean has a rounding error of its own, in units of the largest deviation
    allowed = np.spacing(np.abs(rounded)) * 1.001 + np.abs(wanted).max() * 1e-11
    assert (np.abs(found - wanted) <= allowed).all()


def torch_layer(x: np.ndarray) -> np.ndarray:
    import torch

    return torch.nn.functional.layer_norm(torch.from_numpy(x), x.shape[1:]).numpy()


def torch_batch(x: np.ndarray) -> np.ndarray:
    import torch

    return torch.nn.functional.batch_norm(torch.from_numpy(x), None, None, training=True).numpy()


def jax_layer(x: np.ndarray) -> np.ndarray:
    import jax.numpy as jnp
    from jax import lax

    a = jnp.asarray(x)
    centred = a - a.mean(1, keepdims=True)
    return np.asarray(centred * lax.rsqrt((centred**2).mean(1, keepdims=True) + 1e-5))


def tensorflow_batch(x: np.ndarray) -> np.ndarray:
    import tensorflow as tf

    mean, var = tf.nn.moments(tf.constant(x), [0])
    return tf.nn.batch_normalization(x, mean, var, None, None, 1e-5).numpy()


PEERS: list[tuple[Callable[[np.ndarray], np.ndarray], Any]] = [
    (torch_layer, LAYER),
    (torch_batch, BATCH),
    (jax_layer, LAYER),
    (tensorflow_batch, BATCH),
]


@pytest.mark.parametrize(("peer", "stated"), PEERS, ids=lambda p: getattr(p, "__name__", ""))
@given(x=problems())
@settings(max_examples=150)
@example(x=np.array([[40000.0, 40001, 40002, 40003]], np.float32))
def test_never_less_exact_than_a_framework(
    peer: Callable[[np.ndarray], np.ndarray], stated: Any, x: np.ndarray
) -> None:
    if stated is BATCH and len(x) < 2:
        return  # torch refuses a single value
    wanted = exact(x, stated)
    error = np.abs(normalize(x, stated) - wanted).max()
    with np.errstate(all="ignore"):
        theirs = np.abs(peer(x) - wanted).max()
    half = np.spacing(np.abs(wanted).max().astype(np.float32)) / 2 * 1.001
    assert error <= max(float(half), float(theirs)) or np.isnan(theirs)


def test_a_frameworks_error_is_noticed() -> None:
    """The twin: the formula E[x**2] - E[x]**2 in float32 must be found worse."""
    x = np.array([[40000.0, 40001, 40002, 40003]], np.float32)
    wanted = exact(x, LAYER)
    with np.errstate(all="ignore"):
        naive = (x - x.mean()) / np.sqrt((x**2).mean() - x.mean() ** 2 + np.float32(1e-5))
        assert not np.abs(naive - wanted).max() < 100 * np.abs(normalize(x, LAYER) - wanted).max()


@given(problems(np.float64), st.sampled_from([LAYER, BATCH]))
@settings(max_examples=500)
def test_float64_is_as_exact_as_its_input_allows(x: np.ndarray, stated: Any) -> None:
    wanted = exact(x, stated)
    found = normalize(x, stated)
    # the input itself is known to half an ulp, and the mean of float64 has that error
    axis = 1 if stated is LAYER else 0
    with np.errstate(all="ignore"):
        spread = np.sqrt(x.astype(np.longdouble).var(axis, keepdims=True) + 1e-5)
        conditioning = np.spacing(np.abs(x).max(axis, keepdims=True)) / spread
    assert (np.abs(found - wanted) <= 8 * np.spacing(np.abs(found)) + 2 * conditioning).all()


@pytest.mark.parametrize("size", [60000.0, 65504.0, 6e-8, 1e-5])
def test_float16_at_its_limits(size: float) -> None:
    x = (np.array([[-1.0, 1.0, 0.5, 0.25, 0.0]]) * size).astype(np.float16)
    np.testing.assert_array_equal(normalize(x, LAYER), reference(x, LAYER).astype(np.float16))


def test_a_set_of_one_element_is_zero() -> None:
    x = np.array([[1e30], [5.0], [-0.0]], np.float32)
    np.testing.assert_array_equal(normalize(x, LAYER), np.zeros_like(x))

"""The normalization layers of Haiku and Equinox."""

from __future__ import annotations

import equinox as eqx
import haiku as hk
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from identified import identified_as
from normscope import NormSpec, Running
from normscope.frameworks.jax.caller import Caller
from normscope.identify import Kind, identify

LAST, FIRST = (4, 5, 6, 8), (4, 8, 5, 6)
BOTH = {"scale": "c", "bias": "c"}
GROUPED = {"sizes": {"g": 4}, "scale": "g c", "bias": "g c"}
RMS = {"center": False, "measure": "mean_square"}

HAIKU = {
    "layer": (lambda x: hk.LayerNorm(-1, True, True)(x), NormSpec("b h w [c]", **BOTH)),
    "rms": (lambda x: hk.RMSNorm(-1)(x), NormSpec("b h w [c]", scale="c", **RMS)),
    "group": (lambda x: hk.GroupNorm(4)(x), NormSpec("b [h w] (g [c])", **GROUPED)),
    "instance": (lambda x: hk.InstanceNorm(True, True)(x), NormSpec("b [h w] c", **BOTH)),
}


@pytest.mark.parametrize("name", HAIKU)
def test_haiku(name: str) -> None:
    function, expected = HAIKU[name]
    identified_as(expected, hk.transform(function), LAST, "b h w c")


def test_haiku_batch_norm_corrects_its_averages_for_their_zero_start() -> None:
    def function(x, is_training):
        return hk.BatchNorm(True, True, 0.9)(x, is_training)

    found = identify(hk.transform_with_state(function), LAST, "b h w c")
    assert found.train == NormSpec("[b h w] c", running=Running(0.9), **BOTH)
    assert found.infer == found.train.inference()


EQUINOX = {
    "layer": (eqx.nn.LayerNorm(8), LAST, "b h w c", NormSpec("b h w [c]", **BOTH)),
    "rms": (eqx.nn.RMSNorm(8), LAST, "b h w c", NormSpec("b h w [c]", **BOTH, **RMS)),
    "two axes": (
        eqx.nn.LayerNorm((6, 8)),
        LAST,
        "b h w c",
        NormSpec("b h [w c]", scale="w c", bias="w c"),
    ),
    "group": (eqx.nn.GroupNorm(4, 8), FIRST, "b c h w", NormSpec("b (g [c]) [h w]", **GROUPED)),
}


@pytest.mark.parametrize("name", EQUINOX)
def test_equinox(name: str) -> None:
    module, shape, axes, expected = EQUINOX[name]
    identified_as(expected, module, shape, axes)


def test_equinox_batch_norm() -> None:
    made = eqx.nn.make_with_state(eqx.nn.BatchNorm)(8, "batch", mode="batch")
    found = identify(made, FIRST, "b c h w")
    assert found.train == NormSpec("[b] c [h w]", running=Running(0.99), **BOTH)
    assert found.infer == found.train.inference()
    corrected = "inference: the stored statistics are divided by 1 - 0.99**n after n training calls"
    assert any(line.startswith(corrected) for line in found.evidence), found


def test_what_is_compiled_at_each_call_is_run_in_steps() -> None:
    compiled = 0

    def branch(x):
        nonlocal compiled
        compiled += isinstance(x, jax.core.Tracer)
        for _ in range(60):
            x = x @ x / jnp.linalg.norm(x)
        return x

    def layer():
        return jax.lax.cond(True, lambda x: branch(x), lambda x: x, jnp.eye(3))

    direct = [layer() for _ in range(20)]
    assert compiled == 20
    called_by, compiled = Caller(), 0
    np.testing.assert_allclose([called_by(layer) for _ in range(20)], direct, rtol=1e-5)
    assert compiled < 10


def test_equinox_batch_norm_in_ema_mode_is_no_batch_norm() -> None:
    """Its first call is one; later ones normalize by the running statistics."""
    made = eqx.nn.make_with_state(eqx.nn.BatchNorm)(8, "batch", mode="ema")
    found = identify(made, FIRST, "b c h w")
    assert found.train is None
    assert any("later ones also use the running statistics" in line for line in found.evidence)


def test_decoys() -> None:
    assert identify(eqx.nn.Dropout(0.5), LAST).kind is not Kind.NORMALIZATION

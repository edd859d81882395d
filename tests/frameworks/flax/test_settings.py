"""What layers of Flax declare, NNX and Linen, and that they compute it."""

from __future__ import annotations

from typing import Any

import jax
import numpy as np
import pytest
from flax import linen, nnx

from frameworks.native_contract import TOLERANCE, check, made_up_weights, statistics
from frameworks.native_layers import set_weights
from normscope import NormSpec, SpecError, reference, spec_of
from normscope.frameworks.settings import declare
from normscope.reference import running_update

NC, NHWC = (6, 4), (3, 2, 5, 4)
EXACT = {"use_fast_variance": False}

# class, arguments, number of features of NNX (None: not possible there), shape
LAYERS = [
    ("BatchNorm", {}, 4, NC),
    ("BatchNorm", {"momentum": 0.5, "epsilon": 0.1}, 4, NHWC),
    ("BatchNorm", {"axis": 1, "use_bias": False}, 2, NHWC),
    ("BatchNorm", {"axis": -2, "use_scale": False}, 5, NHWC),
    ("BatchNorm", {"axis": (1, 3)}, None, NHWC),
    ("LayerNorm", {}, 4, NHWC),
    ("LayerNorm", {"use_fast_variance": True}, 4, NHWC),
    ("LayerNorm", {"use_scale": False}, 4, NHWC),
    ("LayerNorm", {"reduction_axes": (-2, -1)}, 4, NHWC),
    ("LayerNorm", {"reduction_axes": (1, 2), "feature_axes": (1, 2)}, 10, NHWC),
    ("LayerNorm", {"reduction_axes": (1,), "feature_axes": (2, 3)}, 20, NHWC),
    ("LayerNorm", {"reduction_axes": (-1, -1), "use_bias": False}, 4, NHWC),
    ("RMSNorm", {}, 4, NHWC),
    ("RMSNorm", {"use_scale": False, "epsilon": 0.1}, 4, NHWC),
    ("RMSNorm", {"reduction_axes": (1, 2), "feature_axes": 1}, 2, NHWC),
    ("InstanceNorm", {}, 4, NHWC),
    ("InstanceNorm", {"feature_axes": 1, "use_scale": False}, 2, NHWC),
    ("InstanceNorm", {"feature_axes": (1, -1)}, 8, NHWC),
    ("GroupNorm", {"num_groups": 2}, 4, NHWC),
    ("GroupNorm", {"num_groups": 2}, 4, NC),
    ("GroupNorm", {"num_groups": None, "group_size": 1, "use_bias": False}, 4, NHWC),
    ("GroupNorm", {"num_groups": 2, "reduction_axes": (1, 2, 3)}, 4, NHWC),
    ("GroupNorm", {"num_groups": 2, "reduction_axes": (-3, -2, -1)}, 4, NHWC),
    ("GroupNorm", {"num_groups": 2, "reduction_axes": (-1,)}, 4, NC),
    ("GroupNorm", {"num_groups": 2, "reduction_axes": (-1,)}, None, NHWC),
    ("GroupNorm", {"num_groups": 2, "reduction_axes": (-2, -1)}, None, NHWC),
    ("GroupNorm", {"num_groups": 2, "reduction_axes": (2, 3)}, None, NHWC),
    ("GroupNorm", {"num_groups": 2, "reduction_axes": (1, -1)}, None, NHWC),
    ("GroupNorm", {"num_groups": 2, "reduction_axes": (0, 1, 2, 3)}, None, NHWC),
]
OF_NNX = [layer for layer in LAYERS if layer[2] is not None]


@pytest.mark.parametrize(("name", "given", "features", "shape"), OF_NNX)
def test_the_nnx_layer_computes_what_it_declares(
    name: str, given: dict[str, Any], features: int, shape: tuple[int, ...]
) -> None:
    layer = getattr(nnx, name)(features, rngs=nnx.Rngs(0), **{**EXACT, **given})
    declaration = declare(layer)
    set_weights(layer, made_up_weights(declaration.train, shape))
    check(layer, declaration.train, declaration.infer, shape)
    layer.eval()
    assert declare(layer).train == declaration.train


@pytest.mark.parametrize(("name", "given", "features", "shape"), LAYERS)
def test_the_linen_layer_computes_what_it_declares(
    name: str, given: dict[str, Any], features: int | None, shape: tuple[int, ...]
) -> None:
    layer = getattr(linen, name)(**{**EXACT, **given})
    declaration = declare(layer)
    run_linen(layer, declaration.train, declaration.infer, shape)


def run_linen(layer: Any, train: NormSpec, infer: NormSpec, shape: tuple[int, ...]) -> None:
    """Like `check`, for layers whose state lies outside them."""
    x = np.random.default_rng(7).normal(1, 2, shape).astype(np.float32)
    own = made_up_weights(train, shape)
    learned = {key: own[key] for key in ("scale", "bias") if key in own}
    if "Group" in type(layer).__name__:
        learned = {key: values.ravel() for key, values in learned.items()}
    state = {"params": learned} if learned else {}
    remembered = {}
    if "mean" in own:
        state["batch_stats"] = {"mean": own["mean"], "var": own["var"]}
        remembered = {key: statistics(train, shape, own[key]) for key in ("mean", "var")}
    mode = {"use_running_average": True} if train.running else {}
    found = layer.apply(state, x, **mode)
    np.testing.assert_allclose(found, reference(x, train, **learned, **remembered), **TOLERANCE)
    mode = {"use_running_average": False} if train.running else {}
    found, after = layer.apply(state, x, **mode, mutable=["batch_stats"])
    np.testing.assert_allclose(found, reference(x, train, **learned), **TOLERANCE)
    if train.running:
        mean, var = running_update(x, train, own["mean"], own["var"])
        np.testing.assert_allclose(after["batch_stats"]["mean"], mean, rtol=1e-5)
        np.testing.assert_allclose(after["batch_stats"]["var"], var, rtol=1e-5)
    assert (infer.pattern is None) is (train.running is not None)


def test_linen_fixes_the_mode_in_a_field() -> None:
    always = declare(linen.BatchNorm(use_running_average=True))
    assert always.train.pattern is None
    never = declare(linen.BatchNorm(use_running_average=False))
    assert never.infer == NormSpec("[b...] c", eps=1e-5, scale="c", bias="c")
    assert never.train.running is not None


@pytest.mark.parametrize("home", [nnx, linen])
def test_patterns_for_any_rank(home: Any) -> None:
    def made(name: str, **given: Any) -> Any:
        if home is nnx:
            return getattr(nnx, name)(4, rngs=nnx.Rngs(0), **given)
        return getattr(linen, name)(**given)

    assert spec_of(made("BatchNorm")).pattern == "[b...] c"
    assert spec_of(made("LayerNorm")).pattern == "... [c]"
    assert spec_of(made("InstanceNorm")).pattern == "b [s...] c"
    group = spec_of(made("GroupNorm", num_groups=2))
    assert (group.pattern, group.sizes) == ("b [s...] (g [c])", {"g": 2})
    whole = made("LayerNorm", reduction_axes=(1, 2, 3))
    with pytest.raises(SpecError, match="counts axes from both ends"):
        spec_of(whole)
    assert spec_of(whole, axes="b h w c").pattern == "b [h w c]"
    assert declare(made("LayerNorm")).settings["use_fast_variance"] is True


def test_statistics_that_nnx_repeats_along_the_wrong_axis() -> None:
    layer = nnx.GroupNorm(4, 2, reduction_axes=(-1,), rngs=nnx.Rngs(0), **EXACT)
    with pytest.raises(SpecError, match="repeats the statistics along axis 1"):
        spec_of(layer, axes="b h w c")
    x = np.random.default_rng(0).normal(1, 2, NHWC).astype(np.float32)
    promised = NormSpec("b h w (g [c])", sizes={"g": 2}, eps=1e-6)
    right = linen.GroupNorm(2, reduction_axes=(-1,), **EXACT).init_with_output(jax.random.key(0), x)
    np.testing.assert_allclose(right[0], reference(x, promised), **TOLERANCE)
    assert np.abs(np.asarray(layer(x)) - reference(x, promised)).max() > 0.1


class Inherited(nnx.LayerNorm):
    pass


class Doubled(nnx.LayerNorm):
    def __call__(self, x: Any) -> Any:
        return 2 * super().__call__(x)


def test_a_subclass_is_read_unless_it_computes_otherwise() -> None:
    assert spec_of(Inherited(4, rngs=nnx.Rngs(0))).pattern == "... [c]"
    with pytest.raises(SpecError, match=r"Doubled computes by its own __call__\(\)"):
        spec_of(Doubled(4, rngs=nnx.Rngs(0)))


@pytest.mark.parametrize(
    "layer",
    [
        linen.SpectralNorm(linen.Dense(3)),
        linen.WeightNorm(linen.Dense(3)),
        nnx.SpectralNorm(nnx.Linear(3, 3, rngs=nnx.Rngs(0)), rngs=nnx.Rngs(0)),
        nnx.WeightNorm(nnx.Linear(3, 3, rngs=nnx.Rngs(0)), rngs=nnx.Rngs(0)),
    ],
)
def test_what_normalizes_weights_has_no_spec(layer: Any) -> None:
    with pytest.raises(SpecError, match="normalizes the weights"):
        spec_of(layer)

"""What layers of Keras 3 and their configurations declare, and that the layers compute it."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from typing import Any

import keras
import numpy as np
import pytest

from frameworks.native_contract import TOLERANCE, check, made_up_weights
from frameworks.native_layers import call, set_weights, weights
from normscope import NormSpec, SpecError, reference, spec_of
from normscope.frameworks.settings import declare

pytestmark = pytest.mark.filterwarnings("ignore:You passed `rms_scaling=True`")

L = keras.layers
NC, NTC, NHWC = (6, 4), (3, 5, 4), (3, 2, 5, 4)

# the torch backend of Keras 3.15 normalizes the last axes, whatever axis= says
NEEDS_OTHER_BACKEND = pytest.mark.skipif(
    os.environ["KERAS_BACKEND"] == "torch", reason="Keras 3.15 on torch takes the last axes"
)


def wrong_on_torch(*case: Any) -> Any:
    return pytest.param(*case, marks=NEEDS_OTHER_BACKEND)


LAYERS = [
    (L.BatchNormalization, {}, NC),
    (L.BatchNormalization, {}, NHWC),
    (L.BatchNormalization, {"axis": 1}, NHWC),
    (L.BatchNormalization, {"axis": 2, "epsilon": 0.1, "momentum": 0.5}, NHWC),
    (L.BatchNormalization, {"axis": -2, "center": False}, NHWC),
    (L.BatchNormalization, {"scale": False}, NTC),
    (L.LayerNormalization, {}, NHWC),
    (L.LayerNormalization, {"axis": [2, 3], "epsilon": 0.1}, NHWC),
    (L.LayerNormalization, {"axis": (-1, -2)}, NHWC),
    (L.LayerNormalization, {"axis": [1, -1]}, NHWC),
    (L.LayerNormalization, {"axis": [1, 3], "center": False}, NHWC),
    (L.LayerNormalization, {"axis": [3, 1], "scale": False}, NHWC),
    (L.LayerNormalization, {"axis": [1, 2, 3]}, NHWC),
    wrong_on_torch(L.LayerNormalization, {"axis": 1}, NHWC),
    wrong_on_torch(L.LayerNormalization, {"axis": -2}, NHWC),
    wrong_on_torch(L.LayerNormalization, {"axis": [1, 2]}, NHWC),
    (L.LayerNormalization, {"rms_scaling": True}, NHWC),
    (L.LayerNormalization, {"rms_scaling": True, "scale": False, "axis": 1}, NHWC),
    (L.GroupNormalization, {"groups": 2}, NHWC),
    (L.GroupNormalization, {"groups": 2}, NC),
    (L.GroupNormalization, {"groups": 1}, NHWC),
    (L.GroupNormalization, {"groups": -1, "epsilon": 0.1}, NHWC),
    (L.GroupNormalization, {"groups": 4}, NHWC),
    (L.GroupNormalization, {"groups": 5, "axis": 2, "scale": False}, (3, 2, 10, 4)),
    (L.GroupNormalization, {"groups": 2, "axis": 1, "center": False}, (3, 4, 5, 2)),
    (L.GroupNormalization, {"groups": -1, "axis": -3}, (3, 4, 5, 2)),
    (L.RMSNormalization, {}, NHWC),
    (L.RMSNormalization, {"axis": [-1, -2], "epsilon": 0.1}, NHWC),
    (L.RMSNormalization, {"axis": [2, 3]}, NHWC),
    (L.RMSNormalization, {"axis": 1}, NC),
    # scaled along the last axis, though normalized over another
    wrong_on_torch(L.RMSNormalization, {"axis": 1}, (3, 4, 5, 4)),
    (L.UnitNormalization, {}, NHWC),
    (L.UnitNormalization, {"axis": 1}, NHWC),
    (L.UnitNormalization, {"axis": [1, 2]}, NHWC),
    (L.UnitNormalization, {"axis": [1, -1]}, NHWC),
]


@pytest.mark.parametrize(("kind", "given", "shape"), LAYERS)
def test_the_layer_computes_what_it_declares(
    kind: Any, given: dict[str, Any], shape: tuple[int, ...]
) -> None:
    layer = kind(**given)
    layer.build(shape)
    declaration = declare(layer)
    set_weights(layer, made_up_weights(declaration.train, shape))
    check(layer, declaration.train, declaration.infer, shape)
    configuration = json.loads(json.dumps(keras.saving.serialize_keras_object(layer)))
    assert spec_of(configuration) == declaration.train


@pytest.mark.parametrize(
    ("layer", "pattern"),
    [
        (L.BatchNormalization(), "[b...] c"),
        (L.BatchNormalization(axis=1), "[b] c [s...]"),
        (L.LayerNormalization(), "... [c]"),
        (L.LayerNormalization(axis=1), "b [d1] ..."),
        (L.LayerNormalization(axis=[1, 2, -1]), "b [d1 d2] ... [c]"),
        (L.GroupNormalization(4), "b [s...] (g [c])"),
        (L.GroupNormalization(4, axis=2), "b [d1] (g [c]) [s...]"),
        (L.GroupNormalization(-1, axis=1), "b d1 [s...]"),
        (L.RMSNormalization(axis=[-2, -1]), "... [e2 c]"),
        (L.UnitNormalization(axis=[1]), "b [d1] ..."),
    ],
)
def test_patterns_for_any_rank(layer: Any, pattern: str) -> None:
    assert spec_of(layer).pattern == pattern


def test_axes_are_named() -> None:
    layer = L.GroupNormalization(4, axis=1)
    assert spec_of(layer, axes="b c h w").pattern == "b (g [c]) [h w]"
    layer = L.LayerNormalization(axis=[1, -2])
    assert spec_of(layer, axes="b t h c").pattern == "b [t h] c"
    rms = spec_of(L.RMSNormalization(axis=1), axes="b h w c")
    assert (rms.pattern, rms.scale) == ("b [h] w c", "c")


def test_a_frozen_batch_normalization_is_in_inference_mode_when_training() -> None:
    layer = L.BatchNormalization()
    layer.build(NHWC)
    train = spec_of(layer)
    set_weights(layer, made_up_weights(train, NHWC))
    layer.trainable = False
    frozen = declare(layer)
    assert frozen.train.pattern is None
    assert frozen.train == frozen.infer == train.inference()
    own = weights(layer)
    x = np.random.default_rng(0).normal(1, 2, NHWC).astype(np.float32)
    wanted = reference(x, train, **own)
    np.testing.assert_allclose(call(layer, x, training=True), wanted, **TOLERANCE)
    np.testing.assert_array_equal(weights(layer)["mean"], own["mean"])


def test_the_least_divisor_of_unit_normalization() -> None:
    x = np.array([[1e-8, 0.0], [1e-14, 0.0]], np.float32)
    layer = L.UnitNormalization()
    np.testing.assert_allclose(call(layer, x, training=False), reference(x, spec_of(layer)))


def test_statistics_of_a_data_set() -> None:
    layer = L.Normalization(mean=[1.0, 2.0], variance=[4.0, 1e-20])
    layer.build((None, 2))
    x = np.array([[3.0, 2.0], [5.0, 3.0]], np.float32)
    declaration = declare(layer)
    assert declaration.train == declaration.infer
    stated = replace(declaration.train, pattern="[b] c")
    wanted = reference(x, stated, mean=[1.0, 2.0], var=[4.0, 1e-20])
    np.testing.assert_allclose(call(layer, x, training=False), wanted, rtol=1e-5)


def test_rms_scaling_divides_by_the_standard_deviation() -> None:
    stated = spec_of(L.LayerNormalization(rms_scaling=True))
    assert (stated.center, stated.measure, stated.bias) == (False, "variance", None)


class Inherited(L.LayerNormalization):
    pass


class Doubled(L.LayerNormalization):
    def call(self, inputs: Any) -> Any:
        return 2 * super().call(inputs)


def test_a_subclass_is_read_unless_it_computes_otherwise() -> None:
    assert spec_of(Inherited()) == spec_of(L.LayerNormalization())
    with pytest.raises(SpecError, match=r"Doubled computes by its own call\(\)"):
        spec_of(Doubled())


@pytest.mark.parametrize(
    ("layer", "words"),
    [
        (L.SpectralNormalization(L.Dense(3)), "normalizes the weights of the layer inside"),
        (L.Normalization(invert=True), "undoes a normalization"),
        (L.BatchNormalization(renorm=True), "batch renormalization"),
        (L.RMSNormalization(axis=1), "scales along the last axes, whatever its axis"),
        (L.LayerNormalization(axis=[1, -2]), "counts axes from both ends"),
        (L.Dense(3), "cannot be read"),
    ],
)
def test_what_has_no_spec(layer: Any, words: str) -> None:
    with pytest.raises(SpecError, match=words):
        spec_of(layer)


# --- configurations of Keras 2, which writes lists where an integer was given --------------------

KERAS_2_BATCH = {
    "name": "bn",
    "trainable": True,
    "dtype": "float32",
    "axis": [3],
    "momentum": 0.9,
    "epsilon": 1e-4,
    "center": True,
    "scale": False,
    "beta_initializer": {"class_name": "Zeros", "config": {}},
}


def keras_2(class_name: str, version: str | None = "2.11.0", **config: Any) -> dict[str, Any]:
    written = {"class_name": class_name, "config": config}
    return written if version is None else {**written, "keras_version": version}


def test_batch_normalization_of_keras_2() -> None:
    stated = spec_of(keras_2("BatchNormalization", **KERAS_2_BATCH), axes="b h w c")
    assert str(stated) == (
        '"[b h w] c", eps=0.0001, bias along c, running decay 0.9 (torch momentum 0.1)'
    )


@pytest.mark.parametrize(
    ("written", "pattern"),
    [
        (keras_2("BatchNormalization", None, axis=[1, 3]), "[b] d1 [d2] d3 [s...]"),
        (keras_2("SyncBatchNormalization", axis=[-1]), "[b...] c"),
        (keras_2("BatchNormalizationV1", "2.2.4-tf", axis=-1), "[b...] c"),
        (keras_2("LayerNormalization", axis=[3], epsilon=1e-5), "b d1 d2 [d3] ..."),
        (keras_2("LayerNormalization", axis=[1, 2, 3]), "b [d1 d2 d3] ..."),
        (keras_2("GroupNormalization", groups=8, axis=-1), "b [s...] (g [c])"),
        (keras_2("UnitNormalization", axis=-1), "... [c]"),
    ],
)
def test_configurations_of_keras_2(written: dict[str, Any], pattern: str) -> None:
    assert spec_of(written).pattern == pattern


def test_keras_2_takes_the_least_divisor_before_the_root() -> None:
    assert spec_of(keras_2("UnitNormalization", axis=-1)).floor == 1e-6
    assert spec_of(keras_2("UnitNormalization", "3.5.0", axis=-1)).floor == 1e-12


@pytest.mark.parametrize(
    ("version", "frozen"),
    [("2.2.4", False), ("2.3.1", False), ("2.2.4-tf", True), ("2.11.0", True), ("3.0.0", True)],
)
def test_what_frozen_means_depends_on_the_version(version: str, frozen: bool) -> None:
    written = keras_2("BatchNormalization", version, trainable=False)
    assert (spec_of(written).pattern is None) is frozen


def test_versions_and_modes_tell_keras_1_from_later_ones() -> None:
    old = keras_2("BatchNormalization", "1.0.4", mode=1, axis=1)
    assert spec_of(old) == spec_of("keras1.BatchNormalization(mode=1, release='1.0.4')")
    assert spec_of(keras_2("BatchNormalization", None, mode=1)).eps_outside == 1e-3
    assert isinstance(spec_of(keras_2("BatchNormalization", None)), NormSpec)


@pytest.mark.parametrize(
    "written",
    [
        keras_2("Dense", units=3),
        keras_2("BatchNormalization", "1.2.2", mode=3),
        keras_2("BatchNormalization", axis="last"),
        keras_2("BatchNormalization", axis=[1, 1]),
        keras_2("BatchNormalization", axis=[99, 1]),
        keras_2("BatchNormalization", epsilon=None),
        keras_2("BatchNormalization", momentum="high"),
        keras_2("BatchNormalization", virtual_batch_size=4),
        keras_2("LayerNormalization", axis=[]),
        keras_2("LayerNormalization", axis=None),
        keras_2("GroupNormalization", groups="many"),
        keras_2("GroupNormalization", axis=0),
        keras_2("GroupNormalization", groups=0),
        keras_2("Addons>InstanceNormalization"),
        {"class_name": "LayerNormalization"},
        {"class_name": "LayerNormalization", "config": 3},
        {"class_name": ["LayerNormalization"], "config": {}},
    ],
)
def test_malformed_configurations(written: dict[str, Any]) -> None:
    with pytest.raises(SpecError):
        spec_of(written)

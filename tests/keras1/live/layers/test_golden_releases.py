"""BatchNormalization before 1.2.2 against the genuine Keras 1.0.5 and 1.0.8: 44 cases of each.

Each case is asked of the reference, of `normalize`, of the live layer (both phases, and three
steps of training), and of the NumPy oracle of `convert`.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from keras import ops

from keras1.live.layers.releases import KEYS, RELEASES, Case, cases_of
from normscope import normalize, reference
from normscope.frameworks.keras1.settings import keras1_batch_normalization
from normscope.keras1 import BatchNormalization
from normscope.keras1.network.numpy_layers import computed
from normscope.reference import running_update

# Outputs are float32 of size 1 to 10, from sums over up to 120 values.
NEAR = {"rtol": 3e-6, "atol": 5e-6}
# Averages of three batches of such values.
CLOSE = {"rtol": 1e-6, "atol": 1e-6}


def layer_of(case: Case, **changed: Any) -> BatchNormalization:
    options = {"release": case.about["release"], "origin": case.about["backend"], **changed}
    weights = [case.arrays[key] for key in KEYS]
    return BatchNormalization(**case.settings, weights=weights, contract="ignore", **options)


def off(case: Case, layer: BatchNormalization) -> float:
    """How far a layer is from the recording: outputs of both phases, values after three steps."""
    arrays, differences = case.arrays, []

    def differs(found: Any, name: str, near: dict[str, float]) -> None:
        wanted = arrays[name]
        room = near["atol"] + near["rtol"] * np.abs(wanted)
        differences.append(np.max(np.abs(ops.convert_to_numpy(found) - wanted) / room))

    differs(layer(arrays["x"], training=False), "y_test", NEAR)
    before = layer.get_weights()
    differs(layer(arrays["x"], training=True), "y_train", NEAR)
    layer.set_weights(before)
    for number, batch in enumerate(("x", "x2", "x3"), start=1):
        layer(arrays[batch], training=True)
        if number in (1, 3):
            differs(layer.get_weights()[2], f"running_mean_{number}", CLOSE)
            differs(layer.get_weights()[3], f"running_std_{number}", CLOSE)
    differs(layer(arrays["x"], training=False), "y_test_3", NEAR)
    return float(max(differences))


@pytest.mark.parametrize("release", RELEASES)
def test_the_live_layer_reproduces_every_case(release: str) -> None:
    cases = list(cases_of(release))
    assert len(cases) == 44
    for case in cases:
        assert off(case, layer_of(case)) <= 1, case.about


@pytest.mark.parametrize(
    ("release", "rival"), [("1.0.5", "1.0.8"), ("1.0.5", "1.2.2"), ("1.0.8", "1.0.5")]
)
def test_the_formula_of_another_release_would_be_noticed(release: str, rival: str) -> None:
    """The twin: modes 0 and 2 of the other release fail, by far."""
    for case in cases_of(release):
        if case.about["mode"] == 0:
            assert off(case, layer_of(case, release=rival)) > 100, case.about


@pytest.mark.parametrize("release", RELEASES)
def test_reference_and_normalize_reproduce_every_case(release: str) -> None:
    for case in cases_of(release):
        arrays, about = case.arrays, case.about
        declared = keras1_batch_normalization(
            case.settings,
            release=release,
            backend=about["backend"],
            axes=" ".join("bcdefg"[: len(about["shape"])]),
        )
        learned = {"scale": arrays["gamma"], "bias": arrays["beta"]}
        running = declared.train.running
        for function in (reference, normalize):
            y = function(arrays["x"], declared.train, **learned)
            np.testing.assert_allclose(y, arrays["y_train"], **NEAR, err_msg=str(about))
            used, statistics = declared.train, {}
            if running is not None:
                used = replace(used, eps=declared.infer.eps)
                root = arrays["running_std_0"].astype(np.float64)
                v = root**2 if running.deviation else root
                statistics = {"mean": arrays["running_mean_0"], "var": v}
            y = function(arrays["x"], used, **learned, **statistics)
            np.testing.assert_allclose(y, arrays["y_test"], **NEAR, err_msg=str(about))
        if running is None:
            continue
        memory: Any = arrays["running_mean_0"], arrays["running_std_0"]
        for batch in ("x", "x2", "x3"):
            memory = running_update(arrays[batch], declared.train, *memory)
        for found, name in zip(memory, ("running_mean_3", "running_std_3"), strict=True):
            np.testing.assert_allclose(found, arrays[name], **CLOSE, err_msg=str(about))


@pytest.mark.parametrize("release", RELEASES)
def test_the_numpy_oracle_reproduces_every_case(release: str) -> None:
    for case in cases_of(release):
        weights = {key.removesuffix("_0"): case.arrays[key].astype(np.float64) for key in KEYS}
        x = case.arrays["x"].astype(np.float64)
        backend = case.about["backend"]
        y = computed("BatchNormalization", case.settings, [x], weights, backend, release)
        assert y is not None
        np.testing.assert_allclose(y, case.arrays["y_test"], **NEAR, err_msg=str(case.about))

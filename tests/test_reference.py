from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from normscope import NormSpec, Running, normalize, preset, reference
from normscope.frameworks.keras1.settings import keras1_batch_normalization
from normscope.frameworks.presets import preset_names
from normscope.reference import running_update
from oracles import ORACLES, Oracle
from strategies import cases, specs

# The data is float32: with a mean of 1000 a value of size 1 has lost 10 bits before any formula.
TOLERANCE = {"large_mean": 1e-3}
ROUNDING = 5e-6
RUNNING = 1e-6


def golden_cases(folder: Path) -> list[dict]:
    return json.loads((folder / "index.json").read_text())["cases"]


def test_every_genuine_keras_1_case_is_reproduced(keras1_golden: Path) -> None:
    files: dict[str, dict[str, np.ndarray]] = {}
    cases_seen = golden_cases(keras1_golden)
    for case in cases_seen:
        if case["file"] not in files:
            with np.load(keras1_golden / case["file"]) as archive:
                files[case["file"]] = dict(archive)
        arrays = {name: files[case["file"]][f"{case['name']}__{name}"] for name in case["arrays"]}
        check_case(case, arrays)
    assert len(cases_seen) == 320


def check_case(case: dict, arrays: dict[str, np.ndarray]) -> None:
    backend = {"theano-old": "theano<0.9"}.get(case["backend"], case["backend"])
    axes = " ".join("bcdefg"[: case["rank"]])
    declaration = keras1_batch_normalization(
        case["constructor"], release="1.2.2", backend=backend, axes=axes
    )
    spec, infer = declaration.train, declaration.infer
    x = arrays["x"]
    learned = {"scale": arrays["gamma"], "bias": arrays["beta"]}
    tolerance = TOLERANCE.get(case["input"], ROUNDING)
    label = f"{case['backend']} {case['name']}"

    def close(found: np.ndarray, wanted: np.ndarray, what: str, atol: float) -> None:
        np.testing.assert_allclose(found, wanted, rtol=1e-5, atol=atol, err_msg=f"{label} {what}")

    for function in (reference, normalize):
        close(function(x, spec, **learned), arrays["y_train"], "training", tolerance)
        statistics = {}
        if infer.pattern is None:
            statistics = {"mean": arrays["running_mean_0"], "var": arrays["running_std_0"]}
        close(function(x, spec, **learned, **statistics), arrays["y_test"], "test", tolerance)

    mean, var = arrays["running_mean_0"], arrays["running_std_0"]
    for step, batch in enumerate((x, arrays["x2"], arrays["x3"]), start=1):
        if spec.running:
            mean, var = running_update(batch, spec, mean, var)
        if step in (1, 3):
            scale = 100 if case["input"] == "large_mean" else 1
            close(mean, arrays[f"running_mean_{step}"], f"mean {step}", RUNNING * scale)
            close(var, arrays[f"running_std_{step}"], f"var {step}", RUNNING * scale)


@pytest.mark.parametrize("mode", [0, 1, 2])
def test_a_rival_reading_of_keras_1_fails(keras1_golden: Path, mode: int) -> None:
    """The twin: with one epsilon moved, the golden data must notice."""
    case = next(
        c
        for c in golden_cases(keras1_golden)
        if c["mode"] == mode and c["input"] == "normal" and c["rank"] == 4
    )
    with np.load(keras1_golden / case["file"]) as archive:
        arrays = {name: archive[f"{case['name']}__{name}"] for name in case["arrays"]}
    wrong = dict(case["constructor"], epsilon=case["epsilon"] * 2)
    with pytest.raises(AssertionError):
        check_case({**case, "constructor": wrong}, arrays)


@pytest.mark.framework
@pytest.mark.parametrize("oracle", ORACLES, ids=str)
@pytest.mark.parametrize("function", [reference, normalize])
def test_presets_compute_what_the_frameworks_do(oracle: Oracle, function) -> None:  # type: ignore[no-untyped-def]
    rng = np.random.default_rng(7)
    x = rng.normal(1, 2, oracle.shape).astype(np.float32)
    spec = preset(oracle.preset, **oracle.arguments)
    layout = spec.layout(x.shape)
    learned = {}
    for name in oracle.parameters:
        axes = layout.named(getattr(spec, name))
        shape = [layout.known_sizes[i] for i in axes]
        learned[name] = rng.normal(1, 0.3, shape).astype(np.float32)
    wanted = oracle.run(x, learned)
    np.testing.assert_allclose(function(x, spec, **learned), wanted, rtol=2e-5, atol=5e-6)


def test_every_preset_of_a_framework_has_an_oracle() -> None:
    tested = {oracle.preset for oracle in ORACLES} | {
        # the same function under another name, and the one that the golden data tests
        "torch.InstanceNorm1d",
        "torch.InstanceNorm3d",
        "keras1.BatchNormalization",
    }
    assert {name for name in preset_names() if "." in name} <= tested


@given(st.data())
@settings(max_examples=300)
def test_normalize_agrees_with_the_definition(data: st.DataObject) -> None:
    case = data.draw(cases())
    spec = data.draw(specs(case))
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32 - 1)))
    x = rng.normal(data.draw(st.sampled_from([0, 1, 1e4])), 1, case.shape)
    arguments = learned_for(spec, x, rng)
    if data.draw(st.booleans()):
        arguments["mask"] = rng.random(x.shape) < 0.7
        if spec.ddof:
            arguments.pop("mask")  # a set with one counted value has no unbiased variance
    wanted = reference(x, spec, **arguments)
    np.testing.assert_allclose(normalize(x, spec, **arguments), wanted, rtol=1e-7, atol=1e-7)


def learned_for(spec: NormSpec, x: np.ndarray, rng: np.random.Generator) -> dict:
    layout = spec.layout(x.shape)
    return {
        name: rng.normal(size=[layout.known_sizes[i] for i in layout.named(axes)])
        for name, axes in (("scale", spec.scale), ("bias", spec.bias))
        if axes is not None
    }


def test_running_update_needs_running_statistics() -> None:
    with pytest.raises(ValueError, match="no running statistics"):
        running_update(np.ones((2, 3)), NormSpec("[b] c"), np.zeros(3), np.ones(3))


@pytest.mark.framework
def test_running_variance_of_torch_is_the_unbiased_one() -> None:
    import torch

    layer = torch.nn.BatchNorm1d(3, momentum=0.3)
    x = np.random.default_rng(0).normal(size=(5, 3)).astype(np.float32)
    layer(torch.from_numpy(x))
    spec = preset("torch.BatchNorm1d", momentum=0.3)
    mean, var = running_update(x, spec, np.zeros(3), np.ones(3))
    np.testing.assert_allclose(mean, layer.running_mean.numpy(), rtol=1e-5, atol=1e-7)
    np.testing.assert_allclose(var, layer.running_var.numpy(), rtol=1e-5)


def test_a_constant_decay_of_one_keeps_everything() -> None:
    spec = NormSpec("[b] c", running=Running(1.0))
    mean, var = running_update(np.ones((4, 2)), spec, [3.0, 4.0], [5.0, 6.0])
    assert mean.tolist() == [3.0, 4.0]
    assert var.tolist() == [5.0, 6.0]

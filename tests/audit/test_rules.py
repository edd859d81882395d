"""Every rule fires where it must, says what the snapshot says, and is silent elsewhere."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from keras1_models import activation, conv, dense, norm, sequential, write_h5, write_json
from normscope import audit
from normscope.audit import Audit, all_rules, find_rule
from normscope.frameworks.advice import Advice
from normscope.frameworks.native import NativeLayer

IMAGES = (None, 3, 8, 6)
LAST = (None, 8, 6, 3)
VECTORS = (None, 5)

LSTM = ("LSTM", {"output_dim": 4, "return_sequences": True})

Model = dict[str, Any]

# rule -> models in which it has something to say, and models in which it has not
CASES: dict[str, tuple[dict[str, Model], dict[str, Model]]] = {
    "NS101": (
        {
            "one value": sequential((None, 4, 1), norm(mode=1)),
            "two values": sequential((None, 4, 2), norm(mode=1)),
            "a batch of one": sequential((1, 5), dense(), norm()),
        },
        {
            "three values": sequential((None, 4, 3), norm(mode=1)),
            "a batch of any size": sequential(VECTORS, dense(), norm()),
            "a batch of one with positions": sequential((1, 3, 8, 6), conv(), norm(axis=1)),
        },
    ),
    "NS102": (
        {
            "default axis, channels first": sequential(IMAGES, conv(), norm()),
            "axis 1, channels last": sequential(LAST, conv(ordering="tf"), norm(axis=1)),
            "through an activation": sequential(IMAGES, conv(), activation(), norm()),
            "mode 2": sequential(IMAGES, conv(), norm(mode=2)),
        },
        {
            "axis 1, channels first": sequential(IMAGES, conv(), norm(axis=1)),
            "default axis, channels last": sequential(LAST, conv(ordering="tf"), norm()),
            "negative axis": sequential(IMAGES, conv(), norm(axis=-3)),
            "vectors": sequential(VECTORS, dense(), norm()),
            "after a reshape": sequential(
                IMAGES, conv(), ("Reshape", {"target_shape": [4, 48]}), norm()
            ),
            "nothing upstream": sequential(IMAGES, norm()),
            "mode 1": sequential(IMAGES, conv(), norm(mode=1)),
            "a sequence, of which another rule speaks": sequential(
                (None, 7, 5), LSTM, norm(axis=1)
            ),
        },
    ),
    "NS103": (
        {
            "an image, channels first": sequential(IMAGES, conv(), norm(mode=1)),
            "an image, channels last": sequential(LAST, conv(ordering="tf"), norm(mode=1)),
            "a sequence": sequential((None, 7, 5), norm(mode=1)),
        },
        {
            "vectors": sequential(VECTORS, dense(), norm(mode=1)),
            "mode 0": sequential(IMAGES, conv(), norm(axis=1)),
            "mode 2": sequential(IMAGES, conv(), norm(mode=2, axis=1)),
        },
    ),
    "NS105": (
        {"a sequence": sequential((None, 7, 5), LSTM, norm(axis=1))},
        {
            "a sequence, default axis": sequential((None, 7, 5), LSTM, norm()),
            "nothing upstream": sequential((None, 7, 5), norm(axis=1)),
        },
    ),
    "NS201": (
        {"no epsilon": sequential(VECTORS, dense(), norm(epsilon=0))},
        {
            "the default": sequential(VECTORS, dense(), norm()),
            "small": sequential(VECTORS, dense(), norm(epsilon=1e-12)),
        },
    ),
    "NS302": (
        {
            "vectors": sequential(VECTORS, dense(), norm(mode=2)),
            "images": sequential(IMAGES, conv(), norm(mode=2, axis=1)),
        },
        {
            "mode 0": sequential(VECTORS, dense(), norm()),
            "mode 1": sequential(VECTORS, dense(), norm(mode=1)),
        },
    ),
    "NS401": (
        {
            "a convolution": sequential(IMAGES, conv(), norm(axis=1)),
            "a dense layer": sequential(VECTORS, dense(), norm()),
            "mode 2": sequential(VECTORS, dense(), norm(mode=2)),
            "through a linear activation": sequential(
                VECTORS, dense(), activation("linear"), norm()
            ),
            "one image row": sequential(IMAGES, conv(), norm(mode=1)),
        },
        {
            "no bias": sequential(VECTORS, dense(bias=False), norm()),
            "an activation between": sequential(VECTORS, dense(), activation(), norm()),
            "an activation inside": sequential(VECTORS, dense(activation="relu"), norm()),
            "over the channels": sequential(VECTORS, dense(), norm(mode=1)),
            "another axis": sequential(IMAGES, conv(), norm()),
        },
    ),
    "NS501": (
        {
            "mode 1": sequential(VECTORS, dense(), norm(mode=1)),
            "mode 2": sequential(VECTORS, dense(), norm(mode=2)),
            "an input of unknown shape": sequential(VECTORS, ("Lambda", {}), norm(mode=1)),
        },
        {"mode 0": sequential(VECTORS, dense(), norm())},
    ),
}

FLAGGED = [(code, name) for code, (flagged, _) in CASES.items() for name in flagged]
CLEAN = [(code, name) for code, (_, clean) in CASES.items() for name in clean]


def run(path: Path, model: Model, code: str) -> Audit:
    return audit(write_json(path / "model.json", model), select=[code])


@pytest.mark.parametrize(("code", "name"), FLAGGED)
def test_a_rule_fires(tmp_path: Path, code: str, name: str) -> None:
    report = run(tmp_path, CASES[code][0][name], code)
    assert {finding.code for finding in report.findings} == {code}
    for finding in report.findings:
        assert finding.path.startswith("batchnormalization_")
        assert finding.message
        assert finding.fix
        json.dumps(finding.to_dict(), allow_nan=False)


@pytest.mark.parametrize(("code", "name"), CLEAN)
def test_a_rule_is_silent(tmp_path: Path, code: str, name: str) -> None:
    assert run(tmp_path, CASES[code][1][name], code).findings == ()


def test_what_the_rules_say(tmp_path: Path, snapshot) -> None:  # type: ignore[no-untyped-def]
    """All messages in one file, to be read aloud."""
    said = []
    for code, name in FLAGGED:
        said.append(f"{code}, {name}")
        for finding in run(tmp_path, CASES[code][0][name], code).findings:
            said.append(f"  {finding.severity}: {finding.message}")
            said += [f"    -> {advice}" for advice in finding.fix.splitlines()]
    snapshot(Path(__file__).parent / "messages.txt", "\n".join(said) + "\n")


WORDS = Advice(
    framework="Another",
    layer=lambda spec, layout: NativeLayer("another.Layer"),
    channel_axis="features on dimension {}".format,
    without_bias="take {} without its offset".format,
    running_statistics="another.Batch",
    norm="another.Norm",
)
"""A framework that calls everything differently."""


@pytest.mark.parametrize(("code", "name"), FLAGGED)
def test_a_fix_is_said_in_the_words_of_the_framework(tmp_path: Path, code: str, name: str) -> None:
    graph = replace(run(tmp_path, CASES[code][0][name], code).graph, advice=WORDS)
    fixes = [found.fix for site in graph.sites for found in find_rule(code).check(site, graph)]
    assert fixes
    for fix in fixes:
        assert not re.search(r"keras|axis=|bias=|BatchNormalization", fix, re.I)
        if code in ("NS102", "NS103", "NS105", "NS302", "NS401", "NS501"):
            assert re.search(r"another|features on|without its offset", fix)


RUNNING = {
    "never updated": ([1.2, 1, 1, 1], [0, 0, 0, 0], [0, 0, 0, 0], [1, 1, 1, 1], True),
    "bias moved": ([1, 1, 1, 1], [0, 0.1, 0, 0], [0, 0, 0, 0], [1, 1, 1, 1], True),
    "updated": ([1.2, 1, 1, 1], [0, 0, 0, 0], [0, 0.1, 0, 0], [1, 1, 1, 1], False),
    "untrained": ([1, 1, 1, 1], [0, 0, 0, 0], [0, 0, 0, 0], [1, 1, 1, 1], False),
    "begins with 0": ([0, 0, 0, 0], [0, 0, 0, 0], [0, 0, 0, 0], [1, 1, 1, 1], False),
}


@pytest.mark.parametrize("name", RUNNING)
@pytest.mark.parametrize("suffix", [":0", ""])
def test_running_statistics_never_updated(tmp_path: Path, name: str, suffix: str) -> None:
    *arrays, fires = RUNNING[name]
    model = sequential(VECTORS, dense(), norm())
    stored = {"batchnormalization_2": [np.array(a, np.float32) for a in arrays]}  # type: ignore[arg-type]
    report = audit(write_h5(tmp_path / "m.h5", model, stored, suffix), select=["NS301"])
    assert bool(report.findings) is fires
    assert report.graph.details["backend"] == ("tensorflow" if suffix else "theano")


UNUSABLE = {
    "no number": ([0, 0, 0, 0], [1, np.nan, 1, 0], "error", "1 channel of 4 has no usable mean"),
    "below 0": ([0, np.inf, 0, 0], [1, 1, 1, -1], "error", "2 channels of 4 have no usable mean"),
    "still": ([0, 0, 0, 0], [0, 1, 0, 1], "warning", "2 channels of 4 have a stored variance of"),
    "usable": ([0, 5, 0, 0], [1e-30, 1, 1, 1], None, ""),
}


@pytest.mark.parametrize("name", UNUSABLE)
def test_unusable_running_variance(tmp_path: Path, name: str) -> None:
    mean, variance, severity, said = UNUSABLE[name]
    model = sequential(VECTORS, dense(), norm())
    arrays = [np.array(a, np.float32) for a in ([1] * 4, [0] * 4, mean, variance)]
    stored = {"batchnormalization_2": arrays}
    report = audit(write_h5(tmp_path / "m.h5", model, stored), select=["NS303"])
    assert [finding.severity for finding in report.findings] == ([severity] if severity else [])
    for finding in report.findings:
        assert said in finding.message
        json.dumps(finding.to_dict(), allow_nan=False)


@pytest.mark.parametrize(
    ("dtype", "epsilon", "severity"),
    [
        (np.float16, 1e-8, "error"),
        (np.float16, 1e-6, "warning"),
        (np.float16, 1e-3, None),
        (np.float32, 1e-8, None),
    ],
)
def test_eps_below_dtype_knows_the_dtype(tmp_path: Path, dtype, epsilon, severity) -> None:  # type: ignore[no-untyped-def]
    model = sequential(VECTORS, dense(), norm(epsilon=epsilon))
    stored = {"batchnormalization_2": [np.ones(4, dtype)] * 4}
    report = audit(write_h5(tmp_path / "m.h5", model, stored), select=["eps-below-dtype"])
    assert [finding.severity for finding in report.findings] == ([severity] if severity else [])


def functional(
    layers: list[tuple[str, str, dict[str, Any], list[str]]], outputs: list[str]
) -> Model:
    """A functional model: (name, class, config, inputs)."""
    return {
        "class_name": "Model",
        "keras_version": "1.2.2",
        "config": {
            "name": "m",
            "layers": [
                {
                    "name": name,
                    "class_name": kind,
                    "config": {"name": name, **config},
                    "inbound_nodes": [[[source, 0, 0] for source in inputs]] if inputs else [],
                }
                for name, kind, config, inputs in layers
            ],
            "input_layers": [["x", 0, 0]],
            "output_layers": [[name, 0, 0] for name in outputs],
        },
    }


def test_a_bias_that_something_else_reads_too_is_not_redundant(tmp_path: Path) -> None:
    def model(*outputs: str) -> Model:
        return functional(
            [
                ("x", "InputLayer", {"batch_input_shape": [None, 5]}, []),
                ("d", "Dense", dense()[1], ["x"]),
                ("n", "BatchNormalization", norm()[1], ["d"]),
                ("m", "Merge", {"mode": "sum"}, ["d", "n"]),
            ],
            list(outputs),
        )

    assert run(tmp_path, model("m"), "NS401").findings == ()
    without_merge = model("n")
    del without_merge["config"]["layers"][3]
    assert len(run(tmp_path, without_merge, "NS401").findings) == 1
    also_an_output = model("n", "d")
    del also_an_output["config"]["layers"][3]
    assert run(tmp_path, also_an_output, "NS401").findings == ()


def test_every_rule_is_documented() -> None:
    """That each has models in every framework is seen by `rules/test_rule_fixtures.py`."""
    assert set(CASES) <= {rule.code for rule in all_rules()}
    headings = ("What it finds", "Why it matters", "How it is found", "Use instead", "References")
    for rule in all_rules():
        assert rule.documentation.startswith(f"{rule.code} {rule.name}: ")
        assert [h for h in headings if f"\n{h}:\n" in rule.documentation] == list(headings)
        assert not rule.name.startswith(("use-", "avoid-", "do-"))  # it names the bad pattern

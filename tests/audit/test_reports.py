"""Reports begin with the answer, and stay short and quick however many layers a model has."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from budget import budget
from keras1_models import activation, conv, dense, norm, sequential, write_json
from normscope import audit, explain
from normscope.audit.reports.likeness import MOST_GROUPS
from normscope.cli.output import as_json
from normscope.explain.reports.sentence import what_is_normalized

ROOT = Path(__file__).parents[2]
IMAGES = (None, 3, 8, 6)
FIRST = "Each of the 8 normalization layers normalizes one image row of 56 pixels on its own."


def test_the_founding_report_opens_with_the_answer() -> None:
    report = audit(ROOT / "examples" / "seed_network_full_th.json")
    assert str(report).splitlines()[0] == FIRST
    page = report.to_html()
    body = page[page.index("</h1>") :]
    assert body.index(FIRST) < body.index("NS103")


@pytest.mark.parametrize(
    ("layers", "sentences"),
    [
        ([dense()], ["There is no normalization layer in this model."]),
        (
            [conv(), norm(mode=1, name="n")],
            ["n normalizes one image row of 6 pixels on its own."],
        ),
        (
            [conv(), norm(axis=1, name="a"), norm(mode=1, name="b"), norm(axis=1, name="c")],
            [
                "2 of the 3 layers (a, ...) each normalize one channel over the whole batch; "
                "at inference it uses stored statistics.",
                "b normalizes one image row of 6 pixels on its own.",
            ],
        ),
    ],
)
def test_the_answer(tmp_path: Path, layers: list[Any], sentences: list[str]) -> None:
    shape = (None, 5) if layers[0][0] == "Dense" else IMAGES
    report = audit(write_json(tmp_path / "m.json", sequential(shape, *layers)))
    opening = str(report).splitlines()[: len(sentences)]
    assert sorted(opening) == sorted(sentences)


@pytest.mark.parametrize(
    ("pattern", "shape", "phrase"),
    [
        ("b c [h] w", (8, 3, 5, 6), "one image column of 5 pixels on its own"),
        ("b [c] h w", (8, 3, 5, 6), "one pixel on its own, over its 3 channels"),
        ("b [c h w]", (8, 3, 5, 6), "one sample on its own, as a whole: 90 values"),
        ("b c [h w]", (8, 3, 5, 6), "one channel of one sample on its own: 30 pixels"),
        (
            "b c [h w]",
            (8, 3, None, 6),
            "one channel of one sample on its own: all pixels (h and w)",
        ),
        ("[b] c", (8, 3), "one feature over the whole batch: 8 values"),
        ("b [c]", (None, 3), "one sample on its own, as a whole: 3 features"),
        ("b [t] c", (8, 7, 3), "one channel of one sample on its own: 7 time steps"),
        ("[b c h] w", (8, 3, 5, 6), "all of b, c and h, for one w: 120 (8 × 3 × 5) values"),
        ("b (g [c])", (8, 6), "all of c, for one b and one g: 3 values"),
        ("b c h [w]", (8, 3, 5, 1), "all of w, for one b, one c and one h: 1 value"),
        ("[p] q", (8, 3), "all of p, for one q: 8 values"),
    ],
)
def test_what_is_normalized_in_words(pattern: str, shape: Any, phrase: str) -> None:
    sizes = {"g": 2} if "g" in pattern else {}
    assert what_is_normalized(explain(pattern, shape, **sizes)) == phrase


# ------------------------------------------------------------------------ thousands of layers

MANY = 4_000


def chain(kind: str) -> dict[str, Any]:
    match kind:
        case "alike":
            return sequential(IMAGES, *[norm(mode=1)] * MANY)
        case "behind one convolution":  # each asks which layers make channels, far upstream
            return sequential(IMAGES, conv(), *[norm()] * MANY)
        case "all different":
            return sequential(IMAGES, *(norm(mode=1, epsilon=0.001 * (1 + k)) for k in range(1500)))
        case "behind many that change nothing":
            return sequential(
                (None, 5), dense(), *[activation("linear")] * (MANY // 2), *[norm()] * (MANY // 2)
            )
    raise AssertionError(kind)


KINDS = ["alike", "behind one convolution", "all different", "behind many that change nothing"]


@pytest.mark.parametrize("kind", KINDS)
def test_thousands_of_layers_are_reported_in_time(tmp_path: Path, kind: str) -> None:
    path = write_json(tmp_path / "m.json", chain(kind))
    with budget(10):
        report = audit(path)
        text, page, log = str(report), report.to_html(), as_json(report.to_sarif())
        facts = as_json(report.to_dict())
    assert len(text) < 300_000
    assert len(page) < 3_000_000
    assert len(json.loads(facts)["layers"]) == len(report.layers)
    assert len(json.loads(log)["runs"][0]["results"]) == len(report.findings)


def test_thousands_of_readers_of_one_bias(tmp_path: Path) -> None:
    """One layer read by thousands: each of them asks whether all of the others undo its bias."""
    names = [f"n{k}" for k in range(MANY)]
    kind, config = norm()
    inner = [
        {"name": name, "class_name": kind, "config": config, "inbound_nodes": [[["d", 0, 0]]]}
        for name in names
    ]
    first = {"batch_input_shape": [None, 5]}
    layers = [
        {"name": "x", "class_name": "InputLayer", "config": first, "inbound_nodes": []},
        {
            "name": "d",
            "class_name": "Dense",
            "config": dense()[1],
            "inbound_nodes": [[["x", 0, 0]]],
        },
        *inner,
    ]
    ends = {"input_layers": [["x", 0, 0]], "output_layers": [[name, 0, 0] for name in names]}
    model = {"class_name": "Model", "config": {"name": "m", "layers": layers, **ends}}
    with budget(10):
        report = audit(write_json(tmp_path / "m.json", model), select=["NS401"])
        assert len(report.findings) == MANY
        assert "batch; at inference it uses stored statistics." in str(report).splitlines()[0]


def test_what_a_report_leaves_out_is_said(tmp_path: Path) -> None:
    different = [norm(mode=1, epsilon=0.001 * (1 + k)) for k in range(MOST_GROUPS + 7)]
    report = audit(write_json(tmp_path / "m.json", sequential(IMAGES, *different)))
    said = "7 more layers are in --format json and --format sarif only."
    assert said in str(report)
    assert said in report.to_html()
    assert len(report.to_dict()["layers"]) == MOST_GROUPS + 7


def test_many_makers_of_channels_are_told_by_the_first(tmp_path: Path) -> None:
    branches = [
        {"name": f"c{k}", "class_name": "Convolution2D", "config": conv()[1]} for k in range(9)
    ]
    for layer in branches:
        layer["inbound_nodes"] = [[["x", 0, 0]]]
    first = {"batch_input_shape": list(IMAGES)}
    merged = [[[layer["name"], 0, 0] for layer in branches]]
    layers = [
        {"name": "x", "class_name": "InputLayer", "config": first, "inbound_nodes": []},
        *branches,
        {"name": "m", "class_name": "Merge", "config": {"mode": "sum"}, "inbound_nodes": merged},
        {
            "name": "n",
            "class_name": "BatchNormalization",
            "config": norm()[1],
            "inbound_nodes": [[["m", 0, 0]]],
        },
    ]
    ends = {"input_layers": [["x", 0, 0]], "output_layers": [["n", 0, 0]]}
    model = {"class_name": "Model", "config": {"name": "m", "layers": layers, **ends}}
    (found,) = audit(write_json(tmp_path / "m.json", model), select=["NS102"]).findings
    assert "but c0, c1, c2, c3, ... puts the channels on axis 1 (c)" in found.message
    assert found.evidence["channel_sources"] == ["c0", "c1", "c2", "c3"]

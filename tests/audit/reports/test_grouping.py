"""Reports stay short and quick, however many layers a model has."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from budget import budget
from keras1_models import activation, conv, dense, norm, sequential, write_json
from normscope import audit
from normscope.audit.reports.grouping import MOST_GROUPS
from normscope.cli.output import as_json

IMAGES = (None, 3, 8, 6)
MANY = 2_000


def chain(kind: str) -> dict[str, Any]:
    match kind:
        case "alike":
            return sequential(IMAGES, *[norm(mode=1)] * MANY)
        case "behind one convolution":  # each asks which layers make channels, far upstream
            return sequential(IMAGES, conv(), *[norm()] * MANY)
        case "all different":
            return sequential(IMAGES, *(norm(mode=1, epsilon=0.001 * (1 + k)) for k in range(700)))
        case "behind many that change nothing":
            return sequential(
                (None, 5), dense(), *[activation("linear")] * (MANY // 2), *[norm()] * (MANY // 2)
            )
    raise AssertionError(kind)


KINDS = ["alike", "behind one convolution", "all different", "behind many that change nothing"]


@pytest.mark.parametrize("kind", KINDS)
def test_thousands_of_layers_are_reported_in_time(tmp_path: Path, kind: str) -> None:
    path = write_json(tmp_path / "m.json", chain(kind))
    with budget(20):
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
    with budget():
        report = audit(write_json(tmp_path / "m.json", model), select=["NS401"])
        assert len(report.findings) == MANY
        assert "batch; at inference it uses stored statistics." in str(report).splitlines()[0]


def test_what_a_report_leaves_out_is_said(tmp_path: Path) -> None:
    different = [norm(mode=1, epsilon=0.001 * (1 + k)) for k in range(MOST_GROUPS + 7)]
    report = audit(write_json(tmp_path / "m.json", sequential(IMAGES, *different)))
    assert "7 more layers are in --format json and --format html only." in str(report)
    page = report.to_html()
    assert "The 7 layers, without pictures and formulas" in page
    assert all(f'id="l{number}"' in page for number in range(MOST_GROUPS + 7))
    assert len(report.to_dict()["layers"]) == MOST_GROUPS + 7

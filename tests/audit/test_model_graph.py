"""What rules ask of a model's graph."""

from __future__ import annotations

from pathlib import Path

from keras1_models import conv, norm, write_json
from normscope import audit

IMAGES = (None, 3, 8, 6)


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

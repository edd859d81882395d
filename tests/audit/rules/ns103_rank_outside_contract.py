"""NS103: Keras 1 batch normalization in mode 1, documented for (batch, features), on maps."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from normscope.audit.finding import Finding
from rule_fixtures import Given, healthy, sick

NOT_IN = {
    "torch": "its layers refuse inputs of a rank that they are not documented for",
    "keras": "no layer of Keras 2 and 3 is documented for fewer ranks than it takes, one of Keras "
    "1 is",
    "onnx": "the standard states axes for every rank that an operator takes",
    "jax": "the layers of Flax are told their axes and promise nothing of ranks",
}


def _keras1(tmp_path: Path, mode: int, shape: list[int]) -> Path:
    config = {
        "name": "model",
        "keras_version": "1.0.4",
        "class_name": "Sequential",
        "config": [
            {
                "class_name": "BatchNormalization",
                "config": {
                    "name": "bn",
                    "mode": mode,
                    "axis": 1 if mode == 0 else -1,
                    "epsilon": 1e-6,
                    "momentum": 0.9,
                    "batch_input_shape": [None, *shape],
                },
            }
        ],
    }
    path = tmp_path / "model.json"
    path.write_text(json.dumps(config))
    return path


@sick("keras1", at="bn")
def maps(tmp_path: Path) -> Any:
    return _keras1(tmp_path, 1, [128, 56, 56])


@healthy("keras1")
def features(tmp_path: Path) -> Any:
    return _keras1(tmp_path, 1, [128])


@healthy("keras1")
def maps_by_the_batch(tmp_path: Path) -> Any:
    return _keras1(tmp_path, 0, [128, 56, 56])


def measured(finding: Finding, given: Given) -> None:
    """One image row of 56 pixels, of 128 * 56 rows in a sample."""
    assert finding.evidence["set_size"] == 56
    assert finding.evidence["sets_per_sample"] == 128 * 56
    assert (finding.evidence["rank"], len(finding.evidence["input_shape"])) == (4, 4)

"""NS501: files of Keras 1 with mode 1 or 2, and with mode 0."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from keras1_models import conv, dense, norm, sequential, write_json
from normscope.audit.finding import Finding
from rule_fixtures import Given, healthy, sick

NOT_IN = dict.fromkeys(
    ("torch", "keras", "onnx", "jax"), "only Keras 1 has modes of a BatchNormalization"
)


@sick("keras1", at="batchnormalization_2")
def mode_1(tmp_path: Path) -> Any:
    return write_json(tmp_path / "m.json", sequential((None, 5), dense(), norm(mode=1)))


@sick("keras1", at="batchnormalization_2")
def mode_2(tmp_path: Path) -> Any:
    model = sequential((None, 3, 8, 6), conv(), norm(mode=2, axis=1))
    return write_json(tmp_path / "m.json", model)


@healthy("keras1")
def mode_0(tmp_path: Path) -> Any:
    return write_json(tmp_path / "m.json", sequential((None, 5), dense(), norm()))


def measured(finding: Finding, given: Given) -> None:
    """The mode stands in the file."""
    mode = finding.evidence["mode"]
    assert f'"mode": {mode}' in Path(given.model).read_text()
    assert f"mode={mode}" in finding.message

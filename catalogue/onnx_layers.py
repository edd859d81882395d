"""The normalization operators of ONNX, as onnxruntime runs them on a CPU."""

from __future__ import annotations

from typing import Any

import onnxruntime
from onnx import defs, helper
from onnx.parser import parse_model

from catalogue.row import Row

TITLE = "ONNX, run by onnxruntime"
PACKAGES = ("onnx", "onnxruntime")
PUBLIC = sorted({schema.name for schema in defs.get_all_schemas()})

IMAGE = "b c h w"
INPUTS = {
    "BatchNormalization": "x s b m v",
    "LayerNormalization": "x s b",
    "GroupNormalization": "x s b",
    "InstanceNormalization": "x s b",
    "RMSNormalization": "x s",
}
"""What an operator takes besides x alone."""

MODELS = {
    "GroupNormalization(num_groups=4) of opset 18": (
        '<ir_version: 10, opset_import: ["": 18]> g (float[4,8,6,5] x) => (float[4,8,6,5] y)'
        "<float[4] s = {1,1,1,1}, float[4] b = {0,0,0,0}>"
        "{y = GroupNormalization <num_groups = 4> (x, s, b)}"
    ),
    "SimplifiedLayerNormalization() of onnxruntime": (
        '<ir_version: 10, opset_import: ["": 23]> g (float[4,8,6,5] x) => (float[4,8,6,5] y)'
        "<float[5] s = {1,1,1,1,1}> {y = SimplifiedLayerNormalization (x, s)}"
    ),
}
"""Operators that are not those of today, in a model."""

ROWS = [
    Row("BatchNormalization()", IMAGE),
    Row("BatchNormalization(training_mode=1)", IMAGE),
    Row("BatchNormalization(training_mode=1, momentum=0.8, epsilon=0.01)", IMAGE),
    Row("InstanceNormalization()", IMAGE),
    Row("InstanceNormalization(epsilon=0.01)", IMAGE),
    Row("LayerNormalization()", IMAGE),
    Row("LayerNormalization(axis=2, epsilon=0.01)", IMAGE),
    Row("GroupNormalization(num_groups=4)", IMAGE),
    Row("GroupNormalization(num_groups=4, epsilon=0.01)", IMAGE),
    Row("GroupNormalization(num_groups=4) of opset 18", IMAGE),
    Row("RMSNormalization()", IMAGE),
    Row("RMSNormalization(axis=2, epsilon=0.01)", IMAGE),
    Row("SimplifiedLayerNormalization() of onnxruntime", IMAGE),
    Row("LpNormalization()", IMAGE),
    Row("LpNormalization(axis=1, p=1)", IMAGE),
    Row("MeanVarianceNormalization()", IMAGE),
    Row("MeanVarianceNormalization(axes=[1, 2, 3])", IMAGE),
    Row("LRN(size=3)", IMAGE),
]


def make(code: str) -> Any:
    """The node, in the newest version of its operator that onnxruntime runs; or a model."""
    onnxruntime.set_default_logger_severity(3)
    if code in MODELS:
        return parse_model(MODELS[code])

    def node(**attributes: Any) -> Any:
        name = code.partition("(")[0]
        outputs = ["y", "m2", "v2"] if attributes.get("training_mode") else ["y"]
        return helper.make_node(name, INPUTS.get(name, "x").split(), outputs, **attributes)

    return eval(f"node({code.partition('(')[2]}", {"node": node})

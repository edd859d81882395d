"""What users of ONNX write instead, in the operators of ONNX."""

from __future__ import annotations

from normscope.frameworks.advice import Advice
from normscope.frameworks.onnx.native import onnx_operator


def channel_axis(axis: int) -> str:
    """How a normalization is told the axis of the channels: ONNX has them on axis 1 only."""
    if axis == 1:
        return "keep axis 1 apart, as BatchNormalization does"
    return f"BatchNormalization keeps axis 1 apart: Transpose axis {axis} there before, back after"


def without_bias(path: str) -> str:
    """How the operator at a path is told to add no bias."""
    return f"leave out the bias of {path}, with bias=False or the like where it was exported from"


ADVICE = Advice(
    framework="ONNX",
    layer=onnx_operator,
    channel_axis=channel_axis,
    without_bias=without_bias,
    running_statistics="BatchNormalization with training_mode=0",
    norm="normscope.normalize",
)

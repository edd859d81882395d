"""ONNX operators: channels are axis 1; "momentum" is the decay."""

from __future__ import annotations

from normscope.frameworks.preset_patterns import Preset
from normscope.notation.spec import Measure, NormSpec, Running, spec


def batch_normalization(epsilon: float = 1e-5, momentum: float = 0.9) -> NormSpec:
    """BatchNormalization; its momentum is the decay."""
    return spec("[b] c [s...]", eps=epsilon, scale="c", bias="c", running=Running(momentum))


def instance_normalization(epsilon: float = 1e-5) -> NormSpec:
    """InstanceNormalization."""
    return spec("b c [s...]", eps=epsilon, scale="c", bias="c")


def layer_normalization(epsilon: float = 1e-5) -> NormSpec:
    """LayerNormalization over the last axis (opset 17)."""
    return spec("... [c]", eps=epsilon, scale="c", bias="c")


def group_normalization(num_groups: int, epsilon: float = 1e-5) -> NormSpec:
    """GroupNormalization with one scale per channel (opset 21)."""
    return spec("b (g [c]) [s...]", g=num_groups, eps=epsilon, scale="g c", bias="g c")


def rms_normalization(epsilon: float = 1e-5) -> NormSpec:
    """RMSNormalization over the last axis (opset 23)."""
    return spec("... [c]", eps=epsilon, center=False, measure=Measure.MEAN_SQUARE, scale="c")


PRESETS: dict[str, Preset] = {
    "onnx.BatchNormalization": batch_normalization,
    "onnx.InstanceNormalization": instance_normalization,
    "onnx.LayerNormalization": layer_normalization,
    "onnx.GroupNormalization": group_normalization,
    "onnx.RMSNormalization": rms_normalization,
}

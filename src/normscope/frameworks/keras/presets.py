"""Keras 3: epsilon is 1e-3 in most layers, axis -1 the default, and "momentum" the decay."""

from __future__ import annotations

from normscope.errors import SpecError
from normscope.frameworks.preset_patterns import (
    FIRST,
    LAST,
    Preset,
    by_channels,
    kept_axis,
    parameters,
)
from normscope.notation.spec import Measure, NormSpec, Running, spec


def batch_normalization(
    axis: int = -1,
    momentum: float = 0.99,
    epsilon: float = 1e-3,
    center: bool = True,
    scale: bool = True,
) -> NormSpec:
    """keras.layers.BatchNormalization (Keras 3)."""
    return spec(
        kept_axis(axis), eps=epsilon, running=Running(momentum), **parameters("c", scale, center)
    )


def layer_normalization(epsilon: float = 1e-3, center: bool = True, scale: bool = True) -> NormSpec:
    """keras.layers.LayerNormalization over the last axis (Keras 3)."""
    return spec("... [c]", eps=epsilon, **parameters("c", scale, center))


def group_normalization(
    groups: int = 32,
    axis: int = -1,
    epsilon: float = 1e-3,
    center: bool = True,
    scale: bool = True,
) -> NormSpec:
    """keras.layers.GroupNormalization (Keras 3); groups=-1 is one group per channel."""
    channels = {-1: LAST, 1: FIRST}.get(axis)
    if channels is None:
        raise SpecError(f"keras.GroupNormalization: axis is -1 or 1 here, not {axis!r}")
    if groups == -1:
        pattern = by_channels(channels, last="b [s...] c", first="b c [s...]")
        return spec(pattern, eps=epsilon, **parameters("c", scale, center))
    pattern = by_channels(channels, last="b [s...] (g [c])", first="b (g [c]) [s...]")
    return spec(pattern, g=groups, eps=epsilon, **parameters("g c", scale, center))


def rms_normalization(epsilon: float = 1e-6) -> NormSpec:
    """keras.layers.RMSNormalization over the last axis (Keras 3)."""
    return spec("... [c]", eps=epsilon, center=False, measure=Measure.MEAN_SQUARE, scale="c")


def unit_normalization() -> NormSpec:
    """keras.layers.UnitNormalization: x / max(sqrt(sum(x**2)), 1e-12) over the last axis."""
    return spec("... [c]", eps=0, center=False, measure=Measure.L2, floor=1e-12)


PRESETS: dict[str, Preset] = {
    "keras.BatchNormalization": batch_normalization,
    "keras.LayerNormalization": layer_normalization,
    "keras.GroupNormalization": group_normalization,
    "keras.RMSNormalization": rms_normalization,
    "keras.UnitNormalization": unit_normalization,
}

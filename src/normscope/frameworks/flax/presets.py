"""Flax, Linen and NNX: features are the last axis; "momentum" is the decay."""

from __future__ import annotations

from normscope.frameworks.preset_patterns import Preset, parameters
from normscope.notation.spec import Measure, NormSpec, Running, spec


def batch_norm(
    momentum: float = 0.99, epsilon: float = 1e-5, use_bias: bool = True, use_scale: bool = True
) -> NormSpec:
    """Flax BatchNorm."""
    return spec(
        "[b...] c", eps=epsilon, running=Running(momentum), **parameters("c", use_scale, use_bias)
    )


def layer_norm(epsilon: float = 1e-6, use_bias: bool = True, use_scale: bool = True) -> NormSpec:
    """Flax LayerNorm over the last axis."""
    return spec("... [c]", eps=epsilon, **parameters("c", use_scale, use_bias))


def rms_norm(epsilon: float = 1e-6, use_scale: bool = True) -> NormSpec:
    """Flax RMSNorm over the last axis."""
    return spec(
        "... [c]",
        eps=epsilon,
        center=False,
        measure=Measure.MEAN_SQUARE,
        **parameters("c", use_scale, False),
    )


def group_norm(
    num_groups: int = 32, epsilon: float = 1e-6, use_bias: bool = True, use_scale: bool = True
) -> NormSpec:
    """Flax GroupNorm."""
    return spec(
        "b [s...] (g [c])", g=num_groups, eps=epsilon, **parameters("g c", use_scale, use_bias)
    )


def instance_norm(epsilon: float = 1e-6, use_bias: bool = True, use_scale: bool = True) -> NormSpec:
    """Flax InstanceNorm."""
    return spec("b [s...] c", eps=epsilon, **parameters("c", use_scale, use_bias))


PRESETS: dict[str, Preset] = {
    "flax.BatchNorm": batch_norm,
    "flax.LayerNorm": layer_norm,
    "flax.RMSNorm": rms_norm,
    "flax.GroupNorm": group_norm,
    "flax.InstanceNorm": instance_norm,
}

"""What users of JAX write instead, whatever library their layers are of."""

from __future__ import annotations

from normscope.frameworks.advice import Advice
from normscope.frameworks.native import NativeLayer
from normscope.notation.layout import Layout
from normscope.notation.spec import NormSpec


def no_layer(spec: NormSpec, layout: Layout) -> NativeLayer | None:
    """JAX itself has no layers, and a function has none of a library."""
    return None


def channel_axis(axis: int) -> str:
    """How a normalization is told the axis of the channels."""
    return f"keep axis {axis} apart, and take the statistics along the others"


def without_bias(path: str) -> str:
    """How the layer at a path is told to add no bias."""
    return f"let {path} add no bias"


ADVICE = Advice(
    framework="JAX",
    layer=no_layer,
    channel_axis=channel_axis,
    without_bias=without_bias,
    running_statistics="the batch normalization of your library, told that it is not training",
    norm="normscope.layers.jax.normalize",
)

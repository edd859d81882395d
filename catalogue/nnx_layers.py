"""The normalization layers of Flax NNX."""

from __future__ import annotations

from typing import Any

from flax import nnx

from catalogue.row import Row

TITLE = "Flax NNX"
PACKAGES = ("flax", "jax")
PUBLIC = dir(nnx)

IMAGE, CUBE = "b h w c", (4, 6, 6, 6)

ROWS = [
    Row("nnx.BatchNorm(8, rngs=rngs)", IMAGE),
    Row("nnx.BatchNorm(6, axis=1, momentum=0.9, epsilon=0.01, rngs=rngs)", IMAGE),
    Row("nnx.BatchNorm(8, use_scale=False, rngs=rngs)", IMAGE),
    Row("nnx.BatchNorm(8, use_running_average=True, rngs=rngs)", IMAGE),
    Row("nnx.LayerNorm(8, rngs=rngs)", IMAGE),
    Row("nnx.LayerNorm(8, epsilon=0.01, use_bias=False, rngs=rngs)", IMAGE),
    Row("nnx.LayerNorm(8, use_fast_variance=False, rngs=rngs)", IMAGE),
    Row("nnx.LayerNorm(8, reduction_axes=(1, 2, 3), rngs=rngs)", IMAGE),
    Row("nnx.LayerNorm(8, reduction_axes=1, rngs=rngs)", IMAGE),
    Row("nnx.RMSNorm(8, rngs=rngs)", IMAGE),
    Row("nnx.RMSNorm(8, epsilon=0.01, reduction_axes=1, rngs=rngs)", IMAGE),
    Row("nnx.GroupNorm(8, 4, rngs=rngs)", IMAGE),
    Row("nnx.GroupNorm(8, num_groups=None, group_size=4, epsilon=0.01, rngs=rngs)", IMAGE),
    Row("nnx.GroupNorm(6, 3, reduction_axes=(2, 3), rngs=rngs)", IMAGE, CUBE),
    Row("nnx.InstanceNorm(8, rngs=rngs)", IMAGE),
    Row("nnx.InstanceNorm(8, epsilon=0.01, use_scale=False, rngs=rngs)", IMAGE),
]


def make(code: str) -> Any:
    """The module."""
    return eval(code, {"nnx": nnx, "rngs": nnx.Rngs(0)})

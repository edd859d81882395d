"""The normalization layers of Flax Linen."""

from __future__ import annotations

from typing import Any

from flax import linen

from catalogue.row import Row

TITLE = "Flax Linen"
PACKAGES = ("flax", "jax")
PUBLIC = dir(linen)

IMAGE = "b h w c"

ROWS = [
    Row("linen.BatchNorm()", IMAGE),
    Row("linen.BatchNorm(axis=1, momentum=0.9, epsilon=0.01)", IMAGE),
    Row("linen.BatchNorm(axis=(1, 3))", IMAGE),
    Row("linen.BatchNorm(use_running_average=False)", IMAGE),
    Row("linen.BatchNorm(use_running_average=True)", IMAGE),
    Row("linen.LayerNorm()", IMAGE),
    Row("linen.LayerNorm(epsilon=0.01, use_bias=False)", IMAGE),
    Row("linen.LayerNorm(reduction_axes=(1, 2, 3))", IMAGE),
    Row("linen.LayerNorm(reduction_axes=(1, 2, 3), feature_axes=(1, 2, 3))", IMAGE),
    Row("linen.RMSNorm()", IMAGE),
    Row("linen.RMSNorm(epsilon=0.01, reduction_axes=1)", IMAGE),
    Row("linen.GroupNorm(4)", IMAGE),
    Row("linen.GroupNorm(num_groups=None, group_size=4, epsilon=0.01)", IMAGE),
    Row("linen.GroupNorm(4, reduction_axes=(2, 3))", IMAGE),
    Row("linen.InstanceNorm()", IMAGE),
    Row("linen.InstanceNorm(epsilon=0.01, use_scale=False)", IMAGE),
]


def make(code: str) -> Any:
    """The module; `identify` initializes it."""
    return eval(code, {"linen": linen})

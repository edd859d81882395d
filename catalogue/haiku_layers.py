"""The normalization layers of Haiku."""

from __future__ import annotations

from typing import Any

import haiku as hk

from catalogue.row import Row

TITLE = "Haiku"
PACKAGES = ("dm-haiku", "jax")
PUBLIC = dir(hk)

IMAGE = "b h w c"

ROWS = [
    Row("hk.BatchNorm(True, True, 0.99)", IMAGE),
    Row("hk.BatchNorm(True, False, 0.9, eps=0.01)", IMAGE),
    Row("hk.BatchNorm(True, True, 0.99, data_format='channels_first')", "b c h w"),
    Row("hk.LayerNorm(-1, True, True)", IMAGE),
    Row("hk.LayerNorm((1, 2, 3), True, True)", IMAGE),
    Row("hk.LayerNorm(1, True, True, eps=0.01)", IMAGE),
    Row("hk.LayerNorm(1, True, True, param_axis=1)", IMAGE),
    Row("hk.RMSNorm(-1)", IMAGE),
    Row("hk.RMSNorm(1, eps=0.01)", IMAGE),
    Row("hk.GroupNorm(4)", IMAGE),
    Row("hk.GroupNorm(4, axis=-1, eps=0.01)", IMAGE),
    Row("hk.GroupNorm(4, data_format='channels_first')", "b c h w"),
    Row("hk.InstanceNorm(True, True)", IMAGE),
    Row("hk.InstanceNorm(True, True, eps=0.01, data_format='channels_first')", "b c h w"),
]


def make(code: str) -> Any:
    """The module in a transformed function."""
    layer = eval(f"lambda: {code}", {"hk": hk})
    if code.startswith("hk.BatchNorm"):
        return hk.transform_with_state(lambda x, is_training: layer()(x, is_training))
    return hk.transform(lambda x: layer()(x))

"""The normalization layers of Equinox, mapped over the axes that they do not take themselves."""

from __future__ import annotations

from typing import Any

import equinox as eqx

from catalogue.row import Row

TITLE = "Equinox"
PACKAGES = ("equinox", "jax")
PUBLIC = dir(eqx.nn)

FIRST, LAST = "b c h w", "b h w c"

ROWS = [
    Row("eqx.nn.BatchNorm(8, 'batch', mode='ema')", FIRST),
    Row("eqx.nn.BatchNorm(8, 'batch', mode='batch')", FIRST),
    Row("eqx.nn.BatchNorm(8, 'batch', mode='batch', momentum=0.9, eps=0.01)", FIRST),
    Row("eqx.nn.BatchNorm(8, 'batch', mode='batch', channelwise_affine=False)", FIRST),
    Row("eqx.nn.LayerNorm(8)", LAST),
    Row("eqx.nn.LayerNorm((5, 8), eps=0.01, use_bias=False)", LAST),
    Row("eqx.nn.RMSNorm(8)", LAST),
    Row("eqx.nn.RMSNorm(8, eps=0.01, use_bias=False)", LAST),
    Row("eqx.nn.GroupNorm(4, 8)", FIRST),
    Row("eqx.nn.GroupNorm(4, 8, eps=0.01, channelwise_affine=False)", FIRST),
]


def make(code: str) -> Any:
    """The module; a batch normalization with its state."""
    if code.startswith("eqx.nn.BatchNorm"):
        return eqx.nn.make_with_state(lambda: eval(code, {"eqx": eqx}))()
    return eval(code, {"eqx": eqx})

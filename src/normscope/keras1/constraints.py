"""`keras.constraints` of Keras 1.2.2."""

from normscope.keras1.live.layers.constraints import (
    Constraint,
    MaxNorm,
    MinMaxNorm,
    NonNeg,
    UnitNorm,
    get,
    maxnorm,
    nonneg,
    unitnorm,
)

__all__ = [
    "Constraint",
    "MaxNorm",
    "MinMaxNorm",
    "NonNeg",
    "UnitNorm",
    "get",
    "maxnorm",
    "nonneg",
    "unitnorm",
]

"""`keras.layers.core` of Keras 1.2.2."""

from normscope.keras1.absent import refusing
from normscope.keras1.engine.topology import InputSpec, Layer, Merge
from normscope.keras1.live.layers.core import (
    Activation,
    ActivityRegularization,
    Flatten,
    Lambda,
    Masking,
    Permute,
    RepeatVector,
    Reshape,
)
from normscope.keras1.live.layers.dense import Dense, Highway, MaxoutDense, TimeDistributedDense
from normscope.keras1.live.layers.noise import (
    Dropout,
    SpatialDropout1D,
    SpatialDropout2D,
    SpatialDropout3D,
)

__all__ = [
    "Activation",
    "ActivityRegularization",
    "Dense",
    "Dropout",
    "Flatten",
    "Highway",
    "InputSpec",
    "Lambda",
    "Layer",
    "Masking",
    "MaxoutDense",
    "Merge",
    "Permute",
    "RepeatVector",
    "Reshape",
    "SpatialDropout1D",
    "SpatialDropout2D",
    "SpatialDropout3D",
    "TimeDistributedDense",
]

__getattr__ = refusing(
    "layers.core",
    {
        "AutoEncoder": "use two models: Model(input=..., output=...)",
        "Graph": "use Model(input=..., output=...)",
        "Siamese": "call one layer or model on both inputs",
        "LambdaMerge": "use merge([a, b], mode=function)",
        "MaskedLayer": "derive from Layer and set supports_masking = True",
    },
)

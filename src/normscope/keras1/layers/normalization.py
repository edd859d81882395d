"""`keras.layers.normalization` of Keras 1.2.2."""

from normscope.keras1.absent import refusing
from normscope.keras1.live.layers.normalization import BatchNormalization

__all__ = ["BatchNormalization"]

__getattr__ = refusing(
    "layers.normalization",
    {
        "LRN2D": "write it as a Lambda with K.pool2d",
    },
)

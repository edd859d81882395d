"""`keras.layers.wrappers` of Keras 1.2.2."""

from normscope.keras1.absent import refusing
from normscope.keras1.live.layers.wrappers import Bidirectional, TimeDistributed

__all__ = ["Bidirectional", "TimeDistributed"]

__getattr__ = refusing(
    "layers.wrappers",
    {
        "Wrapper": "derive from Layer and call the layer inside in its call",
    },
)

"""`keras.layers.local` of Keras 1.2.2."""

from normscope.keras1.live.layers.local import LocallyConnected1D, LocallyConnected2D

__all__ = ["LocallyConnected1D", "LocallyConnected2D"]

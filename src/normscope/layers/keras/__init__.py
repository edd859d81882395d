"""Keras 3: the layer `Norm`, and the formula that it runs in `keras.ops`, on any backend."""

from normscope.layers.keras.formula import Moments, moments, normalize, normalized
from normscope.layers.keras.norm import Norm

__all__ = ["Moments", "Norm", "moments", "normalize", "normalized"]

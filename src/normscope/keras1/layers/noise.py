"""`keras.layers.noise` of Keras 1.2.2."""

from normscope.keras1.live.layers.noise import GaussianDropout, GaussianNoise

__all__ = ["GaussianDropout", "GaussianNoise"]
